#!/bin/sh
# SPDX-License-Identifier: MIT
#
# faults.sh - zpoolctl check catches broken drivers, each by the case that tests for its fault
#
# broken.c is built once for each fault below, and once without a fault, which must pass. ONLY_FAULT=NAME in the
# environment tests one fault alone.
set -eu
. "${srcdir:-.}/tests/tools/common.sh"

case ${SANITIZER_CFLAGS:-}${COVERAGE_CFLAGS:-}${ZPOOL_TEST_VALGRIND:-} in
?*)
    echo "broken drivers are only tested in a build without sanitizers and coverage"
    exit 77
    ;;
esac
srcdir=${abs_top_srcdir:?is the source tree, set by make check}
support=$builddir/libzpool/support/.libs/libzpsupport.a
[ -e "$support" ] || {
    echo "plugins cannot be built: the support library is not position-independent here"
    exit 77
}

# build NAME [FLAG...]: builds $work/plugins/NAME.so.  CC and CFLAGS are lists of words. More than a hundred drivers are
# built and each runs for a moment, so they are not optimized.
# shellcheck disable=SC2086
build()
{
    name=$1
    shift
    ${CC:-cc} -std=gnu11 -pthread -fPIC -fvisibility=hidden ${CFLAGS:-} -O0 -w -DHAVE_CONFIG_H -I"$builddir" \
        -I"$srcdir/libzpool" -I"$srcdir/libzpool/support" "-DTYPE=$name" "-DFAULT_$name" -shared -Wl,-z,now "$@" \
        "$srcdir/tests/check/broken.c" -o "$work/plugins/$name.so" "$support" || {
        echo "FAILED: $name does not compile"
        exit 1
    }
}

# check ARGUMENT...: runs the checks with the same random choices every time
patience=60
check()
{
    run check --seed 1 --ops 20000 --timeout $patience "$@"
}

# fault NAME CASE [FLAG...]: builds the driver with this fault; the case must fail
faults=0
fault()
{
    name=$1
    case_name=$2
    shift 2
    build "$name" "$@"
    check --case "$case_name" "$work/plugins/$name.so"
    exits "$name fails" 1
    prints "$name is caught by $case_name" "^not ok [0-9]+ - $name: $case_name\$"
    sed -n 's/^#   happened: /    /p' "$work/out"
    faults=$((faults + 1))
    rm "$work/plugins/$name.so"
}

if [ -n "${ONLY_FAULT:-}" ]; then
    sed -n "s/^\([^#]* \)\{0,1\}fault \($ONLY_FAULT [a-z].*\)/\2/p" "$0" >"$work/only"
    [ -s "$work/only" ] || {
        echo "FAILED: faults.sh has no line \"fault $ONLY_FAULT CASE\""
        exit 1
    }
    # shellcheck disable=SC2086 # the flags are a list of words
    while read -r name case_name flags; do
        fault "$name" "$case_name" $flags
    done <"$work/only"
    finish
fi

build sound
check "$work/plugins/sound.so"
exits "the driver without a fault is a success" 0
prints_not "no case fails" "^not ok"
prints "its file is checked" "^ok [0-9]+ - sound: file_can_be_unloaded_and_loaded_again\$"

build coarse
check --case limit_is_never_exceeded --case limit_accepts_suffixes --case failed_mallocs_change_nothing \
    --case limit_is_exact_for_every_value --case only_shrink_evicts --case total_size_follows_stored_bytes \
    --case total_size_is_resident_memory --case stats_separate_limit_and_nowait_failures --case peak_size_never_falls \
    --case random_operations_match_a_reference --case limit_holds_in_a_child "$work/plugins/coarse.so"
exits "a driver that takes four megabytes at once is a success" 0
prints_not "no case fails" "^not ok"

build small_objects
check --case loading_does_not_change_the_process --case pool_does_not_change_the_process \
    --case unloading_leaks_nothing --case exit_status_and_output_are_unchanged --case calls_leak_nothing \
    --case stats_count_compaction --case every_size_is_stored "$work/plugins/small_objects.so"
exits "a driver of small objects is a success" 0
prints_not "no case fails" "^not ok"

build tiny_objects
check --case limit_is_never_exceeded --case malloc_at_the_limit_trims_first "$work/plugins/tiny_objects.so"
exits "a driver of tiny objects that obeys its limit is a success" 0
prints_not "no case fails" "^not ok"

