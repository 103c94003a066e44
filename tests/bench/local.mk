# Speed and memory, printed as ratios within one run, with targets: `make bench'.  Never part of `make check', for machines
# differ; there the programs only show that they work.
#
#   make bench [BENCH='density speed'] [BENCH_FLAGS='--type zsmalloc --seed 7']

bench_programs = tests/bench/frontend tests/bench/load
CLEANFILES += $(bench_programs)
EXTRA_PROGRAMS += $(bench_programs)

# Not installed; -rpath makes libtool build a shared module all the same.
EXTRA_LTLIBRARIES = tests/bench/nothing.la
tests_bench_nothing_la_SOURCES = tests/bench/nothing.c
tests_bench_nothing_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere $(PLUGIN_LDFLAGS)

tests_bench_frontend_SOURCES = tests/bench/frontend.c tests/bench/bench.h
tests_bench_frontend_LDADD = libzpool/libzpool.la

tests_bench_load_SOURCES = tests/bench/load.c tests/bench/bench.h
tests_bench_load_LDADD = libzpool/libzpool.la

# What measures drivers, beside other allocators.
bench_drivers = tests/bench/density tests/bench/speed tests/bench/threads
check_PROGRAMS += $(bench_drivers)

bench_support = \
	tests/bench/bench.h \
	tests/bench/draw.c tests/bench/draw.h \
	tests/bench/options.c tests/bench/options.h \
	tests/bench/peer.c tests/bench/peer.h \
	tests/bench/report.c tests/bench/report.h \
	tests/bench/subject.c tests/bench/subject.h
bench_cppflags = $(AM_CPPFLAGS) -DBENCH_TRACES='"$(abs_top_srcdir)/tests/traces"'
bench_cflags = $(AM_CFLAGS)
bench_ldadd = libzpool/libzpool.la $(PTHREAD_LIBS)
if ENABLE_TOOLS
bench_cppflags += -DBENCH_JSON
bench_cflags += $(TOOLS_CFLAGS)
bench_ldadd += $(TOOLS_LIBS)
endif

tests_bench_density_SOURCES = $(bench_support) \
	tests/bench/density.c \
	tests/bench/footprint.c tests/bench/footprint.h \
	tests/bench/zram.c tests/bench/zram.h
tests_bench_density_CPPFLAGS = $(bench_cppflags)
tests_bench_density_CFLAGS = $(bench_cflags)
tests_bench_density_LDADD = $(bench_ldadd)

tests_bench_speed_SOURCES = $(bench_support) tests/bench/speed.c
tests_bench_speed_CPPFLAGS = $(bench_cppflags)
tests_bench_speed_CFLAGS = $(bench_cflags)
tests_bench_speed_LDADD = $(bench_ldadd)

tests_bench_threads_SOURCES = $(bench_support) tests/bench/threads.c
tests_bench_threads_CPPFLAGS = $(bench_cppflags)
tests_bench_threads_CFLAGS = $(bench_cflags)
tests_bench_threads_LDADD = $(bench_ldadd)

BENCH = frontend load density speed threads
BENCH_FLAGS =

.PHONY: bench
bench: all $(bench_programs) $(bench_drivers) tests/bench/nothing.la
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) ZPOOL_TEST_MODULES=tests/bench/.libs/nothing.so; export ZPOOL_TEST_MODULES; \
	for program in $(BENCH); do \
		$(top_srcdir)/tests/with-plugins tests/bench/$$program $(BENCH_FLAGS) || exit 1; done

TESTS += tests/bench/no_atomics.sh tests/bench/selftest.sh
EXTRA_DIST += tests/bench/no_atomics.sh tests/bench/selftest.sh tests/traces/py.lz4.sizes tests/traces/py.zstd.sizes
