/* SPDX-License-Identifier: MIT
 *
 * cases_budget.c - compaction with budgets: it finishes, respects the time, and reports how much it released
 *
 * A budget of one nanosecond is used up when the driver first checks the clock, so that such a call does exactly one
 * step of the driver's work.  This shows how large a step is without measuring time.
 */
#include "cases.h"
#include "crowd.h"
#include "source.h"

#include <stdlib.h>
#include <string.h>

#define MANY 4000u
#define FEW 1000u

/* More calls than any driver needs for so few objects, if every call makes progress. */
#define CALLS_MAX 400000u

struct budget {
	uint64_t bytes, ns;
};

static const struct budget budgets[] = { { 0, 1 }, { 1, 0 }, { 1, 1 }, { 0, 30000 }, { 50000, 0 }, { 50000, 20000 } };

#define BUDGETS (sizeof(budgets) / sizeof(budgets[0]))

/* Compacts until a call returns 0.  Returns the sum of the bytes that the calls reported as released. */
static uint64_t compact_to_the_end(struct zpool *pool, const struct budget *budget, const char *when)
{
	uint64_t sum = 0;

	for (unsigned int calls = 1;; calls++) {
		uint64_t released = 0;
		int result = zpool_compact(pool, budget->bytes, budget->ns, &released);

		CT_CHECK(result == 0 || result == 1,
			 "zpool_compact() with a budget of %llu bytes and %llu ns returned %s",
			 (unsigned long long)budget->bytes, (unsigned long long)budget->ns, ct_error_name(result));
		sum += released;
		if (result == 0)
			return sum;
		CT_CHECK(calls < CALLS_MAX, "%s, compact by %llu bytes and %llu ns still returns 1 after %u calls",
			 when, (unsigned long long)budget->bytes, (unsigned long long)budget->ns, calls);
	}
}

static void budgeted_compact_of_an_empty_pool_returns_zero(void)
{
	struct zpool *pool = ct_pool();
	unsigned long handle;

	ct_need(ZPOOL_CAP_COMPACT);
	for (size_t i = 0; i < BUDGETS; i++)
		(void)compact_to_the_end(pool, &budgets[i], "in a new pool");
	for (size_t i = 0; i < BUDGETS; i++) {
		CT_MUST(zpool_malloc(pool, 1 + ct.max_bytes / 3, ZPOOL_GFP_KERNEL, &handle));
		zpool_free(pool, handle);
		(void)compact_to_the_end(pool, &budgets[i], "in an emptied pool");
	}
	zpool_destroy_pool(pool);
}

/* Maps objects: the ones stored first, the ones stored last, or random ones. */
enum holding { HOLD_NONE, HOLD_FIRST, HOLD_LAST, HOLD_ANY, HOLDINGS };

static bool is_held(enum holding holding, size_t i, size_t count)
{
	switch (holding) {
	case HOLD_FIRST:
		return i < count / 8;
	case HOLD_LAST:
		return i >= count - count / 8;
	case HOLD_ANY:
		return i % 8 == 0;
	default:
		return false;
	}
}

/* Sizes of which most drivers fit two or three objects on a page, and random sizes. */
static size_t size_for(unsigned int shape, struct ct_rng *rng)
{
	size_t size = shape ? 1 + ct_rng_size(rng, ct.max_bytes) % 4096 : 1200 + ct_rng_below(rng, 800);

	return size < ct.max_bytes ? size : ct.max_bytes;
}

/* Creates a pool of MANY objects and frees three of four.  Some objects stay mapped the whole time. */
static struct zpool *held_pool(unsigned long *handles, enum holding holding, unsigned int shape)
{
	struct zpool *pool = ct_pool();