# With this seed, zsmalloc compacts its pool three times before a malloc fails, and a fourth compaction finds two pages.
check --case malloc_at_the_limit_trims_first --seed 1998379147 zsmalloc
exits "a compaction that wins little more than malloc's own is a success" 0

# These drivers count their large pages one by one, in zpool_shrink() and in the statistics.
for size in 12_kib 64_kib 2_mib; do
    build "pages_of_$size"
    check --case shrink_reports_the_reclaimed_pages --case shrink_evicts_hardly_more_than_requested \
        --case objects_stored_again_are_young --case each_pool_calls_its_own_callback \
        --case mapped_objects_do_not_stop_a_shrink --case callback_may_compact --case stats_report_stored_objects \
        --case stats_count_the_pages_that_shrink_empties "$work/plugins/pages_of_$size.so"
    exits "a driver with pages_of_$size is a success" 0
    prints_not "no case fails" "^not ok"
    rm "$work/plugins/pages_of_$size.so"
done

build bare
check "$work/plugins/bare.so"
exits "the driver with as little as it must have is a success" 0
prints "a case that it does not support is skipped with the reason" "^ok [0-9]+ - bare: shrink_.* # SKIP bare cannot evict objects"

build without_set_limit
check --case limit_is_never_exceeded --case limit_is_exact_for_every_value --case failed_mallocs_change_nothing \
    --case limit_accepts_suffixes --case limit_can_be_changed_at_any_time --case each_pool_has_its_own_limit \
    --case only_shrink_evicts --case limit_holds_while_threads_allocate "$work/plugins/without_set_limit.so"
exits "a driver that leaves its limit to the core is a success" 0
prints_not "no case fails" "^not ok"

build copies_only
check --case contents_survive_all_operations --case read_and_write_copy_the_exact_range --case ranges_outside_the_object_are_refused \
    --case stale_handles_are_refused --case read_races_with_free --case write_races_with_free --case calls_race_with_free \
    --case calls_race_with_move --case walk_visits_each_live_object_once --case callback_may_call_every_function \
    --case random_operations_match_a_reference "$work/plugins/copies_only.so"
exits "a driver that maps nothing is a success" 0
prints_not "no case fails" "^not ok"

fault handle_is_zero live_handles_differ
fault handle_given_twice live_handles_differ
fault loses_a_byte contents_survive_all_operations
fault overruns_by_a_byte contents_survive_all_operations
fault refuses_large_sizes every_size_is_stored
fault exits every_size_is_stored
fault zero_is_not_zeroed gfp_zero_clears_reused_memory
fault alignment_is_less every_address_is_aligned
fault unmap_does_nothing unmap_of_an_unmapped_handle_is_refused
fault stale_handles_are_mapped stale_handles_are_refused
fault free_takes_anything stale_handles_are_refused
fault ignores_the_limit limit_is_never_exceeded
fault ignores_the_limit space_of_ended_threads_is_usable_at_the_limit
prints "the failure names the limit of the pool" "never reached a limit of 3145728 bytes"
fault wrong_error_code limit_is_never_exceeded
fault leaks_pages total_size_follows_stored_bytes
fault total_size_is_too_small total_size_follows_stored_bytes
[ ! -r /proc/self/smaps_rollup ] || fault leaks_the_pool destroy_releases_resident_memory
fault trim_tells_too_much trim_reports_what_it_released
fault wrong_size obj_size_covers_the_request
fault walks_twice walk_visits_each_live_object_once
fault nowait_calls_the_system nowait_makes_no_system_call
fault forgets_to_evict shrink_reports_the_reclaimed_pages
fault mapped_object_moves compact_does_not_move_mapped_objects
fault ignores_the_budget compact_stops_at_its_byte_budget
fault free_is_not_thread_safe stats_are_exact_after_threads
fault starts_a_thread no_thread_is_started
fault crashes_in_create driver_is_found_by_its_name
fault stays_after_unload file_can_be_unloaded_and_loaded_again
fault shows_another_symbol file_exports_only_its_driver
fault calls_libzpool file_does_not_need_libzpool
fault bound_call_by_call file_is_bound_at_load_time -Wl,-z,lazy
fault note_is_another file_note_matches_the_driver

