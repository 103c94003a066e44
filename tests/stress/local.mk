# The soak test is not part of `make check', because its running time is an option.
#
#   make check-soak [SOAK_FLAGS='--driver zbud --seconds 600 --threads 8']
#   make check-soak-long         a hundred million operations on zsmalloc, under two to eight threads

EXTRA_PROGRAMS += tests/stress/soak
CLEANFILES += tests/stress/soak

tests_stress_soak_SOURCES = tests/stress/soak.c
tests_stress_soak_LDADD = conformance/libconformance.a libzpool/libzpool.la $(PTHREAD_LIBS)

SOAK_FLAGS =

.PHONY: check-soak check-soak-long
check-soak: tests/stress/soak $(plugin_LTLIBRARIES)
	$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins tests/stress/soak $(SOAK_FLAGS)

check-soak-long:
	$(MAKE) check-soak SOAK_FLAGS='--driver zsmalloc --ops 100M --threads 2..8 $(SOAK_FLAGS)'

# Threads are cancelled in every function, on every driver and filter.
if HAVE_CHECK
if ENABLE_SHARED
check_PROGRAMS += tests/stress/cancel
TESTS += tests/stress/cancel
tests_stress_cancel_SOURCES = tests/stress/cancel.c
tests_stress_cancel_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) \
	-DTEST_EXPORT_MAP='"$(abs_top_srcdir)/libzpool/libzpool.map"'
tests_stress_cancel_CFLAGS = $(unit_cflags)
tests_stress_cancel_LDADD = $(unit_ldadd)
endif
endif

# Hosts that are built with the thread sanitizer use the library of this build.
EXTRA_DIST += tests/stress/sanitized_host.c tests/stress/sanitized_host.sh
if ENABLE_SHARED
TESTS += tests/stress/sanitized_host.sh
endif
