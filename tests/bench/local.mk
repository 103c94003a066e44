# Programs that measure what a call costs inside, for work on the library itself: `make bench-calls'. Their figures
# depend on the machine, so `make check' only tests that the programs work. Users measure with `zpoolctl bench'.
#
#   make bench-calls [BENCH='frontend locks']

bench_programs = tests/bench/frontend tests/bench/load
if ENABLE_STORE
bench_programs += tests/bench/store
tests_bench_store_SOURCES = tests/bench/store.c tests/bench/bench.h
tests_bench_store_CPPFLAGS = $(store_cppflags) -I$(top_srcdir)/tests/bench
tests_bench_store_CFLAGS = $(AM_CFLAGS) $(STORE_CFLAGS)
tests_bench_store_LDADD = store/libzpool-store.la libzpool/libzpool.la $(STORE_LIBS) $(PTHREAD_LIBS)
bench_programs += tests/bench/dictionary
tests_bench_dictionary_SOURCES = tests/bench/dictionary.c tests/bench/bench.h tests/store/documents.c tests/store/documents.h
tests_bench_dictionary_CPPFLAGS = $(store_cppflags) -I$(top_srcdir)/tests/bench -I$(top_srcdir)/tests/store
tests_bench_dictionary_LDADD = store/libzpool-store.la libzpool/libzpool.la
bench_store = store dictionary
# The script bench.sh of the tests of nbdkit runs this one, because it prepares the zram device.
bench_programs += tests/bench/zram
tests_bench_zram_SOURCES = tests/bench/zram.c tests/bench/bench.h
tests_bench_zram_CPPFLAGS = $(store_cppflags) -I$(top_srcdir)/tests/bench
tests_bench_zram_LDADD = store/libzpool-store.la libzpool/libzpool.la
endif
CLEANFILES += $(bench_programs)
EXTRA_PROGRAMS += $(bench_programs)

# The plugin is not installed; -rpath makes libtool build a shared module nevertheless.
EXTRA_LTLIBRARIES = tests/bench/nothing.la
tests_bench_nothing_la_SOURCES = tests/bench/nothing.c
tests_bench_nothing_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere $(PLUGIN_LDFLAGS)

tests_bench_frontend_SOURCES = tests/bench/frontend.c tests/bench/bench.h
tests_bench_frontend_LDADD = libzpool/libzpool.la

tests_bench_load_SOURCES = tests/bench/load.c tests/bench/bench.h
tests_bench_load_LDADD = libzpool/libzpool.la

# A copy of the driver that records how long its locks are held. lock.c is compiled separately, without the macros of
# timed_lock.h, because it implements the waiting for a lock.
check_LTLIBRARIES += tests/bench/timed/liblock.la tests/bench/timed/zsmalloc.la
tests_bench_timed_liblock_la_SOURCES = libzpool/support/lock.c libzpool/support/lock.h libzpool/support/yield.c
tests_bench_timed_zsmalloc_la_SOURCES = \
	tests/bench/timed/timed_lock.c tests/bench/timed/timed_lock.h \
	$(plugins_zsmalloc_la_SOURCES) $(support_sources)
tests_bench_timed_zsmalloc_la_CPPFLAGS = $(plugin_cppflags) -I$(top_srcdir)/tests/bench/timed -include timed_lock.h
tests_bench_timed_zsmalloc_la_LDFLAGS = $(plugin_ldflags) -rpath /nowhere
tests_bench_timed_zsmalloc_la_LIBADD = tests/bench/timed/liblock.la $(PTHREAD_LIBS)

check_PROGRAMS += tests/bench/locks
tests_bench_locks_SOURCES = tests/bench/locks.c tests/bench/bench.h tests/bench/timed/timed_lock.h
tests_bench_locks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/libzpool/support -DBENCH_TRACES='"$(abs_top_srcdir)/tests/traces"'
tests_bench_locks_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)

BENCH = frontend load locks $(bench_store)

.PHONY: bench-calls
bench-calls: all $(bench_programs) tests/bench/locks tests/bench/nothing.la tests/bench/timed/zsmalloc.la
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) for program in $(BENCH); do \
		case $$program in \
		frontend) ZPOOL_TEST_MODULE=tests/bench/.libs/nothing.so ;; \
		locks) ZPOOL_TEST_MODULE=tests/bench/timed/.libs/zsmalloc.so ;; \
		*) ZPOOL_TEST_MODULE= ;; \
		esac; export ZPOOL_TEST_MODULE; \
		$(SHELL) $(top_srcdir)/tests/with-plugins tests/bench/$$program || exit 1; done

TESTS += tests/bench/no_atomics.sh tests/bench/locks.sh
EXTRA_DIST += tests/bench/no_atomics.sh tests/bench/locks.sh tests/traces/py.lz4.sizes tests/traces/py.zstd.sizes