# Faults that show late or elsewhere.
fault class_is_a_byte_too_small every_size_is_stored
fault zeroes_a_pointers_size gfp_zero_clears_reused_memory
fault failed_malloc_writes_a_handle limit_is_never_exceeded
fault map_leaves_errno one_handle_can_be_mapped_sixty_times
fault range_check_overflows ranges_outside_the_object_are_refused
fault limit_is_a_page_too_wide limit_is_exact_for_every_value
fault threads_pass_the_limit limit_holds_while_threads_allocate
fault total_size_never_shrinks total_size_follows_stored_bytes
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault pools_leak_a_record destroyed_pools_leak_nothing
    fault pools_leak_addresses destroyed_pools_leak_nothing
    fault pools_leak_descriptors destroyed_pools_leak_nothing
    fault failed_pools_leak failed_creations_leak_nothing
    fault objects_leak_a_record freed_objects_leak_nothing
fi
fault prints_a_line nothing_is_printed
fault nowait_waits_for_a_lock nowait_does_not_wait_for_locks
fault evicts_another shrink_reports_the_reclaimed_pages
fault shrink_ends_early shrink_reports_the_reclaimed_pages
fault shrink_counts_what_was_refused refused_evictions_return_eagain
fault moves_all_but_a_byte contents_survive_all_operations
fault moves_what_was_mapped_meanwhile map_races_with_move
fault ignores_the_time compact_with_time_budget_finishes
fault thread_caches_stay objects_outlive_their_thread
fault threads_call_back_after_unload file_can_be_unloaded_and_loaded_again
fault child_shares_the_pages child_has_private_copies_of_pools
fault stats_drift stats_count_evictions
fault full_classes_look_half_empty classes_hold_all_objects
fault used_slots_are_called_free classes_hold_all_objects
fault errors_are_not_zero stats_of_a_new_pool_are_zero
fault pages_are_counted_twice stats_report_stored_objects
fault large_pages_are_counted_twice stats_count_the_pages_that_shrink_empties
fault moves_are_counted_as_objects stats_count_compaction
fault failed_mallocs_count_as_objects stats_separate_limit_and_nowait_failures
fault mapped_objects_are_called_dead mapped_objects_are_not_freed
fault forked_children_print nothing_is_printed
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault long_names_leak pools_with_all_arguments_leak_nothing
    fault statistics_leak calls_leak_nothing
    fault refused_frees_leak calls_leak_nothing
    fault trims_leak_descriptors calls_leak_nothing
fi

# Faults that show in large pools only.
fault walk_ends_at_20000 pool_stores_a_hundred_thousand_objects
fault objects_share_bytes_beyond_65536 pool_stores_a_hundred_thousand_objects
fault objects_are_counted_in_16_bits pool_stores_a_hundred_thousand_objects
fault addresses_wrap_at_32_megabytes pool_grows_beyond_half_a_gibibyte
fault total_size_wraps_at_128_mib pool_grows_beyond_half_a_gibibyte
fault the_largest_objects_overlap large_objects_share_no_bytes

fault compacts_small_pools_only pool_stores_a_hundred_thousand_objects
fault evicts_from_small_pools_only pool_stores_a_hundred_thousand_objects
[ ! -r /proc/self/statm ] || fault large_pools_leak large_pools_leak_nothing

# Faults that show next to another pool, in a forked child, or with unusual arguments.
fault pools_share_a_source each_pool_uses_its_own_page_source
fault commits_twice objects_lie_in_memory_of_the_page_source
fault the_first_pool_has_the_limit each_pool_has_its_own_limit
fault limits_have_32_bits limits_above_four_gibibytes_work
fault children_have_no_limit limit_holds_in_a_child
[ ! -r /proc/self/statm ] || fault freed_slots_stay_taken freed_objects_leak_nothing
fault refuses_hints every_gfp_hint_is_accepted
fault refuses_long_names any_pool_name_is_accepted
fault maps_without_end one_handle_can_be_mapped_sixty_times
fault maps_without_end copy_of_a_fully_mapped_object_works_or_is_busy

# Faults that only show with a future version of the core.
fault keeps_the_name create_keeps_no_pointer_to_its_arguments
fault keeps_the_arguments create_keeps_no_pointer_to_its_arguments
fault refuses_larger_arguments create_keeps_no_pointer_to_its_arguments
fault refuses_a_later_host create_keeps_no_pointer_to_its_arguments
fault clears_what_create_gives create_keeps_no_pointer_to_its_arguments
fault values_are_an_array parameter_values_may_be_larger
fault stats_have_one_size stats_fit_every_structure_size
fault stats_refuse_other_sizes stats_fit_every_structure_size
fault stats_copy_too_much stats_fit_every_structure_size
fault account_goes_wrong verify_finds_no_damage

