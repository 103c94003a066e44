# tests/tools: the tests of zpoolctl
#
# Each script tests one subject. The scripts run this build's zpoolctl on this build's drivers, and on mock drivers with
# one fault each.

tools_tests = \
	tests/tools/bench.sh \
	tests/tools/broken.sh \
	tests/tools/check.sh \
	tests/tools/compared.sh \
	tests/tools/completion.sh \
	tests/tools/foreign.sh \
	tests/tools/hostile.sh \
	tests/tools/info.sh \
	tests/tools/interrupt.sh \
	tests/tools/limit.sh \
	tests/tools/linked.sh \
	tests/tools/list.sh \
	tests/tools/new.sh \
	tests/tools/output.sh \
	tests/tools/pid.sh \
	tests/tools/progress.sh \
	tests/tools/refusals.sh \
	tests/tools/replay.sh \
	tests/tools/stats.sh \
	tests/tools/store.sh \
	tests/tools/usage.sh

EXTRA_DIST += $(tools_tests) tests/tools/common.sh

if ENABLE_TOOLS
TESTS += $(tools_tests)
tests/tools/new.log: tests/contract/contract$(EXEEXT)

check_PROGRAMS += tests/tools/json-get tests/tools/victim
check_PROGRAMS += tests/tools/forge tests/tools/recorder
tests_tools_forge_SOURCES = tests/tools/forge.c
tests_tools_recorder_SOURCES = tests/tools/recorder.c
tests_tools_recorder_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)
tests_tools_json_get_SOURCES = tests/tools/json-get.c
tests_tools_json_get_CFLAGS = $(AM_CFLAGS) $(TOOLS_CFLAGS)
tests_tools_json_get_LDADD = $(TOOLS_LIBS)
tests_tools_victim_SOURCES = tests/tools/victim.c
# Built without sanitizers, because a search through their terabytes of shadow memory would take a minute.
tests_tools_victim_CFLAGS = -std=gnu11 $(WARN_CFLAGS)

# With -rpath, libtool builds a module although it is not installed.
tools_mock_ldflags = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere
check_LTLIBRARIES += \
	tests/tools/mocks/copying.la \
	tests/tools/mocks/corrupt.la \
	tests/tools/mocks/crash.la \
	tests/tools/mocks/exits.la \
	tests/tools/mocks/forgets.la \
	tests/tools/mocks/hang.la \
	tests/tools/mocks/hostile.la \
	tests/tools/mocks/lethal.la \
	tests/tools/mocks/minor.la \
	tests/tools/mocks/noteless.la \
	tests/tools/mocks/refuses.la \
	tests/tools/mocks/sieve.la \
	tests/tools/mocks/stray.la
tests_tools_mocks_copying_la_SOURCES = tests/tools/mocks/copying.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_copying_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_corrupt_la_SOURCES = tests/tools/mocks/corrupt.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_corrupt_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_crash_la_SOURCES = tests/tools/mocks/crash.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_crash_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_exits_la_SOURCES = tests/tools/mocks/exits.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_exits_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_forgets_la_SOURCES = tests/tools/mocks/forgets.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_forgets_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_hang_la_SOURCES = tests/tools/mocks/hang.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_hang_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_hostile_la_SOURCES = tests/tools/mocks/hostile.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_hostile_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_lethal_la_SOURCES = tests/tools/mocks/lethal.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_lethal_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_minor_la_SOURCES = tests/tools/mocks/minor.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_minor_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_noteless_la_SOURCES = tests/tools/mocks/noteless.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_noteless_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_refuses_la_SOURCES = tests/tools/mocks/refuses.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_refuses_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_sieve_la_SOURCES = tests/tools/mocks/sieve.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_sieve_la_LDFLAGS = $(tools_mock_ldflags)
tests_tools_mocks_stray_la_SOURCES = tests/tools/mocks/stray.c tests/tools/mocks/mock-pool.h
tests_tools_mocks_stray_la_LDFLAGS = $(tools_mock_ldflags)
endif
