/* SPDX-License-Identifier: MIT
 *
 * cases_compact.c - compaction: alone, with budgets, around mapped objects, and while other threads work
 */
#include "cases.h"
#include "crowd.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Objects of a usual size fill many of the steps in which the driver allocates memory, if that takes not too many. */
static size_t many(void)
{
	return ct_enough(6000);
}

static size_t few(void)
{
	return many() / 4;
}

/*
 * Returns true if compaction must find something to do, after all but a few of many objects were freed.  There may be
 * nothing if they all fit into some steps of memory, or if the driver needs no compaction because the frees themselves
 * or trim have released what was freed.
 */
static bool leaves_work(struct zpool *pool, uint64_t full)
{
	ct_trim(pool);
	return many() * ct_size(1000) >= 8 * ct.step_bytes &&
	       zpool_get_total_size(pool) > ct.empty_bytes + (full - ct.empty_bytes) * 3 / 8;
}

/* A pool in which three of four objects, chosen at random, have been freed.  *work may be NULL. */
static struct zpool *holed_pool(struct ct_set *set, bool *work)
{
	struct zpool *pool;
	uint64_t full;

	ct_need(ZPOOL_CAP_COMPACT);
	pool = ct_pool();
	ct_set_init(set, many());
	ct_set_fill(pool, set, many(), &ct.rng);
	full = zpool_get_total_size(pool);
	ct_set_thin_mapped(pool, set, few(), &ct.rng);
	if (work)
		*work = leaves_work(pool, full);
	return pool;
}

static void drop(struct zpool *pool, struct ct_set *set)
{
	zpool_destroy_pool(pool);
	ct_set_fini(set);
}

/* zpool_compact() must return 0 or 1.  Returns true for 1. */
static bool compact(struct zpool *pool, uint64_t bytes, uint64_t ns)
{
	int result = zpool_compact(pool, bytes, ns, NULL);

	CT_CHECK(result == 0 || (result == 1 && (bytes || ns)),
		 "zpool_compact() with a budget of %llu bytes and %llu ns returned %s", (unsigned long long)bytes,
		 (unsigned long long)ns, ct_error_name(result));
	return result == 1;
}

static void compact_releases_memory_and_preserves_contents(void)
{
	struct zpool *pool = ct_pool();
	uint64_t full, before, released = 0;
	struct ct_set set;
	int result;
	bool work;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_set_init(&set, many());
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, many(), &ct.rng);
		full = zpool_get_total_size(pool);
		ct_set_thin_mapped(pool, &set, few(), &ct.rng);
		work = leaves_work(pool, full);
		before = zpool_get_total_size(pool);
		result = zpool_compact(pool, 0, 0, &released);
		CT_CHECK(result == 0, "compact without a budget returned %s", ct_error_name(result));
		CT_CHECK(zpool_get_total_size(pool) <= before, "compaction made the pool grow from %llu to %llu bytes",
			 (unsigned long long)before, (unsigned long long)zpool_get_total_size(pool));
		CT_CHECK(released > 0 || !work,
			 "three quarters of the objects were freed, but compaction released no memory");
		ct_trim(pool);
		CT_CHECK(zpool_get_total_size(pool) + released / 2 <= before,
			 "bytes released by compaction: got %llu, and total_size went from %llu to %llu",
			 (unsigned long long)released, (unsigned long long)before,
			 (unsigned long long)zpool_get_total_size(pool));
		ct_set_check(pool, &set, "after zpool_compact()");
		CT_MUST(zpool_compact(pool, 0, 0, NULL));
	}
	drop(pool, &set);
}

static uint64_t moved_bytes(struct zpool *pool)
{
	struct zpool_stats stats = { 0 };

	if (ct_can(ZPOOL_CAP_STATS))
		CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	return stats.compact_moved_bytes;
}

