# The soak test: not part of `make check', for it runs as long as it is told.
#
#   make check-soak [SOAK_FLAGS='--driver zbud --seconds 600 --threads 8']
#   make check-soak-long         a hundred million operations on zsmalloc, under two to eight threads

EXTRA_PROGRAMS += tests/stress/soak
CLEANFILES += tests/stress/soak

tests_stress_soak_SOURCES = tests/stress/soak.c
tests_stress_soak_LDADD = tests/contract/libzpcontract.a libzpool/libzpool.la $(PTHREAD_LIBS)

SOAK_FLAGS =

.PHONY: check-soak check-soak-long
check-soak: tests/stress/soak $(plugin_LTLIBRARIES)
	$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins tests/stress/soak $(SOAK_FLAGS)

check-soak-long:
	$(MAKE) check-soak SOAK_FLAGS='--driver zsmalloc --ops 100M --threads 2..8 $(SOAK_FLAGS)'
