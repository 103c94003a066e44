#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stacks.sh - run the conformance cases that depend on filters (limits, NOWAIT, fork, eviction) on stacks of filters
set -eu
builddir=${abs_top_builddir:?is the build tree, set by make check}
# Cases open several pools at once, which could not write to the same regular file.
trace=trace:file=/dev/null

"$builddir/tests/contract/contract" --ops 20000 \
    --driver guard+guard+zsmalloc --driver "guard+$trace+zsmalloc" --driver "guard+fault+$trace+z3fold" \
    --driver "$trace+guard+fault+zbud" --driver "fault+$trace+guard+zblock" --driver "$trace+libc" \
    --case limit_is_never_exceeded --case limit_is_exact_for_every_value --case limit_can_be_changed_at_any_time \
    --case limit_holds_while_threads_allocate --case nowait_makes_no_system_call --case nowait_does_not_wait_for_locks \
    --case nowait_does_not_wait_for_pages --case shrink_reports_the_reclaimed_pages --case threads_shrink_concurrently \
    --case handle_may_be_freed_during_its_eviction --case fork_while_threads_work_leaves_consistent_pools \
    --case destroyed_pools_leak_nothing --case random_operations_match_a_reference
