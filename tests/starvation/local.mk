# What happens when calls of the C library fail. `make check' takes a few of them, chosen by a seed, and
#
#   make check-starvation [STARVATION_FLAGS='--scenario "guard+zbud"']
#
# takes all of them.

STARVATION_FLAGS =
starvation_programs =
starvation_shim =

if ENABLE_SHARED
starvation_shim += tests/starvation/starve.la
check_LTLIBRARIES += tests/starvation/starve.la
tests_starvation_starve_la_SOURCES = tests/starvation/shim.c tests/starvation/shim_calls.c tests/starvation/starve.h
tests_starvation_starve_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) $(filter -DZPOOL_COVERAGE%,$(COVERAGE_CFLAGS))
# It is loaded before every other library, also into programs without sanitizers.
tests_starvation_starve_la_CFLAGS = -std=gnu11 $(PTHREAD_CFLAGS) $(WARN_CFLAGS) $(HARDEN_CFLAGS) -fvisibility=hidden
tests_starvation_starve_la_LDFLAGS = -module -avoid-version -rpath /nowhere
tests_starvation_starve_la_LIBADD = -ldl $(PTHREAD_LIBS)

starvation_programs += tests/starvation/pools tests/starvation/loader
if ENABLE_STORE
starvation_programs += tests/starvation/store
endif
if ENABLE_TOOLS
starvation_programs += tests/starvation/tools
endif
check_PROGRAMS += $(starvation_programs)
TESTS += $(starvation_programs)

starvation_runner = tests/starvation/runner.c tests/starvation/runner.h tests/starvation/starve.h

tests_starvation_pools_SOURCES = tests/starvation/pools.c $(starvation_runner)
tests_starvation_pools_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_starvation_pools_LDADD = libzpool/libzpool.la -ldl $(PTHREAD_LIBS)

tests_starvation_loader_SOURCES = tests/starvation/loader.c $(starvation_runner)
tests_starvation_loader_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_starvation_loader_LDADD = libzpool/libzpool.la -ldl $(PTHREAD_LIBS)

tests_starvation_store_SOURCES = tests/starvation/store.c $(starvation_runner)
tests_starvation_store_CPPFLAGS = $(store_cppflags)
tests_starvation_store_LDADD = store/libzpool-store.la libzpool/libzpool.la -ldl $(PTHREAD_LIBS)

tests_starvation_tools_SOURCES = tests/starvation/tools.c tests/starvation/starve.h
tests_starvation_tools_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
endif

.PHONY: check-starvation
check-starvation: $(starvation_programs) $(starvation_shim) $(plugin_LTLIBRARIES)
	status=0; for program in $(starvation_programs); do \
		echo "check-starvation: $$program"; \
		$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins $$program --all $(STARVATION_FLAGS) || \
			test $$? -eq 77 || status=1; \
	done; exit $$status
