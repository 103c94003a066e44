#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-mutation.sh - the contract suite detects faults of drivers
#
# Each mutation below changes one line of a driver in the way of a plausible mistake. The driver is zbud, or the suite's
# own mock_slabs for what zbud cannot do (move objects, size classes). The script builds the mutated driver in a
# temporary directory and runs the suite on it: at least one case must fail. The suite's own time limit catches hangs.
# Each driver must pass without a mutation, and each mutation must change exactly one line, so that an outdated mutation
# is noticed when the driver changes.
#
# `make check-mutation` runs this script and sets the environment. To run it by hand, set CC, CFLAGS, abs_top_srcdir and
# abs_top_builddir.
set -eu
umask 022

srcdir=${abs_top_srcdir:?is the source tree, set by make check-mutation}
builddir=${abs_top_builddir:?is the build tree, set by make check-mutation}
contract=$builddir/tests/contract/contract
support=$builddir/libzpool/support/.libs/libzpsupport.a
# All runs make the same random choices.
run_flags="--seed 1 --ops 20000 --no-rss"
# The time limit in seconds for hangs. Cases of a correct driver take far less, and it does not matter why a case fails.
mutant_flags="--fail-fast --timeout 3"

case ${SANITIZER_CFLAGS:-}${COVERAGE_CFLAGS:-}${ZPOOL_TEST_VALGRIND:-} in
?*)
    echo "mutations are only tested in a build without sanitizers and coverage"
    exit 77
    ;;
esac