static void compact_stops_at_its_byte_budget(void)
{
	/* The first budget is smaller than any object, so that one object may be moved; the others can be used up. */
	static const uint64_t budgets[] = { 1, 70000, 300000 };
	/* A filter may add some bytes to each object. */
	const uint64_t filtered = strchr(ct.spec, '+') ? 4096 : 0;
	/* A driver may round small objects up, to at most a page. */
	const uint64_t largest = ct.max_bytes < 4096 ? 4096 : ct.max_bytes;

	ct_need(ZPOOL_CAP_COMPACT);
	for (size_t i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
		struct ct_set set;
		bool more, work;
		struct zpool *pool = holed_pool(&set, &work);
		unsigned int calls = 0;

		do {
			uint64_t before = moved_bytes(pool), most = budgets[i] - 1 + largest + filtered;

			more = compact(pool, budgets[i], 0);
			CT_CHECK(moved_bytes(pool) - before <= most,
				 "zpool_compact() moved %llu bytes with a budget of %llu",
				 (unsigned long long)(moved_bytes(pool) - before), (unsigned long long)budgets[i]);
			CT_CHECK(++calls < 10000,
				 "zpool_compact() with a budget of %llu bytes still returns 1 after %u calls",
				 (unsigned long long)budgets[i], calls);
		} while (more && (budgets[i] > 1 || calls < 10));
		/* If all objects together have only few bytes, one call may move all that there is to move. */
		CT_CHECK(calls > 1 || !work || budgets[i] >= many() / 16 * ct.max_bytes,
			 "three quarters of %zu objects were freed, and compacting them moved at most %llu bytes",
			 many(), (unsigned long long)budgets[i]);
		ct_set_check(pool, &set, "after compacting with byte budgets");
		drop(pool, &set);
	}
}

/*
 * Nobody knows how much a slow machine does in a given time.  So the budget grows until compaction finishes.  A driver
 * may move some kilobytes, or what it has in a step of memory, before it looks at the time.
 */
static void compact_with_time_budget_finishes(void)
{
	struct ct_set set;
	bool work, more;
	struct zpool *pool = holed_pool(&set, &work);
	uint64_t before, ns = 20000;
	unsigned int calls = 0;
	const bool little = few() * ct_size(1000) < 1u << 20 || few() * ct_size(1000) < 4 * ct.step_bytes;

	before = zpool_get_total_size(pool);
	more = compact(pool, 0, 1);
	CT_CHECK(
		more || little || !work,
		"three quarters of %zu objects were freed, and a single zpool_compact() with a budget of 1 ns moved all the others",
		many());
	ct_set_check(pool, &set, "after compacting for one nanosecond");
	while (compact(pool, 0, ns)) {
		CT_CHECK(ns < UINT64_C(60000000000),
			 "zpool_compact() with a budget of %llu ns still returns 1 after %u calls",
			 (unsigned long long)ns, calls);
		if (++calls % 50 == 0)
			ns *= 2;
	}
	ct_trim(pool);
	CT_CHECK(zpool_get_total_size(pool) < before || !work,
		 "%zu of %zu objects were freed, but compaction released no memory", many() - few(), many());
	ct_set_check(pool, &set, "after compacting with time budgets");
	drop(pool, &set);
}

/* A mapped object keeps its address during compaction, and afterwards has the bytes written to it meanwhile. */
static void compact_does_not_move_mapped_objects(void)
{
	struct ct_set set;
	struct zpool *pool = holed_pool(&set, NULL);
	char **address = calloc(few(), sizeof(*address));
	uint64_t around, after;

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP);
	CT_CHECK(address != NULL, "the test suite is out of memory");
	for (size_t i = 0; i < few(); i += 4) {
		address[i] = zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RW);
		CT_CHECK(address[i] != NULL, "zpool_map_handle() failed");
	}
	for (int calls = 0; calls < 50; calls++)
		(void)compact(pool, 100000, 0);
	CT_MUST(zpool_compact(pool, 0, 0, NULL));
	for (size_t i = 0; i < few(); i += 4) {
		char *again = zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RW);

		CT_CHECK(again == address[i], "a mapped object was at %p, and after compaction is at %p",
			 (void *)address[i], (void *)again);
		zpool_unmap_handle(pool, set.at[i].handle);
		set.at[i].tag = ct_rng_next(&ct.rng);
		ct_pattern_fill(address[i], set.at[i].size, set.at[i].tag, 0);
	}
	ct_set_check(pool, &set, "after compaction around mapped objects");
	ct_trim(pool);
	around = zpool_get_total_size(pool);
	for (size_t i = 0; i < few(); i += 4)
		zpool_unmap_handle(pool, set.at[i].handle);
	CT_MUST(zpool_compact(pool, 0, 0, NULL));
	ct_trim(pool);
	after = zpool_get_total_size(pool);
	CT_CHECK(after <= around, "with nothing mapped, compaction made the pool grow from %llu to %llu bytes",
		 (unsigned long long)around, (unsigned long long)after);
	ct_set_check(pool, &set, "after compaction, once nothing was mapped");
	free(address);
	drop(pool, &set);
}

