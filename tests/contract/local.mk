# The conformance suite: runs the conformance tests on every driver found.

check_PROGRAMS += tests/contract/contract
TESTS += tests/contract/contract

# The cases and what they are written with.
contract_support = \
	tests/contract/case.h \
	tests/contract/checks.c \
	tests/contract/contract.h \
	tests/contract/crowd.c tests/contract/crowd.h \
	tests/contract/evictor.c tests/contract/evictor.h \
	tests/contract/objects.c tests/contract/objects.h \
	tests/contract/outcome.c tests/contract/outcome.h \
	tests/contract/pattern.c tests/contract/pattern.h \
	tests/contract/sets.c \
	tests/contract/setup.c \
	tests/contract/source.c tests/contract/source.h \
	tests/contract/threads.c

contract_sources = \
	$(contract_support) \
	tests/contract/cases.c tests/contract/cases.h \
	tests/contract/cases_badinput.c \
	tests/contract/cases_budget.c \
	tests/contract/cases_compact.c \
	tests/contract/cases_copies.c \
	tests/contract/cases_evict.c \
	tests/contract/cases_evict_threads.c \
	tests/contract/cases_extras.c \
	tests/contract/cases_file.c \
	tests/contract/cases_fork.c \
	tests/contract/cases_future.c \
	tests/contract/cases_handles.c \
	tests/contract/cases_leftovers.c \
	tests/contract/cases_load.c \
	tests/contract/cases_limits.c \
	tests/contract/cases_maps.c \
	tests/contract/cases_meetings.c \
	tests/contract/cases_memory.c \
	tests/contract/cases_model.c \
	tests/contract/cases_nowait.c \
	tests/contract/cases_objects.c \
	tests/contract/cases_pairs.c \
	tests/contract/cases_params.c \
	tests/contract/cases_params_store.c \
	tests/contract/cases_pools.c \
	tests/contract/cases_scale.c \
	tests/contract/cases_room.c \
	tests/contract/cases_shrink.c \
	tests/contract/cases_shrink_order.c \
	tests/contract/cases_sources.c \
	tests/contract/cases_stats.c \
	tests/contract/cases_threads.c \
	tests/contract/cases_walk.c \
	tests/contract/created.c tests/contract/created.h \
	tests/contract/footprint.c tests/contract/footprint.h \
	tests/contract/future.c tests/contract/future.h \
	tests/contract/keeper.c tests/contract/keeper.h \
	tests/contract/leftovers.c tests/contract/leftovers.h \
	tests/contract/module.c tests/contract/module.h \
	tests/contract/plan.c tests/contract/plan.h \
	tests/contract/processes.c tests/contract/processes.h \
	tests/contract/record.c tests/contract/record.h \
	tests/contract/runner.c \
	tests/contract/state.c tests/contract/state.h \
	tests/contract/stopper.c tests/contract/stopper.h \
	tests/contract/tap.c \
	tests/contract/watch.c tests/contract/watch.h \
	tests/stress/soak.h tests/stress/soak_case.c

# The suite as a library, for the programs here and for zpoolctl check.
if ENABLE_TOOLS
noinst_LIBRARIES += tests/contract/libzpcontract.a
else
check_LIBRARIES += tests/contract/libzpcontract.a
endif
tests_contract_libzpcontract_a_SOURCES = $(contract_sources)

tests_contract_contract_SOURCES = tests/contract/main.c
tests_contract_contract_CPPFLAGS = $(AM_CPPFLAGS) $(contract_preload_cppflags)
tests_contract_contract_LDFLAGS = $(AM_LDFLAGS) $(contract_preload_ldflags)
tests_contract_contract_LDADD = tests/contract/libzpcontract.a libzpool/libzpool.la $(PTHREAD_LIBS)

# Without shared libraries there are no plugins to load: the suite brings the drivers along.
if !ENABLE_SHARED
contract_preload_cppflags = -DCONTRACT_PRELOAD
contract_preload_ldflags = -static $(preload_plugins)
EXTRA_tests_contract_contract_DEPENDENCIES = $(plugin_LTLIBRARIES)
endif

# The suite on drivers of its own that have little more than what they must, and behind a filter.
check_PROGRAMS += tests/contract/with_mocks
TESTS += tests/contract/mocks.sh tests/contract/stacks.sh
EXTRA_DIST += tests/contract/mocks.sh tests/contract/stacks.sh

tests_contract_with_mocks_SOURCES = \
	tests/contract/main.c \
	tests/contract/mock_slabs.c \
	tests/contract/mocks.c tests/contract/mocks.h
tests_contract_with_mocks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/libzpool/support $(contract_preload_cppflags)
tests_contract_with_mocks_LDFLAGS = $(AM_LDFLAGS) $(contract_preload_ldflags)
tests_contract_with_mocks_LDADD = tests/contract/libzpcontract.a libzpool/support/libzpsupport.la libzpool/libzpool.la $(PTHREAD_LIBS)
if !ENABLE_SHARED
EXTRA_tests_contract_with_mocks_DEPENDENCIES = $(plugin_LTLIBRARIES)
endif
