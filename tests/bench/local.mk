# Speed and memory, printed as ratios within one run: `make bench'.  Never part of `make check', for machines differ.

EXTRA_PROGRAMS += tests/bench/frontend tests/bench/load
CLEANFILES += $(EXTRA_PROGRAMS)

# Not installed; -rpath makes libtool build a shared module all the same.
EXTRA_LTLIBRARIES = tests/bench/nothing.la
tests_bench_nothing_la_SOURCES = tests/bench/nothing.c
tests_bench_nothing_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere $(PLUGIN_LDFLAGS)

tests_bench_frontend_SOURCES = tests/bench/frontend.c tests/bench/bench.h
tests_bench_frontend_LDADD = libzpool/libzpool.la

tests_bench_load_SOURCES = tests/bench/load.c tests/bench/bench.h
tests_bench_load_LDADD = libzpool/libzpool.la

bench_programs = tests/bench/frontend tests/bench/load

.PHONY: bench
bench: all $(bench_programs) tests/bench/nothing.la
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) ZPOOL_TEST_MODULES=tests/bench/.libs/nothing.so; export ZPOOL_TEST_MODULES; \
	for program in $(bench_programs); do \
		$(top_srcdir)/tests/with-plugins ./$$program || exit 1; done

TESTS += tests/bench/no_atomics.sh
EXTRA_DIST += tests/bench/no_atomics.sh
