#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stacks.sh - run the conformance cases that depend on filters (limits, NOWAIT, fork, eviction) on stacks of filters
set -eu
builddir=${abs_top_builddir:?is the build tree, set by make check}
dir=$(mktemp -d "${TMPDIR:-/tmp}/zpool-stacks.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
trace="trace:file=$dir/trace,overwrite=yes"

"$builddir/tests/contract/contract" --ops 20000 \
    --driver guard+guard+zsmalloc --driver "guard+$trace+zsmalloc" --driver "guard+fault+$trace+z3fold" \
    --driver "$trace+guard+fault+zbud" --driver "fault+$trace+guard+zblock" --driver "$trace+libc" \
    --case limit_is_never_passed --case limit_is_kept_to_the_page --case limit_changes_while_the_pool_lives \
    --case limit_holds_under_threads --case nowait_makes_no_system_call --case nowait_does_not_wait_for_others \
    --case nowait_does_not_wait_for_pages --case shrink_empties_the_pages_it_tells --case several_threads_shrink \
    --case the_handle_may_be_freed_meanwhile --case fork_waits_for_threads_at_work \
    --case ended_pools_leave_nothing_behind --case random_operations_match_a_reference
