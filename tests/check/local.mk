# The test builds drivers with one fault each as plugins, so it needs shared libraries.

EXTRA_DIST += tests/check/broken.c tests/check/counts.h tests/check/faults.sh tests/check/finer.h tests/check/large.h tests/check/later.h tests/check/odd.h tests/check/orders.h tests/check/others.h tests/check/pages.h tests/check/rare.h tests/check/subtle.h tests/check/tiny.h
if ENABLE_TOOLS
if ENABLE_SHARED
TESTS += tests/check/faults.sh
endif
endif
