# tools/local.mk: nothing here yet
