#!/bin/sh
# SPDX-License-Identifier: MIT
#
# small.sh - run the conformance cases that choose sizes or numbers of objects on drivers that store only small objects
set -eu
contract=${abs_top_builddir:?is the build tree, set by make check}/tests/contract/contract

"$contract" --driver zsmalloc:max=1 --driver zsmalloc:max=64 \
    --case ops_are_read_only_during_create --case unknown_malloc_flags_are_refused \
    --case copy_of_a_fully_mapped_object_works_or_is_busy --case unmap_of_an_unmapped_handle_is_refused \
    --case unknown_map_modes_are_refused --case handle_zero_is_refused --case handles_are_never_reused \
    --case last_error_stays_after_success --case limit_is_never_exceeded --case failed_mallocs_change_nothing \
    --case limit_accepts_suffixes --case each_pool_has_its_own_limit --case total_size_is_resident_memory \
    --case pages_are_returned_to_the_page_source --case walk_callback_may_call_every_function \
    --case stats_count_refused_handles --case stats_separate_limit_and_nowait_failures --case classes_hold_all_objects \
    --case shrink_reports_the_reclaimed_pages --case objects_stored_again_are_young \
    --case each_pool_calls_its_own_callback --case mapped_objects_do_not_stop_a_shrink --case callback_may_compact \
    --case pool_stores_a_hundred_thousand_objects