/* Mapped objects may keep compaction from releasing some memory.  It must return 0 then as well. */
static void repeated_compact_finishes_despite_mapped_objects(void)
{
	struct ct_set set;
	struct zpool *pool = holed_pool(&set, NULL);

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP);
	for (size_t i = 0; i < few(); i += 4)
		CT_CHECK(zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RO) != NULL, "zpool_map_handle() failed");
	for (unsigned int calls = 0; compact(pool, 100000, 0); calls++)
		CT_CHECK(calls < 10000,
			 "with some objects mapped, zpool_compact() with a budget still returns 1 after %u calls",
			 calls);
	ct_set_check(pool, &set, "after compaction around mapped objects");
	for (size_t i = 0; i < few(); i += 4)
		zpool_unmap_handle(pool, set.at[i].handle);
	drop(pool, &set);
}

/* New objects reuse the space that compaction freed or left behind, and read as zero with ZPOOL_GFP_ZERO. */
static void compacted_space_is_reused(void)
{
	struct ct_set set;
	struct zpool *pool = holed_pool(&set, NULL);
	uint64_t full = 0;

	ct_need(ZPOOL_CAP_COMPACT);
	for (int round = 0; round < 6; round++) {
		CT_MUST(zpool_compact(pool, 0, 0, NULL));
		while (set.count < many()) {
			struct ct_object object = { 0, ct_rng_size(&ct.rng, ct.max_bytes), set.next_tag++ };
			unsigned char byte = 1;

			CT_MUST(zpool_malloc(pool, object.size, ZPOOL_GFP_ZERO, &object.handle));
			ct_bytes_get(pool, object.handle, &byte, 1, object.size - 1);
			CT_CHECK(byte == 0, "the last byte of an object of %zu that should be zero is %#x", object.size,
				 byte);
			zpool_free(pool, object.handle);
			ct_set_make(pool, &set, object.size);
		}
		ct_set_check(pool, &set, "stored in space that compaction freed");
		if (round == 0)
			full = zpool_get_total_size(pool);
		CT_CHECK(zpool_get_total_size(pool) < full + full / 4,
			 "%zu objects took %llu bytes, but after %d rounds of compacting and refilling they took %llu",
			 many(), (unsigned long long)full, round, (unsigned long long)zpool_get_total_size(pool));
		ct_set_thin(pool, &set, few(), &ct.rng);
	}
	drop(pool, &set);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Beside other threads
 */

static unsigned int rounds(unsigned int full)
{
	return ct_instrumented() || ct_verified() ? full / 10 : full;
}

/* Keeps an object mapped for a while, and writes through its address. */
static void hold_mapped(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct ct_object object;
	char *address, *again;

	if (!ct_can(ZPOOL_CAP_MAP) || !ct_crowd_take(crowd, rng, &object))
		return;
	address = zpool_map_handle(crowd->pool, object.handle, ZPOOL_MM_RW);
	CT_CHECK(address != NULL, "mapping a live object returned NULL: %s", zpool_last_error());
	CT_CHECK(ct_pattern_differs(address, object.size, object.tag, 0) == object.size,
		 "an object of %zu bytes has wrong contents while objects are moved", object.size);
	object.tag = ct_rng_next(rng);
	ct_pattern_fill(address, object.size / 2, object.tag, 0);
	ct_nap();
	ct_pattern_fill(address + object.size / 2, object.size - object.size / 2, object.tag, object.size / 2);
	again = zpool_map_handle(crowd->pool, object.handle, ZPOOL_MM_RO);
	CT_CHECK(again == address, "an object that stayed mapped was at %p and is now at %p", (void *)address,
		 (void *)again);
	zpool_unmap_handle(crowd->pool, object.handle);
	zpool_unmap_handle(crowd->pool, object.handle);
	ct_crowd_put(crowd, &object);
}

static void compact_or_work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 0; i < rounds(20000) && !ct_stopping(); i++) {
		if (thread->index > 0)
			ct_crowd_step(crowd, &thread->rng);
		if (thread->index == 1 && i % 16 == 0)
			hold_mapped(crowd, &thread->rng);
		if (thread->index == 0 && i % 16 == 0)
			(void)compact(crowd->pool, i % 64 ? 1 + ct_rng_below(&thread->rng, 100000) : 0, 0);
	}
}

