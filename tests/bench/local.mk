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
bench_drivers = tests/bench/density tests/bench/speed tests/bench/threads tests/bench/compact tests/bench/locks
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
	tests/contract/footprint.c tests/contract/footprint.h \
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

tests_bench_compact_SOURCES = $(bench_support) tests/bench/compact.c
tests_bench_compact_CPPFLAGS = $(bench_cppflags)
tests_bench_compact_CFLAGS = $(bench_cflags)
tests_bench_compact_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
tests_bench_compact_LDADD = $(bench_ldadd)

# A copy of the driver that notes how long its locks are held.  lock.c stays as it is, a library of its own, for what is
# in it is how locks are waited for.
check_LTLIBRARIES += tests/bench/timed/liblock.la tests/bench/timed/zsmalloc.la
tests_bench_timed_liblock_la_SOURCES = libzpool/support/lock.c libzpool/support/lock.h
tests_bench_timed_zsmalloc_la_SOURCES = \
	tests/bench/timed/timed_lock.c tests/bench/timed/timed_lock.h \
	$(plugins_zsmalloc_la_SOURCES) $(support_sources)
tests_bench_timed_zsmalloc_la_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)/tests/bench/timed -include timed_lock.h
tests_bench_timed_zsmalloc_la_LDFLAGS = $(plugin_ldflags) -rpath /nowhere
tests_bench_timed_zsmalloc_la_LIBADD = tests/bench/timed/liblock.la $(PTHREAD_LIBS)

tests_bench_locks_SOURCES = $(bench_support) tests/bench/locks.c tests/bench/timed/timed_lock.h
tests_bench_locks_CPPFLAGS = $(bench_cppflags) -I$(top_srcdir)/libzpool/support
tests_bench_locks_CFLAGS = $(bench_cflags)
tests_bench_locks_LDADD = $(bench_ldadd)

BENCH = frontend load density speed threads compact locks
BENCH_FLAGS =

.PHONY: bench
bench: all $(bench_programs) $(bench_drivers) tests/bench/nothing.la tests/bench/timed/zsmalloc.la
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) for program in $(BENCH); do \
		case $$program in \
		frontend) ZPOOL_TEST_MODULES=tests/bench/.libs/nothing.so ;; \
		locks) ZPOOL_TEST_MODULES=tests/bench/timed/.libs/zsmalloc.so ;; \
		*) ZPOOL_TEST_MODULES= ;; \
		esac; export ZPOOL_TEST_MODULES; \
		case $$program in frontend | load) flags= ;; *) flags='$(BENCH_FLAGS)' ;; esac; \
		$(SHELL) $(top_srcdir)/tests/with-plugins tests/bench/$$program $$flags || exit 1; done

TESTS += tests/bench/no_atomics.sh tests/bench/selftest.sh
EXTRA_DIST += tests/bench/no_atomics.sh tests/bench/selftest.sh tests/traces/py.lz4.sizes tests/traces/py.zstd.sizes
