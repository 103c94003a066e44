# Every test runs through with-plugins, which sets the plugin path to a directory with this build's plugins.

LOG_COMPILER = $(top_srcdir)/tests/with-plugins
AM_LOG_FLAGS =
SH_LOG_COMPILER = $(top_srcdir)/tests/with-plugins
AM_SH_LOG_FLAGS = $(SHELL)
TEST_EXTENSIONS = .sh
AM_TESTS_ENVIRONMENT = \
	abs_top_builddir='$(abs_top_builddir)' abs_top_srcdir='$(abs_top_srcdir)' \
	top_builddir='$(top_builddir)' top_srcdir='$(top_srcdir)' \
	CC='$(CC)' CXX='$(CXX)' NM='$(NM)' READELF='$(READELF)' PACKAGE_VERSION='$(PACKAGE_VERSION)' \
	ZPOOL_TEST_TYPES='$(plugin_LTLIBRARIES:plugins/%.la=%)' ZPOOL_TEST_DRIVERS='$(plugin_drivers:plugins/%.la=%)' \
	CFLAGS='$(strip $(CFLAGS) $(DEBUG_CPPFLAGS))' SANITIZER_CFLAGS='$(SANITIZER_CFLAGS)' COVERAGE_CFLAGS='$(COVERAGE_CFLAGS)' \
	HARDEN_CFLAGS='$(HARDEN_CFLAGS)' HARDEN_LDFLAGS='$(HARDEN_LDFLAGS)'; \
	export abs_top_builddir abs_top_srcdir top_builddir top_srcdir CC CXX NM READELF PACKAGE_VERSION ZPOOL_TEST_TYPES \
		ZPOOL_TEST_DRIVERS CFLAGS SANITIZER_CFLAGS COVERAGE_CFLAGS HARDEN_CFLAGS HARDEN_LDFLAGS; unset ZPOOL_DEBUG;
if SANITIZE_THREAD
# The thread sanitizer kills children that are forked from a program with threads.
AM_TESTS_ENVIRONMENT += CK_FORK=no ZPOOL_TEST_NO_FORK=1; export CK_FORK ZPOOL_TEST_NO_FORK;
endif
if BLANK_BUILD_PATH
# Here the libraries have no run path to each other; see ZPOOL_BUILD_PATH in m4/zpool.m4.
AM_TESTS_ENVIRONMENT += \
	LD_LIBRARY_PATH='$(abs_top_builddir)/store/.libs:$(abs_top_builddir)/libzpool/.libs'$${LD_LIBRARY_PATH:+":$$LD_LIBRARY_PATH"}; \
	export LD_LIBRARY_PATH;
endif

EXTRA_DIST += tests/suite.h tests/with-plugins tests/clean-start.sh

check_PROGRAMS += tests/clean-start
tests_clean_start_SOURCES = tests/clean-start.c
TESTS += tests/clean-start.sh

# Programs that kill a process at random moments; the rooms below add theirs.
crash_tests =

include $(top_srcdir)/tests/unit/local.mk
include $(top_srcdir)/tests/loader/local.mk
include $(top_srcdir)/tests/filters/local.mk
include $(top_srcdir)/tests/limits/local.mk
include $(top_srcdir)/tests/hostile/local.mk
include $(top_srcdir)/tests/starvation/local.mk
include $(top_srcdir)/tests/contract/local.mk
include $(top_srcdir)/tests/store/local.mk
include $(top_srcdir)/tests/hosts/nbdkit/local.mk
include $(top_srcdir)/tests/model/local.mk
include $(top_srcdir)/tests/races/local.mk
include $(top_srcdir)/tests/soak/local.mk
include $(top_srcdir)/tests/stress/local.mk
include $(top_srcdir)/tests/mutation/local.mk
include $(top_srcdir)/tests/coverage/local.mk
include $(top_srcdir)/tests/check/local.mk
include $(top_srcdir)/tests/tools/local.mk
include $(top_srcdir)/tests/install/local.mk
include $(top_srcdir)/tests/bench/local.mk
include $(top_srcdir)/tests/fuzz/local.mk

# Each of these programs kills this many processes.
CRASH_KILLS = 100
.PHONY: check-crash
check-crash: $(crash_tests) $(plugin_LTLIBRARIES)
	status=0; for program in $(crash_tests); do \
		echo "check-crash: $$program $(CRASH_KILLS)"; \
		$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins $$program $(CRASH_KILLS) || status=1; \
	done; exit $$status
