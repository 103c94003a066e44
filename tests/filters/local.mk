# The shipped filters, loaded as plugins, on top of every shipped driver.

EXTRA_DIST += tests/filters/stack.h

if HAVE_CHECK
if ENABLE_SHARED
filter_tests = \
	tests/filters/guard \
	tests/filters/guard_abort \
	tests/filters/guard_evict \
	tests/filters/guard_limit \
	tests/filters/fault \
	tests/filters/log_handler \
	tests/filters/rows \
	tests/filters/trace \
	tests/filters/trace_full
check_PROGRAMS += $(filter_tests)
TESTS += $(filter_tests)

tests_filters_guard_SOURCES = tests/filters/guard.c tests/filters/stack.h
tests_filters_guard_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_guard_CFLAGS = $(unit_cflags)
tests_filters_guard_LDADD = $(unit_ldadd)

tests_filters_guard_abort_SOURCES = tests/filters/guard_abort.c tests/filters/stack.h
tests_filters_guard_abort_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_guard_abort_CFLAGS = $(unit_cflags)
tests_filters_guard_abort_LDADD = $(unit_ldadd)

tests_filters_guard_evict_SOURCES = tests/filters/guard_evict.c tests/filters/stack.h
tests_filters_guard_evict_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_guard_evict_CFLAGS = $(unit_cflags)
tests_filters_guard_evict_LDADD = $(unit_ldadd)

tests_filters_guard_limit_SOURCES = tests/filters/guard_limit.c tests/filters/stack.h
tests_filters_guard_limit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_guard_limit_CFLAGS = $(unit_cflags)
tests_filters_guard_limit_LDADD = $(unit_ldadd)

tests_filters_fault_SOURCES = tests/filters/fault.c tests/filters/stack.h
tests_filters_fault_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_fault_CFLAGS = $(unit_cflags)
tests_filters_fault_LDADD = $(unit_ldadd)

tests_filters_log_handler_SOURCES = tests/filters/log_handler.c tests/filters/stack.h
tests_filters_log_handler_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_log_handler_CFLAGS = $(unit_cflags)
tests_filters_log_handler_LDADD = $(unit_ldadd)

tests_filters_rows_SOURCES = tests/filters/rows.c tests/filters/stack.h
tests_filters_rows_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_rows_CFLAGS = $(unit_cflags)
tests_filters_rows_LDADD = $(unit_ldadd)

tests_filters_trace_SOURCES = tests/filters/trace.c tests/filters/stack.h
tests_filters_trace_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_trace_CFLAGS = $(unit_cflags)
tests_filters_trace_LDADD = $(unit_ldadd)

tests_filters_trace_full_SOURCES = tests/filters/trace_full.c tests/filters/stack.h $(failing_memory) \
	$(plugins_trace_la_SOURCES) tools/trace-file.c tools/trace-records.c tools/trace-file.h
tests_filters_trace_full_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)
tests_filters_trace_full_CFLAGS = $(unit_cflags)
tests_filters_trace_full_LDFLAGS = $(failing_memory_ldflags)
tests_filters_trace_full_LDADD = $(plugin_libadd) $(unit_ldadd)
endif
endif

# A process that records a trace is killed at random moments. The test reads the trace as zpoolctl does.
if ENABLE_SHARED
check_PROGRAMS += tests/filters/trace_crash
TESTS += tests/filters/trace_crash
tests_filters_trace_crash_SOURCES = tests/filters/trace_crash.c \
	tools/trace-file.c tools/trace-records.c tools/trace-file.h
tests_filters_trace_crash_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_filters_trace_crash_LDADD = libzpool/libzpool.la
crash_tests += tests/filters/trace_crash
endif
