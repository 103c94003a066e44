# plugins/local.mk: nothing here yet