# Things that a driver must not do to its host: when it is loaded, while it has a pool, and when it is unloaded.
odd()
{
    case_name=$1
    shift
    for act in "$@"; do
        ODD=$act check --case "$case_name" "$work/plugins/odd.so"
        prints "$act is caught by $case_name" "^not ok [0-9]+ - odd: $case_name\$"
        sed -n 's/^#   happened: /    /p' "$work/out"
        faults=$((faults + 1))
    done
}
if [ -r /proc/self/status ] && [ -r /proc/self/fd ]; then
    build odd
    check --case loading_does_not_change_the_process --case pool_does_not_change_the_process \
        --case unloading_leaks_nothing --case exit_status_and_output_are_unchanged "$work/plugins/odd.so"
    exits "a driver that does none of this is a success" 0
    odd loading_does_not_change_the_process load_thread load_fork load_daemon load_returns load_helper load_print \
        load_warn load_signal load_ignore load_mask load_stack load_setenv load_unsetenv load_umask load_chdir \
        load_rlimit load_locale load_alarm load_open load_close load_nonblock load_name load_exit load_buffer \
        load_reaper load_dumpable
    odd pool_does_not_change_the_process create_thread create_fork create_daemon create_returns create_print \
        create_signal create_mask create_setenv create_umask create_chdir create_rlimit create_alarm create_open \
        destroy_warn destroy_fork destroy_ignore destroy_open destroy_umask destroy_exit malloc_umask many_thread \
        many_returns free_signal map_rlimit shrink_chdir compact_open trim_setenv stats_print limit_daemon \
        create_srand malloc_cancel destroy_buffer
    [ "$(uname -m)" != x86_64 ] || odd pool_does_not_change_the_process malloc_float
    [ "$(uname -m)" != x86_64 ] || odd loading_does_not_change_the_process load_float
    [ ! -r /proc/sysvipc/shm ] || odd loading_does_not_change_the_process load_segment
    ODD='' check --case no_file_remains_after_unloading "$work/plugins/odd.so"
    if ! grep -q '# SKIP' "$work/out"; then
        odd no_file_remains_after_unloading load_file create_temporary create_directory unload_file malloc_temporary
        rm -rf "$TMPDIR"/odd*
    fi
    odd unloading_leaks_nothing load_map load_malloc load_key load_library load_atexit unload_print \
        unload_umask unload_chdir unload_daemon unload_exit unload_thread
    odd exit_status_and_output_are_unchanged unload_warn unload_exit load_exit create_exit load_atexit
    rm "$work/plugins/odd.so"
    processes=$(grep -l "$work/plugins/odd.so" /proc/[0-9]*/maps 2>/dev/null || :)
    is "no process of these drivers is left" "" "$processes"
fi

# Faults in the order of events.
fault evicts_everything shrink_evicts_hardly_more_than_requested
fault evicts_twice_as_much shrink_evicts_hardly_more_than_requested
fault tells_what_was_asked shrink_evicts_hardly_more_than_requested
fault a_map_makes_younger using_an_object_does_not_make_it_younger
fault used_again_is_not_younger objects_stored_again_are_young
fault a_refusal_blocks_the_rest refused_objects_do_not_block_eviction_of_others
fault pools_share_a_callback each_pool_calls_its_own_callback
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault mapped_objects_keep_the_pool pools_destroyed_while_mapped_leak_nothing
    fault refused_evictions_leak pools_destroyed_half_evicted_leak_nothing
    fault failed_mallocs_leak pools_destroyed_after_failures_leak_nothing
    fault threads_leak_a_record pools_destroyed_after_threads_leak_nothing
    fault records_of_threads_pile_up ended_threads_leave_nothing_in_a_pool
fi
fault pools_are_at_most_256 hundreds_of_pools_can_exist
fault reads_what_is_freed read_races_with_free
fault writes_to_what_is_freed write_races_with_free
fault the_greatest_value_overflows objects_are_stored_with_every_parameter_value
fault the_least_value_divides objects_are_stored_with_every_parameter_value
fault a_choice_loses_a_byte objects_are_stored_with_every_parameter_value