	for (size_t i = 0; i < MANY; i++)
		CT_MUST(zpool_malloc(pool, size_for(shape, &ct.rng), ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < MANY; i++)
		if (is_held(holding, i, MANY))
			CT_CHECK(zpool_map_handle(pool, handles[i], ZPOOL_MM_RO) != NULL, "zpool_map_handle() failed");
	for (size_t i = 0; i < MANY; i++) {
		if (is_held(holding, i, MANY) || ct_rng_below(&ct.rng, MANY) < FEW)
			continue;
		zpool_free(pool, handles[i]);
		handles[i] = 0;
	}
	return pool;
}

static void drop_held(struct zpool *pool, const unsigned long *handles, enum holding holding)
{
	for (size_t i = 0; i < MANY; i++)
		if (is_held(holding, i, MANY))
			zpool_unmap_handle(pool, handles[i]);
	zpool_destroy_pool(pool);
}

static void budgeted_compact_finishes_despite_mapped_objects(void)
{
	unsigned long *handles = calloc(MANY, sizeof(*handles));

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP);
	CT_CHECK(handles != NULL, "the test suite is out of memory");
	for (unsigned int shape = 0; shape < 2; shape++) {
		for (unsigned int holding = 0; holding < HOLDINGS; holding++) {
			for (size_t i = 0; i < BUDGETS; i++) {
				struct zpool *pool = held_pool(handles, holding, shape);

				(void)compact_to_the_end(pool, &budgets[i], "after compacting around mapped objects");
				drop_held(pool, handles, holding);
			}
		}
	}
	free(handles);
}

/* Calls with budgets must gain almost as much as one call without a budget. */
static void budgeted_compact_gains_as_much_as_without(void)
{
	unsigned long *handles = calloc(MANY, sizeof(*handles));

	ct_need(ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP);
	CT_CHECK(handles != NULL, "the test suite is out of memory");
	for (unsigned int holding = 0; holding < HOLDINGS; holding++) {
		for (size_t i = 0; i < BUDGETS; i++) {
			struct zpool *pool = held_pool(handles, holding, holding % 2);
			uint64_t before = zpool_get_total_size(pool), left, after;

			(void)compact_to_the_end(pool, &budgets[i], "before a compaction without a budget");
			left = zpool_get_total_size(pool);
			CT_MUST(zpool_compact(pool, 0, 0, NULL));
			after = zpool_get_total_size(pool);
			CT_CHECK(
				left <= after + (before - after) / 8 + 131072,
				"zpool_compact() with a budget of %llu bytes and %llu ns returned 0 when the pool held %llu of %llu bytes, but one call without a budget brought it down to %llu",
				(unsigned long long)budgets[i].bytes, (unsigned long long)budgets[i].ns,
				(unsigned long long)left, (unsigned long long)before, (unsigned long long)after);
			drop_held(pool, handles, holding);
		}
	}
	free(handles);
}

static void budget_or_work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	if (thread->index == 0) {
		for (size_t i = 0; i < BUDGETS; i++)
			(void)compact_to_the_end(crowd->pool, &budgets[i], "while threads store and free");
		atomic_fetch_add(&crowd->done, 1);
		return;
	}
	while (atomic_load(&crowd->done) == 0 && !ct_stopping())
		ct_crowd_step(crowd, &thread->rng);
}

static void budgeted_compact_finishes_while_threads_work(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_crowd_open(&crowd, 1000);
	ct_set_fill(crowd.pool, &crowd.set, 1000, &ct.rng);
	ct_threads_run(3, budget_or_work, &crowd);
	ct_crowd_close(&crowd);
}

static void budgets_of_several_threads(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (size_t i = 0; i < BUDGETS; i++)
		(void)compact_to_the_end(crowd->pool, &budgets[(i + thread->index) % BUDGETS],
					 "while several threads compact");
}

static void budgeted_compacts_run_concurrently(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_crowd_open(&crowd, MANY);
	ct_set_fill(crowd.pool, &crowd.set, MANY, &ct.rng);
	ct_set_thin_mapped(crowd.pool, &crowd.set, FEW, &ct.rng);
	ct_threads_run(3, budgets_of_several_threads, &crowd);
	ct_set_check(crowd.pool, &crowd.set, "after several threads compacted the pool with budgets at the same time");
	ct_crowd_close(&crowd);
}

static uint64_t moved_bytes(struct zpool *pool)
{
	struct zpool_stats stats = { 0 };

	if (ct_can(ZPOOL_CAP_STATS))
		CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	return stats.compact_moved_bytes;
}

