# SPDX-License-Identifier: MIT
#
# tests/loader: loading, from the search for a file to its unloading, with mock plugins that have one fault each
#
# The mocks are shared objects, so a build without shared libraries has none.

EXTRA_DIST += \
	tests/loader/mocks/mock.h \
	tests/loader/mocks/mock_driver.h \
	tests/loader/mocks/mock_filter.h

# This test uses the real plugins, and no mocks.
check_PROGRAMS += tests/loader/small_stack
TESTS += tests/loader/small_stack
tests_loader_small_stack_SOURCES = tests/loader/small_stack.c tests/unit/small_stack.h
tests_loader_small_stack_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_loader_small_stack_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)

if HAVE_CHECK
if ENABLE_SHARED

loader_tests = \
	tests/loader/abi \
	tests/loader/deadlock \
	tests/loader/environment \
	tests/loader/failures \
	tests/loader/filter \
	tests/loader/fork \
	tests/loader/hooks \
	tests/loader/log \
	tests/loader/preloaded \
	tests/loader/refused \
	tests/loader/registry \
	tests/loader/search \
	tests/loader/threads \
	tests/loader/trust \
	tests/loader/unload

check_PROGRAMS += $(loader_tests) tests/loader/child
TESTS += $(loader_tests)

check_LTLIBRARIES += tests/loader/libfixture.la
tests_loader_libfixture_la_SOURCES = tests/loader/fixture.c tests/loader/fixture.h
tests_loader_libfixture_la_CFLAGS = $(loader_cflags)

loader_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
# Mock plugins look for mock_event() in the program.
loader_ldflags = $(AM_LDFLAGS) -export-dynamic
loader_ldadd = tests/loader/libfixture.la libzpool/libzpool.la $(CHECK_LIBS) $(PTHREAD_LIBS)
# Some tests call internal functions, and one program is copied elsewhere, so they link with the archive.
loader_inner_ldadd = tests/loader/libfixture.la libzpool/libzpcore.la $(CHECK_LIBS) $(PTHREAD_LIBS)

tests_loader_child_LDADD = libzpool/libzpcore.la $(PTHREAD_LIBS)

tests_loader_abi_CFLAGS = $(loader_cflags)
tests_loader_abi_LDFLAGS = $(loader_ldflags)
tests_loader_abi_LDADD = $(loader_ldadd)
tests_loader_deadlock_CFLAGS = $(loader_cflags)
tests_loader_deadlock_LDFLAGS = $(loader_ldflags)
tests_loader_deadlock_LDADD = $(loader_inner_ldadd)
tests_loader_environment_CFLAGS = $(loader_cflags)
tests_loader_environment_LDFLAGS = $(loader_ldflags)
tests_loader_environment_LDADD = $(loader_ldadd)
tests_loader_failures_CFLAGS = $(loader_cflags)
tests_loader_failures_LDFLAGS = $(loader_ldflags)
tests_loader_failures_LDADD = $(loader_ldadd)
tests_loader_filter_CFLAGS = $(loader_cflags)
tests_loader_filter_LDFLAGS = $(loader_ldflags)
tests_loader_filter_LDADD = $(loader_ldadd)
tests_loader_fork_CFLAGS = $(loader_cflags)
tests_loader_fork_LDFLAGS = $(loader_ldflags)
tests_loader_fork_LDADD = $(loader_ldadd)
tests_loader_hooks_CFLAGS = $(loader_cflags)
tests_loader_hooks_LDFLAGS = $(loader_ldflags)
tests_loader_hooks_LDADD = $(loader_ldadd)
tests_loader_log_CFLAGS = $(loader_cflags)
tests_loader_log_LDFLAGS = $(loader_ldflags)
tests_loader_log_LDADD = $(loader_ldadd)
tests_loader_preloaded_CFLAGS = $(loader_cflags)
tests_loader_preloaded_LDFLAGS = $(loader_ldflags)
tests_loader_preloaded_LDADD = $(loader_ldadd)
tests_loader_refused_CFLAGS = $(loader_cflags)
tests_loader_refused_LDFLAGS = $(loader_ldflags)
tests_loader_refused_LDADD = $(loader_ldadd)
tests_loader_registry_CFLAGS = $(loader_cflags)
tests_loader_registry_LDFLAGS = $(loader_ldflags)
tests_loader_registry_LDADD = $(loader_ldadd)
tests_loader_search_CFLAGS = $(loader_cflags)
tests_loader_search_LDFLAGS = $(loader_ldflags)
tests_loader_search_LDADD = $(loader_ldadd)
tests_loader_threads_CFLAGS = $(loader_cflags)
tests_loader_threads_LDFLAGS = $(loader_ldflags)
tests_loader_threads_LDADD = $(loader_ldadd)
tests_loader_trust_CFLAGS = $(loader_cflags)
tests_loader_trust_LDFLAGS = $(loader_ldflags)
tests_loader_trust_LDADD = $(loader_inner_ldadd)
tests_loader_unload_CFLAGS = $(loader_cflags)
tests_loader_unload_LDFLAGS = $(loader_ldflags)
tests_loader_unload_LDADD = $(loader_ldadd)

include $(top_srcdir)/tests/loader/mocks/local.mk

endif
endif
