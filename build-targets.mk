# build-targets.mk: nothing here yet
