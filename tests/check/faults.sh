#!/bin/sh
# SPDX-License-Identifier: MIT
#
# faults.sh - zpoolctl check catches broken drivers, each by the case that tests for its fault
#
# broken.c is built once for each fault below, and once without a fault, which must pass. ONLY_FAULT=NAME in the
# environment tests one fault alone.
set -eu
. "${srcdir:-.}/tests/tools/common.sh"

case ${SANITIZER_CFLAGS:-}${ZPOOL_TEST_VALGRIND:-} in
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

# build NAME [FLAG...]: builds $work/plugins/NAME.so.  CC and CFLAGS are lists of words.
# shellcheck disable=SC2086
build()
{
    name=$1
    shift
    ${CC:-cc} -std=gnu11 -pthread -fPIC -fvisibility=hidden ${CFLAGS:--O2} -w -DHAVE_CONFIG_H -I"$builddir" \
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
prints "its file is checked" "^ok [0-9]+ - sound: file_goes_and_comes_again\$"

build coarse
check --case limit_is_never_passed --case limit_takes_suffixes --case failed_mallocs_leave_nothing_behind \
    --case limit_is_kept_to_the_page --case nothing_is_evicted_unasked --case total_size_follows_what_is_stored \
    --case total_size_is_resident_memory --case stats_tell_the_limit_from_want_of_memory --case the_peak_stays \
    --case random_operations_match_a_reference --case the_limit_holds_in_a_child "$work/plugins/coarse.so"
exits "a driver that takes four megabytes at once is a success" 0
prints_not "no case fails" "^not ok"

build small_objects
check --case loading_leaves_the_process_alone --case a_pool_leaves_the_process_alone \
    --case unloading_leaves_nothing_behind --case exit_is_undisturbed --case calls_leave_nothing_behind \
    --case stats_count_compaction --case every_size_is_stored "$work/plugins/small_objects.so"
exits "a driver of small objects is a success" 0
prints_not "no case fails" "^not ok"

build bare
check "$work/plugins/bare.so"
exits "the driver with as little as it must have is a success" 0
prints "a case that it does not support is skipped with the reason" "^ok [0-9]+ - bare: shrink_.* # SKIP bare cannot evict objects"

build without_set_limit
check --case limit_is_never_passed --case limit_is_kept_to_the_page --case failed_mallocs_leave_nothing_behind \
    --case limit_takes_suffixes --case limit_changes_while_the_pool_lives --case each_pool_has_its_own_limit \
    --case nothing_is_evicted_unasked --case limit_holds_under_threads "$work/plugins/without_set_limit.so"
exits "a driver that leaves its limit to the core is a success" 0
prints_not "no case fails" "^not ok"

build copies_only
check --case contents_last_through_everything --case copies_meet_what_is_mapped --case ranges_outside_are_refused \
    --case stale_handles_are_refused --case a_read_meets_a_free --case a_write_meets_a_free --case calls_meet_a_free \
    --case calls_meet_a_move --case walk_visits_each_live_object_once --case callback_may_call_every_function \
    --case random_operations_match_a_reference "$work/plugins/copies_only.so"
exits "a driver that maps nothing is a success" 0
prints_not "no case fails" "^not ok"

fault handle_is_zero live_handles_differ
fault handle_given_twice live_handles_differ
fault loses_a_byte contents_last_through_everything
fault overruns_by_a_byte contents_last_through_everything
fault refuses_large_sizes every_size_is_stored
fault exits every_size_is_stored
fault zero_is_not_zeroed zero_means_zero_also_in_used_memory
fault alignment_is_less every_address_is_aligned
fault unmap_does_nothing unmapping_too_often_is_refused
fault stale_handles_are_mapped stale_handles_are_refused
fault free_takes_anything stale_handles_are_refused
fault ignores_the_limit limit_is_never_passed
fault wrong_error_code limit_is_never_passed
fault leaks_pages total_size_follows_what_is_stored
fault total_size_is_too_small total_size_follows_what_is_stored
[ ! -r /proc/self/smaps_rollup ] || fault leaks_the_pool an_ended_pool_leaves_nothing_resident
fault trim_tells_too_much trim_tells_what_it_gave_back
fault wrong_size obj_size_covers_the_request
fault walks_twice walk_visits_each_live_object_once
fault nowait_calls_the_system nowait_makes_no_system_call
fault forgets_to_evict shrink_empties_the_pages_it_tells
fault mapped_object_moves compact_moves_around_what_is_mapped
fault ignores_the_budget compact_keeps_to_its_budget
fault free_is_not_thread_safe stats_are_true_after_threads
fault starts_a_thread no_thread_is_started
fault crashes_in_create pool_can_be_made
fault stays_after_unload file_goes_and_comes_again
fault shows_another_symbol file_shows_only_its_driver
fault calls_libzpool file_asks_nothing_of_libzpool
fault bound_call_by_call file_is_bound_at_once -Wl,-z,lazy
fault note_is_another file_note_tells_the_head

# Faults that show late or elsewhere.
fault class_is_a_byte_too_small every_size_is_stored
fault zeroes_a_pointers_size zero_means_zero_also_in_used_memory
fault failed_malloc_writes_a_handle limit_is_never_passed
fault map_leaves_errno one_handle_is_mapped_sixty_times
fault range_check_overflows ranges_outside_are_refused
fault limit_is_a_page_too_wide limit_is_kept_to_the_page
fault threads_pass_the_limit limit_holds_under_threads
fault total_size_never_shrinks total_size_follows_what_is_stored
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault pools_leak_a_record ended_pools_leave_nothing_behind
    fault pools_leak_addresses ended_pools_leave_nothing_behind
    fault pools_leak_descriptors ended_pools_leave_nothing_behind
    fault failed_pools_leak refused_pools_leave_nothing_behind
    fault objects_leak_a_record freed_objects_leave_nothing_behind
fi
fault prints_a_line nothing_is_printed
fault nowait_waits_for_a_lock nowait_does_not_wait_for_others
fault evicts_another shrink_empties_the_pages_it_tells
fault shrink_ends_early shrink_empties_the_pages_it_tells
fault shrink_counts_what_was_refused refusing_callbacks_end_in_eagain
fault moves_all_but_a_byte contents_last_through_everything
fault moves_what_was_mapped_meanwhile a_map_meets_a_move
fault ignores_the_time compact_by_time_comes_to_its_end
fault thread_caches_stay ended_threads_leave_their_objects
fault threads_call_back_after_unload file_goes_and_comes_again
fault child_shares_the_pages a_child_has_copies_of_its_own
fault stats_drift stats_count_evictions
fault full_classes_look_half_empty classes_hold_all_objects
fault used_slots_are_called_free classes_hold_all_objects
fault errors_are_not_zero stats_of_a_new_pool_are_zero
fault moves_are_counted_as_objects stats_count_compaction
fault failed_mallocs_count_as_objects stats_tell_the_limit_from_want_of_memory
fault mapped_objects_are_called_dead mapped_objects_are_not_freed
fault forked_children_print nothing_is_printed
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault long_names_leak pools_with_all_arguments_leave_nothing_behind
    fault statistics_leak calls_leave_nothing_behind
    fault refused_frees_leak calls_leave_nothing_behind
    fault trims_leak_descriptors calls_leave_nothing_behind
fi

# Faults that show in large pools only.
fault walk_ends_at_20000 a_hundred_thousand_objects
fault objects_share_bytes_beyond_65536 a_hundred_thousand_objects
fault objects_are_counted_in_16_bits a_hundred_thousand_objects
fault addresses_wrap_at_32_megabytes half_a_gibibyte_of_addresses
fault total_size_wraps_at_128_mib half_a_gibibyte_of_addresses

fault compacts_small_pools_only a_hundred_thousand_objects
fault evicts_from_small_pools_only a_hundred_thousand_objects
[ ! -r /proc/self/statm ] || fault large_pools_leak large_pools_leave_nothing_behind

# Faults that show next to another pool, in a forked child, or with unusual arguments.
fault pools_share_a_source each_pool_uses_its_own_source
fault commits_twice objects_live_in_the_sources_pages
fault the_first_pool_has_the_limit each_pool_has_its_own_limit
fault limits_have_32_bits limits_above_four_gibibytes_are_kept
fault children_have_no_limit the_limit_holds_in_a_child
[ ! -r /proc/self/statm ] || fault freed_slots_stay_taken freed_objects_leave_nothing_behind
fault refuses_hints hints_do_not_keep_a_pool_from_working
fault refuses_long_names any_name_will_do
fault maps_without_end one_handle_is_mapped_sixty_times
fault maps_without_end copies_of_much_mapped_objects_work_or_are_busy

# Faults that only show with a future version of the core.
fault keeps_the_name args_are_gone_when_create_returns
fault keeps_the_arguments args_are_gone_when_create_returns
fault refuses_larger_arguments args_are_gone_when_create_returns
fault refuses_a_later_host args_are_gone_when_create_returns
fault clears_what_create_gives args_are_gone_when_create_returns
fault values_are_an_array values_may_be_larger
fault stats_have_one_size statistics_fit_each_size
fault stats_refuse_other_sizes statistics_fit_each_size
fault stats_copy_too_much statistics_fit_each_size
fault account_goes_wrong verify_finds_nothing_wrong

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
    check --case loading_leaves_the_process_alone --case a_pool_leaves_the_process_alone \
        --case unloading_leaves_nothing_behind --case exit_is_undisturbed "$work/plugins/odd.so"
    exits "a driver that does none of this is a success" 0
    odd loading_leaves_the_process_alone load_thread load_fork load_daemon load_returns load_helper load_print \
        load_warn load_signal load_ignore load_mask load_stack load_setenv load_unsetenv load_umask load_chdir \
        load_rlimit load_locale load_alarm load_open load_close load_nonblock load_name load_exit load_buffer \
        load_reaper load_dumpable
    odd a_pool_leaves_the_process_alone create_thread create_fork create_daemon create_returns create_print \
        create_signal create_mask create_setenv create_umask create_chdir create_rlimit create_alarm create_open \
        destroy_warn destroy_fork destroy_ignore destroy_open destroy_umask destroy_exit malloc_umask many_thread \
        many_returns free_signal map_rlimit shrink_chdir compact_open trim_setenv stats_print limit_daemon \
        create_srand malloc_cancel destroy_buffer
    [ "$(uname -m)" != x86_64 ] || odd a_pool_leaves_the_process_alone malloc_float
    [ "$(uname -m)" != x86_64 ] || odd loading_leaves_the_process_alone load_float
    [ ! -r /proc/sysvipc/shm ] || odd loading_leaves_the_process_alone load_segment
    ODD='' check --case no_file_is_left "$work/plugins/odd.so"
    if ! grep -q '# SKIP' "$work/out"; then
        odd no_file_is_left load_file create_temporary create_directory unload_file malloc_temporary
        rm -rf "$TMPDIR"/odd*
    fi
    odd unloading_leaves_nothing_behind load_map load_malloc load_key load_library load_atexit unload_print \
        unload_umask unload_chdir unload_daemon unload_exit unload_thread
    odd exit_is_undisturbed unload_warn unload_exit load_exit create_exit load_atexit
    rm "$work/plugins/odd.so"
    processes=$(grep -l "$work/plugins/odd.so" /proc/[0-9]*/maps 2>/dev/null || :)
    is "no process of these drivers is left" "" "$processes"
fi

# Faults in the order of events.
fault evicts_everything shrink_evicts_little_more_than_asked
fault evicts_twice_as_much shrink_evicts_little_more_than_asked
fault tells_what_was_asked shrink_evicts_little_more_than_asked
fault a_map_makes_younger using_an_object_does_not_make_it_younger
fault used_again_is_not_younger objects_stored_again_are_young
fault a_refusal_blocks_the_rest objects_that_always_refuse_do_not_stop_the_rest
fault pools_share_a_callback each_pool_calls_its_own_callback
if [ -r /proc/self/statm ] && [ -r /proc/self/fd ]; then
    fault mapped_objects_keep_the_pool pools_ended_while_mapped_leave_nothing_behind
    fault refused_evictions_leak pools_ended_half_evicted_leave_nothing_behind
    fault failed_mallocs_leak pools_ended_after_failures_leave_nothing_behind
    fault threads_leak_a_record pools_ended_after_threads_leave_nothing_behind
fi
fault pools_are_at_most_256 hundreds_of_pools_live_at_once
fault reads_what_is_freed a_read_meets_a_free
fault writes_to_what_is_freed a_write_meets_a_free
fault the_greatest_value_overflows objects_are_stored_with_every_value
fault the_least_value_divides objects_are_stored_with_every_value
fault a_choice_loses_a_byte objects_are_stored_with_every_value

# Faults that need two conditions at the same time.
fault maps_what_is_freed calls_meet_a_free
fault two_frees_count_twice calls_meet_a_free
fault writes_where_it_was calls_meet_a_move
fault moves_what_was_mapped_meanwhile calls_meet_a_move
fault threads_are_at_most_64 pools_ended_after_threads_leave_nothing_behind
fault a_second_compaction_harms compact_gives_back_and_keeps_contents
fault a_full_pool_stays_full limit_is_never_passed
fault a_refused_page_loses_an_object limit_is_never_passed
fault limits_are_never_lifted limit_zero_is_none
fault lower_limits_are_refused limit_zero_is_none
fault reads_are_partial copies_meet_what_is_mapped
fault writes_are_partial copies_meet_what_is_mapped
fault shrink_multiplies_in_32_bits shrink_ends_when_nothing_is_left
fault deadlines_overflow the_greatest_budgets_are_no_bounds
fault zeroes_one_page_only zero_means_zero_also_in_used_memory
fault maps_are_at_most_2048 many_handles_are_mapped_at_once
fault handles_have_32_bits walk_visits_each_live_object_once
fault walks_do_not_stop walk_ends_when_told
fault walks_leave_out_what_is_mapped walk_visits_each_live_object_once
fault a_class_is_not_told classes_hold_all_objects
fault the_peak_is_what_is_held the_peak_stays
fault mapped_handles_stay_at_zero stats_count_mapped_handles
fault stored_bytes_only_rise stats_tell_what_is_stored
fault trim_tells_nothing trim_tells_what_it_gave_back
fault total_size_omits_the_handles stats_tell_what_is_stored
fault children_cannot_compact a_child_has_copies_of_its_own
fault an_evict_error_passes_through refusing_callbacks_end_in_eagain
fault one_map_ends_a_shrink mapped_objects_do_not_stop_a_shrink

# Drivers that never finish.
patience=5
fault free_locks_across_compact calls_in_pairs_come_to_their_end
fault shrink_locks_across_stats calls_in_pairs_come_to_their_end
fault nowait_waits_for_a_lock nowait_does_not_wait_for_pages
fault walks_with_a_lock_held walk_callback_may_change_the_pool
fault fork_takes_no_lock fork_waits_for_threads_at_work
fault child_keeps_the_lock a_child_has_copies_of_its_own
fault evicts_with_a_lock_held a_slow_callback_stops_nobody
prints "a deadlock is reported as one" "happened: a deadlock: for [0-9]+ s the case neither finished a step nor"
fault hangs_in_shrink shrink_empties_the_pages_it_tells
prints "waiting without end is reported as a deadlock" "happened: a deadlock: for [0-9]+ s the case neither finished a step nor"
fault loops_in_shrink shrink_empties_the_pages_it_tells
prints "computing without end is reported as an endless loop" "happened: an endless loop: the case used [0-9]+ s of processor time without"
fault stops_itself pool_can_be_made
prints "the check does not wait for a stopped process" "happened: stopped by signal [0-9]+"

# These drivers are slow, because they wait or compute. This is not a fault, and no time limit may make it one.
patience=1
for slow in waits_a_moment computes_a_moment; do
    build $slow
    check --case every_size_is_stored "$work/plugins/$slow.so"
    exits "a slow driver ($slow) is a success" 0
    prints "it passes" "^ok 1 - $slow: every_size_is_stored\$"
done
patience=60

# The failure shows what the driver printed, escaped so that it cannot affect a terminal.
fault prints_and_crashes pool_can_be_made
prints "the output of a driver that crashes is shown, escaped" '^#   printed:  \\x1b\[31mI fall\.$'
prints "the following lines are shown" "^# +line 3\$"
prints "the middle of a long output is left out" "^# +\[[0-9]+ bytes are left out here\]\$"
prints "the last line is shown" "^# +line 2000\$"

echo "$faults faults tested"
finish
