# What `make coverage` prints; build-targets.mk has the target.

EXTRA_DIST += tests/coverage/rooms.awk tests/coverage/uncovered tests/coverage/uncovered.awk
