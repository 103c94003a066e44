# The conformance suite: what every driver must do for callers of zpool.h.  A library of cases and a runner, for
# `zpoolctl check' and for the programs in tests/.

if ENABLE_TOOLS
noinst_LIBRARIES += conformance/libconformance.a
else
check_LIBRARIES += conformance/libconformance.a
endif
conformance_libconformance_a_SOURCES = \
	conformance/again.c \
	conformance/case.h \
	conformance/cases.c conformance/cases.h \
	conformance/cases_badinput.c \
	conformance/cases_budget.c \
	conformance/cases_cancel.c \
	conformance/cases_compact.c \
	conformance/cases_copies.c \
	conformance/cases_evict.c \
	conformance/cases_evict_threads.c \
	conformance/cases_extras.c \
	conformance/cases_file.c \
	conformance/cases_fork.c \
	conformance/cases_future.c \
	conformance/cases_handles.c \
	conformance/cases_leftovers.c \
	conformance/cases_limits.c \
	conformance/cases_load.c \
	conformance/cases_maps.c \
	conformance/cases_meetings.c \
	conformance/cases_memory.c \
	conformance/cases_model.c \
	conformance/cases_nowait.c \
	conformance/cases_objects.c \
	conformance/cases_pairs.c \
	conformance/cases_params.c \
	conformance/cases_params_store.c \
	conformance/cases_pools.c \
	conformance/cases_room.c \
	conformance/cases_scale.c \
	conformance/cases_shrink.c \
	conformance/cases_shrink_order.c \
	conformance/cases_sources.c \
	conformance/cases_stats.c \
	conformance/cases_stats_threads.c \
	conformance/cases_threads.c \
	conformance/cases_walk.c \
	conformance/checks.c \
	conformance/contract.h \
	conformance/created.c conformance/created.h \
	conformance/crowd.c conformance/crowd.h \
	conformance/evictor.c conformance/evictor.h \
	conformance/footprint.c conformance/footprint.h \
	conformance/future.c conformance/future.h \
	conformance/keeper.c conformance/keeper.h \
	conformance/leftovers.c conformance/leftovers.h \
	conformance/module.c conformance/module.h \
	conformance/objects.c conformance/objects.h \
	conformance/outcome.c conformance/outcome.h \
	conformance/pattern.c conformance/pattern.h \
	conformance/plan.c conformance/plan.h \
	conformance/processes.c conformance/processes.h \
	conformance/record.c conformance/record.h \
	conformance/runner.c \
	conformance/sets.c \
	conformance/setup.c \
	conformance/soak.c conformance/soak.h \
	conformance/source.c conformance/source.h \
	conformance/state.c conformance/state.h \
	conformance/stats.h \
	conformance/stopper.c conformance/stopper.h \
	conformance/tap.c \
	conformance/threads.c \
	conformance/watch.c conformance/watch.h
