# libzpool/support/local.mk: nothing here yet