static void compact_runs_while_other_threads_work(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_crowd_open(&crowd, 2000);
	ct_set_fill(crowd.pool, &crowd.set, 2000, &ct.rng);
	ct_threads_run(4, compact_or_work, &crowd);
	ct_crowd_close(&crowd);
}

static void compact_shrink_or_work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 0; i < rounds(16000) && !ct_stopping(); i++) {
		unsigned int reclaimed = 4711;
		int result;

		ct_crowd_step(crowd, &thread->rng);
		if (i % 8 != 0)
			continue;
		if (thread->index < 2) {
			(void)compact(crowd->pool, i % 64 ? 1 + ct_rng_below(&thread->rng, 100000) : 0, 0);
		} else if (thread->index == 2) {
			result = zpool_shrink(crowd->pool, 1 + (unsigned int)ct_rng_below(&thread->rng, 4), &reclaimed);
			CT_CHECK(result == 0 || result == -EAGAIN || result == -EINVAL, "shrink returned %s",
				 ct_error_name(result));
			CT_CHECK(reclaimed < 4711, "shrink did not set *reclaimed");
		} else {
			ct_trim(crowd->pool);
		}
	}
}

static void compact_runs_during_shrink(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_EVICT);
	ct_crowd_open(&crowd, 2000);
	ct_set_fill(crowd.pool, &crowd.set, 2000, &ct.rng);
	ct_threads_run(4, compact_shrink_or_work, &crowd);
	CT_CHECK(atomic_load(&crowd.evicted) > 0, "zpool_shrink() evicted nothing while other threads compacted");
	ct_crowd_close(&crowd);
}

/*
 * Each thread has its own objects.  It maps each of them for a moment, and keeps freeing and storing three of four, so
 * that compaction always finds something to move and often meets a mapped object.
 */
enum { OWN = 100 };

static void map_under_a_move(struct ct_crowd *crowd, struct ct_object *object, struct ct_rng *rng)
{
	char *address = zpool_map_handle(crowd->pool, object->handle, ZPOOL_MM_RW), *again;

	CT_CHECK(address != NULL, "mapping a live object returned NULL: %s", zpool_last_error());
	object->tag = ct_rng_next(rng);
	ct_pattern_fill(address, object->size, object->tag, 0);
	/* Let the other threads run, even on a machine with one processor. */
	sched_yield();
	again = zpool_map_handle(crowd->pool, object->handle, ZPOOL_MM_RO);
	CT_CHECK(again == address, "an object that stayed mapped was at %p and is now at %p", (void *)address,
		 (void *)again);
	zpool_unmap_handle(crowd->pool, object->handle);
	zpool_unmap_handle(crowd->pool, object->handle);
	ct_object_check(crowd->pool, object, "written while mapped, when other objects were moved");
}

static void thin_and_map(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct ct_object own[OWN];
	size_t count = 0;

	for (unsigned int round = 0; round < rounds(100) && !ct_stopping(); round++) {
		while (count < OWN)
			ct_object_make(crowd->pool, &own[count++], 1 + ct_rng_below(rng, 300 % ct.max_bytes + 1),
				       ct_rng_next(rng));
		while (count > OWN / 4) {
			size_t i = ct_rng_below(rng, count);

			zpool_free(crowd->pool, own[i].handle);
			own[i] = own[--count];
			for (int maps = 0; maps < 4 && !ct_stopping(); maps++)
				map_under_a_move(crowd, &own[ct_rng_below(rng, count)], rng);
		}
	}
	while (count > 0)
		zpool_free(crowd->pool, own[--count].handle);
}