static void compact_checks_the_time_after_each_step(void)
{
	enum { STEP_MOVED_MAX = 256 << 10, STEP_GIVEN_MAX = 1 << 20, STEP_DECOMMITS_MAX = 64 };
	unsigned long *handles = calloc(MANY, sizeof(*handles));
	static struct ct_source source;
	struct zpool *pool;
	int result = 1;

	ct_need(ZPOOL_CAP_COMPACT);
	CT_CHECK(handles != NULL, "the test suite is out of memory");
	ct_source_init(&source);
	pool = ct_source_pool(&source);
	for (size_t i = 0; i < MANY; i++)
		CT_MUST(zpool_malloc(pool, size_for(1, &ct.rng), ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < MANY; i++)
		if (i % 4 != 0)
			zpool_free(pool, handles[i]);
	for (unsigned int calls = 0; result == 1; calls++) {
		uint64_t moved = moved_bytes(pool), held = zpool_get_total_size(pool), now;
		unsigned int decommits = atomic_load(&source.decommits);

		result = zpool_compact(pool, 0, 1, NULL);
		now = zpool_get_total_size(pool);
		decommits = atomic_load(&source.decommits) - decommits;
		CT_CHECK(moved_bytes(pool) - moved <= STEP_MOVED_MAX,
			 "zpool_compact() with a budget of 1 ns moved %llu bytes without checking the clock",
			 (unsigned long long)(moved_bytes(pool) - moved));
		/* A driver that allocates memory in large steps also releases that much at once. */
		CT_CHECK(now + STEP_GIVEN_MAX + 4 * ct.step_bytes >= held,
			 "zpool_compact() with a budget of 1 ns released %llu bytes without checking the clock",
			 (unsigned long long)(held - now));
		CT_CHECK(decommits <= STEP_DECOMMITS_MAX,
			 "zpool_compact() with a budget of 1 ns called decommit %u times without checking the clock",
			 decommits);
		CT_CHECK(calls < CALLS_MAX, "zpool_compact() with a budget of 1 ns still returns 1 after %u calls",
			 calls);
	}
	zpool_destroy_pool(pool);
	free(handles);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What was given back
 */

static void expect_released(struct zpool *pool, uint64_t before, uint64_t released, const char *call)
{
	uint64_t after = zpool_get_total_size(pool), lost = before > after ? before - after : 0;

	CT_CHECK(released == lost,
		 "%s, bytes released: got %llu, and total_size went from %llu to %llu (expected %llu)", call,
		 (unsigned long long)released, (unsigned long long)before, (unsigned long long)after,
		 (unsigned long long)lost);
}

static void trim_and_check_released(struct zpool *pool)
{
	uint64_t before = zpool_get_total_size(pool), released = 4711;
	int result = zpool_trim(pool, &released);

	if (result == 0)
		expect_released(pool, before, released, "zpool_trim()");
}

static void compact_and_check_released(struct zpool *pool, const struct budget *budget)
{
	uint64_t before, released;
	int result;

	for (unsigned int calls = 0; ct_can(ZPOOL_CAP_COMPACT); calls++) {
		before = zpool_get_total_size(pool);
		released = 4711;
		result = zpool_compact(pool, budget->bytes, budget->ns, &released);
		expect_released(pool, before, released, "zpool_compact()");
		if (result == 0)
			return;
		CT_CHECK(calls < CALLS_MAX, "compact still returns 1 after %u calls", calls);
	}
}

static void store_and_end(struct ct_thread *thread)
{
	struct zpool *pool = thread->arg;
	unsigned long handles[200];

	for (size_t i = 0; i < 200; i++)
		CT_MUST(zpool_malloc(pool, size_for(1, &thread->rng), ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < 200; i++)
		zpool_free(pool, handles[i]);
}

static void released_bytes_equal_the_drop_of_total_size(void)
{
	static const struct budget whole = { 0, 0 };

	if (!ct_can(ZPOOL_CAP_COMPACT))
		ct_need(ZPOOL_CAP_TRIM);
	for (size_t i = 0; i <= BUDGETS; i++) {
		const struct budget *budget = i < BUDGETS ? &budgets[i] : &whole;
		struct zpool *pool = ct_pool();
		struct ct_set set;

		ct_set_init(&set, 3 * MANY);
		ct_set_fill(pool, &set, 3 * MANY, &ct.rng);
		trim_and_check_released(pool);
		ct_set_thin(pool, &set, MANY, &ct.rng);
		trim_and_check_released(pool);
		compact_and_check_released(pool, budget);
		ct_set_fill(pool, &set, 2 * MANY, &ct.rng);
		ct_set_thin_mapped(pool, &set, FEW, &ct.rng);
		compact_and_check_released(pool, budget);
		ct_threads_run(4, store_and_end, pool);
		if (i % 2)
			trim_and_check_released(pool);
		compact_and_check_released(pool, budget);
		ct_set_free_all(pool, &set);
		compact_and_check_released(pool, budget);
		trim_and_check_released(pool);
		zpool_destroy_pool(pool);
		ct_set_fini(&set);
	}
}

/*
 * None of these budgets can be used up.  But a driver that adds the time to its clock, or treats it as signed,
 * overflows and ends early.
 */
static void largest_budget_means_no_budget(void)
{
	static const struct budget greatest[] = { { UINT64_MAX, 0 },
						  { 0, UINT64_MAX },
						  { UINT64_MAX, UINT64_MAX },
						  { INT64_MAX, INT64_MAX },
						  { 0, UINT64_C(1) << 63 } };

	ct_need(ZPOOL_CAP_COMPACT);
	for (size_t i = 0; i < sizeof(greatest) / sizeof(greatest[0]); i++) {
		struct zpool *pool = ct_pool();
		uint64_t rest = 0, held;
		struct ct_set set;
		int result;

		ct_set_init(&set, MANY);
		ct_set_fill(pool, &set, MANY, &ct.rng);
		ct_set_thin_mapped(pool, &set, FEW, &ct.rng);
		result = zpool_compact(pool, greatest[i].bytes, greatest[i].ns, NULL);
		CT_CHECK(result == 0, "compaction by %llu bytes and %llu ns: expected 0, got %s",
			 (unsigned long long)greatest[i].bytes, (unsigned long long)greatest[i].ns,
			 ct_error_name(result));
		held = zpool_get_total_size(pool);
		CT_MUST(zpool_compact(pool, 0, 0, &rest));
		CT_CHECK(
			rest <= held / 4,
			"bytes left to a second compaction after one by %llu bytes and %llu ns: expected at most %llu, got %llu",
			(unsigned long long)greatest[i].bytes, (unsigned long long)greatest[i].ns,
			(unsigned long long)held / 4, (unsigned long long)rest);
		ct_set_check(pool, &set, "after compaction with the largest budgets");
		zpool_destroy_pool(pool);
		ct_set_fini(&set);
	}
}

const struct ct_case ct_cases_budget[] = {
	{ "budgeted_compact_of_an_empty_pool_returns_zero",
	  "When nothing can be gained, zpool_compact() returns 0 for every budget.",
	  budgeted_compact_of_an_empty_pool_returns_zero, 0 },
	{ "budgeted_compact_finishes_despite_mapped_objects",
	  "A loop that calls zpool_compact() until it returns 0 ends, for every budget and with any objects mapped.",
	  budgeted_compact_finishes_despite_mapped_objects, 0 },
	{ "budgeted_compact_gains_as_much_as_without",
	  "After zpool_compact() with a budget has returned 0, a call without a budget finds almost nothing to gain.",
	  budgeted_compact_gains_as_much_as_without, 0 },
	{ "budgeted_compact_finishes_while_threads_work",
	  "A loop that calls zpool_compact() until it returns 0 ends while other threads store and free.",
	  budgeted_compact_finishes_while_threads_work, 0 },
	{ "budgeted_compacts_run_concurrently",
	  "Several threads may compact a pool with budgets at the same time, and each of them finishes.",
	  budgeted_compacts_run_concurrently, 0 },
	{ "compact_checks_the_time_after_each_step",
	  "A call whose time budget is used up moves and releases at most one more step, however much is left to do.",
	  compact_checks_the_time_after_each_step, 0 },
	{ "largest_budget_means_no_budget", "A budget too large to be used up works like no budget.",
	  largest_budget_means_no_budget, 0 },
	{ "released_bytes_equal_the_drop_of_total_size",
	  "zpool_compact() and zpool_trim() report to the byte how much memory the pool gave up.",
	  released_bytes_equal_the_drop_of_total_size, 0 },
	{ NULL, NULL, NULL, 0 },
};
