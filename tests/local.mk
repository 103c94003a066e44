# tests/local.mk: nothing here yet