static void move_or_map(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	if (thread->index > 0) {
		thin_and_map(crowd, &thread->rng);
		atomic_fetch_add(&crowd->done, 1);
		return;
	}
	while (atomic_load(&crowd->done) < 3 && !ct_stopping()) {
		(void)compact(crowd->pool, 0, 0);
		sched_yield();
	}
}

static void map_races_with_move(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP);
	ct_crowd_open(&crowd, 16);
	ct_threads_run(4, move_or_map, &crowd);
	ct_crowd_close(&crowd);
}

static int compact_before_evict(struct ct_crowd *crowd)
{
	(void)compact(crowd->pool, ct_rng_below(&ct.rng, 2) ? 20000 : 0, 0);
	return 0;
}

static void callback_may_compact(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_EVICT);
	ct_crowd_open(&crowd, ct_many(3000));
	crowd.before_evict = compact_before_evict;
	for (int round = 0; round < 20; round++) {
		unsigned int reclaimed = 0;
		int result;

		ct_set_fill(crowd.pool, &crowd.set, ct_many(1500), &ct.rng);
		ct_set_thin(crowd.pool, &crowd.set, ct_many(600), &ct.rng);
		result = zpool_shrink(crowd.pool, 8, &reclaimed);
		/* All objects may be on fewer pages than that. */
		CT_CHECK(result == 0 || (result == -EINVAL && crowd.set.count == 0),
			 "zpool_shrink() returned %s with %zu objects live", ct_error_name(result), crowd.set.count);
		CT_CHECK((reclaimed >= 8) == (result == 0),
			 "pages reclaimed by a zpool_shrink() of 8 pages that returned %s: got %u",
			 ct_error_name(result), reclaimed);
		ct_set_check(crowd.pool, &crowd.set, "after a zpool_shrink() whose callbacks compacted");
	}
	ct_crowd_close(&crowd);
}

const struct ct_case ct_cases_compact[] = {
	{ "compact_releases_memory_and_preserves_contents",
	  "zpool_compact() releases memory, and every object keeps its contents.",
	  compact_releases_memory_and_preserves_contents, 0 },
	{ "compact_stops_at_its_byte_budget",
	  "zpool_compact() stops after the object that uses up the byte budget and returns 1; further calls finish the work.",
	  compact_stops_at_its_byte_budget, 0 },
	{ "compact_with_time_budget_finishes",
	  "zpool_compact() returns 1 when its time budget is used up; further calls finish the work.",
	  compact_with_time_budget_finishes, 0 },
	{ "compact_does_not_move_mapped_objects",
	  "Compaction never moves a mapped object, and may move it once it is unmapped.",
	  compact_does_not_move_mapped_objects, 0 },
	{ "repeated_compact_finishes_despite_mapped_objects",
	  "Repeated calls with a budget finish even when mapped objects are in the way.",
	  repeated_compact_finishes_despite_mapped_objects, 0 },
	{ "compacted_space_is_reused", "Space freed by compaction is reused, and reads as zero with ZPOOL_GFP_ZERO.",
	  compacted_space_is_reused, 0 },
	{ "compact_runs_while_other_threads_work",
	  "zpool_compact() may run while other threads use the pool and hold objects mapped.",
	  compact_runs_while_other_threads_work, 0 },
	{ "map_races_with_move",
	  "An object that is mapped while compaction works on it is either moved before the map, or not at all.",
	  map_races_with_move, 0 },
	{ "compact_runs_during_shrink", "Several threads may compact while other threads shrink and trim.",
	  compact_runs_during_shrink, 0 },
	{ "callback_may_compact", "A callback may call zpool_compact().", callback_may_compact, 0 },
	{ NULL, NULL, NULL, 0 },
};