# Faults that need two conditions at the same time.
fault maps_what_is_freed calls_race_with_free
fault two_frees_count_twice calls_race_with_free
fault writes_where_it_was calls_race_with_move
fault moves_what_was_mapped_meanwhile calls_race_with_move
fault threads_are_at_most_64 pools_destroyed_after_threads_leak_nothing
fault a_second_compaction_harms compact_releases_memory_and_preserves_contents
fault a_full_pool_stays_full limit_is_never_exceeded
fault a_refused_page_loses_an_object limit_is_never_exceeded
fault limits_are_never_lifted limit_zero_means_no_limit
fault lower_limits_are_refused limit_zero_means_no_limit
fault reads_are_partial read_and_write_copy_the_exact_range
fault writes_are_partial read_and_write_copy_the_exact_range
fault shrink_multiplies_in_32_bits shrink_with_nothing_left_returns_einval
fault deadlines_overflow largest_budget_means_no_budget
fault zeroes_one_page_only gfp_zero_clears_reused_memory
fault maps_are_at_most_2048 many_handles_are_mapped_at_once
fault handles_have_32_bits walk_visits_each_live_object_once
fault walks_do_not_stop walk_stops_when_the_callback_returns_nonzero
fault walks_leave_out_what_is_mapped walk_visits_each_live_object_once
fault a_class_is_not_told classes_hold_all_objects
fault the_peak_is_what_is_held peak_size_never_falls
fault mapped_handles_stay_at_zero stats_count_mapped_handles
fault stored_bytes_only_rise stats_report_stored_objects
fault trim_tells_nothing trim_reports_what_it_released
fault total_size_omits_the_handles stats_report_stored_objects
fault children_cannot_compact child_has_private_copies_of_pools
fault an_evict_error_passes_through refused_evictions_return_eagain
fault one_map_ends_a_shrink mapped_objects_do_not_stop_a_shrink

# Drivers that never finish.
patience=3
fault free_locks_across_compact any_two_calls_run_concurrently
fault shrink_locks_across_stats any_two_calls_run_concurrently
fault nowait_waits_for_a_lock nowait_does_not_wait_for_pages
fault walks_with_a_lock_held walk_callback_may_change_the_pool
fault cancelled_with_the_lock_held cancelled_threads_complete_their_calls
fault fork_takes_no_lock fork_during_a_call_leaves_a_consistent_child
fault child_keeps_the_lock child_has_private_copies_of_pools
fault evicts_with_a_lock_held slow_callback_blocks_no_other_thread
prints "a deadlock is reported as one" "happened: a deadlock: for [0-9]+ s the case neither finished a step nor"
fault hangs_in_shrink shrink_reports_the_reclaimed_pages
prints "waiting without end is reported as a deadlock" "happened: a deadlock: for [0-9]+ s the case neither finished a step nor"
fault loops_in_shrink shrink_reports_the_reclaimed_pages
prints "computing without end is reported as an endless loop" "happened: an endless loop: the case used [0-9]+ s of processor time without"
fault stops_itself driver_is_found_by_its_name
prints "the check does not wait for a stopped process" "happened: stopped by signal [0-9]+"

# These drivers are slow, because they wait or compute. This is not a fault, and no time limit may make it one.
patience=1
for slow in waits_a_moment computes_a_moment; do
    build $slow
    check --case every_size_is_stored "$work/plugins/$slow.so"
    exits "a slow driver ($slow) is a success" 0
    prints "it passes" "^ok 1 - $slow: every_size_is_stored\$"
done
check --no-fork --case every_size_is_stored "$work/plugins/waits_a_moment.so"
exits "a case without a process of its own is not ended by the clock" 0
prints "it passes" "^ok 1 - waits_a_moment: every_size_is_stored\$"
patience=60

# The failure shows what the driver printed, escaped so that it cannot affect a terminal.
fault prints_and_crashes driver_is_found_by_its_name
prints "the output of a driver that crashes is shown, escaped" '^#   printed:  \\x1b\[31mI fall\.$'
prints "the following lines are shown" "^# +line 3\$"
prints "the middle of a long output is left out" "^# +\[[0-9]+ bytes are left out here\]\$"
prints "the last line is shown" "^# +line 2000\$"
fault prints_a_megabyte_and_dies driver_is_found_by_its_name
prints "the end of much output is shown" "^# +the end\$"

echo "$faults faults tested"
finish
