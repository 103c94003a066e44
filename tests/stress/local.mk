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