dir=$(mktemp -d "${TMPDIR:-/tmp}/zpool-mutation.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# CFLAGS is a list of words.
# shellcheck disable=SC2086
compile() {
    ${CC:-cc} -std=gnu11 -pthread -fPIC -fvisibility=hidden ${CFLAGS:--O2} -w -DHAVE_CONFIG_H -I"$builddir" \
        -I"$srcdir/libzpool" -I"$srcdir/libzpool/support" "$@"
}

# build SOURCES PLUGINS: builds PLUGINS/$driver.so from the sources in a directory
build() {
    mkdir "$2"
    compile -O0 -shared -Wl,-z,defs -I"$1" "$1"/*.c "$support" -o "$2/$driver.so"
}

# run PLUGINS [ARGUMENT...]: runs the suite on the driver in a directory; its output is in $dir/output
run() {
    ZPOOL_PLUGIN_PATH=$1
    export ZPOOL_PLUGIN_PATH
    shift
    # shellcheck disable=SC2086
    "$contract" --driver "$driver" $run_flags "$@" >"$dir/output" 2>&1
}

failed_cases() {
    sed -n "s/^not ok [0-9]* - $driver: //p" "$dir/output" | tr '\n' ' '
}

# mutate DRIVER SOURCES: sets the driver that the following mutations change; it must pass without a mutation
mutate() {
    driver=$1
    sources=$2
    rm -rf "$dir/plain"
    build "$sources" "$dir/plain"
    if ! run "$dir/plain"; then
        cat "$dir/output"
        echo "FAIL: $driver does not pass without a mutation, so mutations cannot be tested"
        exit 1
    fi
    echo "$driver without a mutation: $(tail -n 1 "$dir/output")"
}

tried=0
survived=0

# mutation NAME FILE FUNCTION SED-COMMAND CASE...: tests one mutation, which is made inside of a function of the file.
# The cases are those that should detect it, and are run first.
mutation() {
    name=$1
    file=$2
    script="/^[a-z].*[ *]$3(/,/^}/{
$4
}"
    shift 4
    tried=$((tried + 1))
    rm -rf "$dir/mutant" "$dir/plugins"
    cp -R "$sources" "$dir/mutant"
    chmod -R u+w "$dir/mutant"
    sed "$script" "$sources/$file" >"$dir/mutant/$file"
    changed=$(diff "$sources/$file" "$dir/mutant/$file" | grep -c '^<' || :)
    if [ "$changed" -ne 1 ]; then
        echo "FAIL: $name changes $changed lines of $file instead of one; adapt the mutation"
        survived=$((survived + 1))
        return
    fi
    if ! build "$dir/mutant" "$dir/plugins" 2>"$dir/output"; then
        cat "$dir/output"
        echo "FAIL: $name does not compile"
        survived=$((survived + 1))
        return
    fi
    expected=
    for case_name in "$@"; do
        expected="$expected --case $case_name"
    done
    # shellcheck disable=SC2086
    if ! run "$dir/plugins" $mutant_flags $expected && [ -n "$(failed_cases)" ]; then
        echo "$name was caught by $(failed_cases)"
    elif ! run "$dir/plugins" $mutant_flags && [ -n "$(failed_cases)" ]; then
        echo "$name was caught by $(failed_cases)instead of the expected $*"
    else
        tail -n 3 "$dir/output"
        echo "FAIL: $name was not detected"
        survived=$((survived + 1))
    fi
}

mutate zbud "$srcdir/plugins/zbud"

mutation wrong_list zbud_page.c unbuddied_enter \
    's/room = zbud_free_chunks(page);/room = zbud_free_chunks(page) + 1;/' \
    contents_survive_all_operations churn_loses_no_space

mutation header_counted_as_room zbud.h zbud_free_chunks \
    's/return ZBUD_ROOM_CHUNKS/return ZBUD_PAGE_CHUNKS/' \
    all_usable_bytes_can_be_written contents_survive_all_operations

mutation size_rounded_down zbud_objects.c zbud_malloc \
    's/size + ZBUD_CHUNK_BYTES - 1/size + ZBUD_CHUNK_BYTES - 2/' \
    every_size_is_stored obj_size_covers_the_request

mutation last_object_off_by_a_chunk zbud.h zbud_first_chunk \
    's/ZBUD_PAGE_CHUNKS - chunks/ZBUD_ROOM_CHUNKS - chunks/' \
    all_usable_bytes_can_be_written

mutation wrong_side_freed zbud_page.c zbud_page_drop_object \
    's/buddy = zbud_location_buddy/buddy = !zbud_location_buddy/' \
    contents_survive_all_operations walk_visits_each_live_object_once

mutation zero_not_cleared zbud_objects.c publish \
    's/if (gfp & ZPOOL_GFP_ZERO)/if (gfp \& ZPOOL_GFP_ZERO \&\& zbud_chunks_of(pool, handle_slot) > 1)/' \
    gfp_zero_clears_reused_memory

mutation lost_page zbud_page.c zbud_page_drop_object \
    's/return true;/return false;/' \
    total_size_follows_stored_bytes churn_loses_no_space

mutation lost_room zbud_page.c zbud_page_drop_object \
    's/unbuddied_enter(pool, page);//' \
    failed_mallocs_change_nothing

mutation lost_handle_on_error zbud_objects.c malloc_waiting \
    's/zp_handles_unbind(&pool->handles, slot, 1);//' \
    failed_mallocs_change_nothing

mutation missing_unlock_on_error zbud_reclaim.c reclaim_oldest \
    's/zp_unlock(&pool->lock);/if (page) &/' \
    shrink_with_nothing_left_returns_einval

mutation lock_kept_over_fork zbud.c zbud_fork \
    's/zp_unlock(&pool->lock);//' \
    child_has_private_copies_of_pools

mutation wrong_lru_end zbud_reclaim.c oldest_page \
    's/link = pool->lru.prev/link = pool->lru.next/' \
    shrink_evicts_the_oldest_first

mutation evict_under_lock zbud_reclaim.c evict_objects \
    's/zp_unlock(&pool->lock);//' \
    shrink_reports_the_reclaimed_pages

mutation forgotten_reclaim_mark zbud_reclaim.c reclaim_begin \
    's/page->under_reclaim = 1;//' \
    shrink_reports_the_reclaimed_pages callback_may_free_others

mutation page_counted_twice zbud_reclaim.c zbud_shrink \
    's/++\*reclaimed;/*reclaimed += 2;/' \
    reclaimed_pages_are_counted_once shrink_reports_the_reclaimed_pages

mutation limit_counted_as_memory zbud_objects.c malloc_slow \
    's/refusals != zp_pages_limit_refusals(&pool->pages)/false/' \
    stats_separate_limit_and_nowait_failures

mutation memory_counted_as_limit zbud_objects.c malloc_slow \
    's/refusals != zp_pages_limit_refusals(&pool->pages)/true/' \
    stats_count_failures_of_the_page_source

mutation mapped_not_counted zbud.c zbud_stats \
    's/now.evictions = pool->evictions;/& now.mapped_handles = 0;/' \
    stats_count_mapped_handles

mutation peak_of_now zbud.c zbud_stats \
    's/now.evictions = pool->evictions;/& now.pool_bytes_peak = now.pool_bytes;/' \
    peak_size_never_falls

mutation slots_not_given_back zbud_page.c zbud_page_drop_object \
    's/pool->used_slots.*--;//' \
    stats_report_stored_objects

mutation refusals_not_counted zbud_reclaim.c evict_objects \
    's/pool->evict_refused += .*;//' \
    stats_count_evictions

mutation evictions_counted_by_answer zbud_reclaim.c evict_objects \
    's/pool->evictions += .*;/pool->evictions += !err;/' \
    stats_count_evictions

mutation slots_cached_under_reclaim zbud_slots.c zbud_slot_cache \
    's/is_under_reclaim(.*) ? NULL : //' \
    shrink_reports_the_reclaimed_pages

mutation cached_slots_counted_as_objects zbud.c zbud_stats \
    's/ - cached.chunks.;/;/' \
    stats_report_stored_objects

mutation cache_outlives_its_thread zbud_slots.c zbud_cache_empty \
    's/empty_magazine(.*);/continue;/' \
    caches_of_ended_threads_are_released

mutation stale_page_order zbud_page.c zbud_page_enter_lists \
    's/zp_list_add(&page->lru, &pool->lru);/zp_list_add(\&page->lru, pool->lru.prev);/' \
    shrink_evicts_the_oldest_first

# This line exports the mock, which makes it a plugin.
mkdir "$dir/slabs"
cp "$srcdir"/tests/contract/mock_slabs.[ch] "$srcdir/tests/contract/mocks.h" "$dir/slabs"
echo 'extern __attribute__((visibility("default"), alias("mock_slabs"))) const struct zpool_driver zpool_driver;' \
    >>"$dir/slabs/mock_slabs.c"
mutate mock_slabs "$dir/slabs"

mutation mapped_objects_move mock_slabs.c move_object \
    's/if (zp_handles_begin_move(.*) != 0)/if ((zp_handles_lookup(\&pool->handles, handle, \&old), 0))/' \
    compact_does_not_move_mapped_objects mapped_objects_do_not_move

mutation bytes_stay_behind mock_slabs.c move_object \
    's/memcpy(.*);/memcpy(slot_address(to, new), slot_address(from, old), class_bytes(from->class) - 64);/' \
    compact_releases_memory_and_preserves_contents

mutation handle_stays_behind mock_slabs.c move_object \
    's/to->handles\[.*= handle;/to->handles[new \& (SLABS_SLOTS_MAX - 1)] = 1;/' \
    callback_may_compact compact_runs_during_shrink random_operations_match_a_reference

mutation emptied_slab_kept mock_slabs.c compact_class \
    's/zp_pages_put(.*);//' \
    compact_releases_memory_and_preserves_contents

mutation budget_ignored mock_slabs.c compact_class \
    's/budget->bytes -= .*//' \
    compact_stops_at_its_byte_budget

mutation budget_never_resumed mock_slabs.c compact_class \
    's/if (budget->bytes == 0)/if (budget->bytes < 1 << 30)/' \
    compact_stops_at_its_byte_budget

mutation compaction_not_counted mock_slabs.c slabs_compact \
    's/pool->counted.compactions++;//' \
    stats_count_compaction

mutation moved_bytes_not_counted mock_slabs.c compact_class \
    's/pool->counted.compact_moved_bytes += .*;//' \
    stats_count_compaction

mutation histogram_shifted mock_slabs.c slabs_each_class \
    's/used \* 10/used * 9/' \
    classes_hold_all_objects

mutation pages_of_classes_forgotten mock_slabs.c slabs_each_class \
    's/stats.pages += SLABS_PAGES_COUNTED;/stats.pages += 4;/' \
    classes_hold_all_objects

echo "$tried mutations: $((tried - survived)) were caught, $survived were not"
[ "$survived" -eq 0 ]
