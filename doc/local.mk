# doc/local.mk: nothing here yet
