/* SPDX-License-Identifier: MIT
 *
 * cases_room.c - what a pool at its limit, or an emptied one, must release: memory for other sizes, caches of idle and
 * ended threads, and memory of failed mallocs
 */
#include "cases.h"
#include "objects.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT (UINT64_C(6) << 20)

/*
 * A compaction at the limit has almost no memory to move objects to, so another one may release a page more. A malloc
 * that needs two pages at once, such as one for the object and one for its handle, cannot use the first alone.
 */
#define COMPACT_SPARED_BYTES (UINT64_C(2) << 12)

/* At least as many objects as fit below a limit. */
static size_t count_max(uint64_t limit)
{
	return (size_t)(limit / CT_TAKEN_BYTES_MIN);
}

/* The sizes of the first objects and of the later ones; 0: random. */
static const size_t mixes[][2] = { { 2000, 300 }, { 300, 2000 }, { 0, 1100 },  { 0, 3000 },   { 3000, 0 },
				   { 700, 700 },  { 0, 40 },     { 40, 2500 }, { 9000, 200 }, { 150, 30000 } };

#define MIXES (sizeof(mixes) / sizeof(mixes[0]))

static size_t size_of(size_t mix)
{
	size_t size = mix ? mix - mix / 16 + ct_rng_below(&ct.rng, mix / 8 + 1) : ct_rng_size(&ct.rng, ct.max_bytes);

	return size < ct.max_bytes ? size : ct.max_bytes;
}

/* Stores objects until the pool's limit is reached.  Returns how many. */
static size_t fill(struct zpool *pool, size_t mix, unsigned long *handles, uint64_t limit)
{
	for (size_t count = 0;; count++) {
		int result = zpool_malloc(pool, size_of(mix), ZPOOL_GFP_KERNEL, &handles[count]);

		CT_CHECK(result == 0 || result == -ENOMEM, "malloc returned %s", ct_error_name(result));
		if (result)
			return count;
		CT_CHECK(count < count_max(limit), "the pool never reached a limit of %llu bytes",
			 (unsigned long long)limit);
	}
}

/* Frees a few objects next to each other. */
static void free_some(struct zpool *pool, const unsigned long *handles, size_t count)
{
	size_t some = count < 12 ? count : 12, first = (size_t)ct_rng_below(&ct.rng, count - some + 1);

	for (size_t i = 0; i < some; i++)
		zpool_free(pool, handles[first + i]);
}

/* Frees all objects except every `keep`th. */
static void thin(struct zpool *pool, unsigned long *handles, size_t count, unsigned int keep)
{
	for (size_t i = 0; i < count; i++)
		if (!keep || ct_rng_below(&ct.rng, keep) != 0)
			zpool_free(pool, handles[i]);
}

/*
 * Malloc failed for the current size, and then a call released memory.  If that was more than `spared_bytes`, malloc
 * should have released it, so the same malloc must still fail.
 */
static void expect_no_room(struct zpool *pool, size_t size, const char *call, uint64_t released, uint64_t spared_bytes)
{
	unsigned long handle;
	int result = zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle);

	CT_CHECK(
		result == -ENOMEM || released < size || released <= spared_bytes,
		"malloc of %zu bytes failed with ENOMEM at the limit, but %s then released %llu bytes, and malloc succeeded",
		size, call, (unsigned long long)released);
}

/*
 * These drivers promise more than zpool.h requires: unless a parameter forbids it, they compact before a malloc fails.
 */
static bool compacts_at_the_limit(void)
{
	return (strcmp(ct.type, "zsmalloc") == 0 || strcmp(ct.type, "z3fold") == 0) && !strstr(ct.spec, "compact=no");
}

static void malloc_at_the_limit_trims_first(void)
{
	const uint64_t limit = ct_limit(LIMIT);
	unsigned long *handles = calloc(count_max(limit) + 1, sizeof(*handles));

	CT_CHECK(handles != NULL, "the test suite is out of memory");
	for (size_t i = 0; i < 3 * MIXES; i++) {
		struct zpool *pool = ct_pool_limited(limit);
		const size_t *mix = mixes[i / 3];
		size_t first = fill(pool, mix[0], handles, limit), size;
		uint64_t released = 0;
		unsigned long *last = handles + first;

		if (i % 3 == 2)
			free_some(pool, handles, first);
		else
			thin(pool, handles, first, i % 3 ? 10 : 3);
		for (size_t count = 0;; count++) {
			size = size_of(mix[1]);
			if (zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, last) == -ENOMEM)
				break;
			CT_CHECK(count < count_max(limit), "the pool never reached a limit of %llu bytes",
				 (unsigned long long)limit);
		}
		if (zpool_trim(pool, &released) == 0)
			expect_no_room(pool, size, "zpool_trim()", released, 0);
		/* At the limit they compact only after enough was freed to make it worthwhile. */
		if (compacts_at_the_limit() && i % 3 != 2) {
			CT_MUST(zpool_compact(pool, 0, 0, &released));
			expect_no_room(pool, size, "zpool_compact()", released, COMPACT_SPARED_BYTES);
		}
		zpool_destroy_pool(pool);
	}
	free(handles);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What threads keep
 */

enum { THREADS = 40, OWN = 60 };

static pthread_barrier_t worked, looked;

/* What each thread does with the pool; in the end it has freed all its objects. */
static void store_and_free(struct zpool *pool, size_t mix, struct ct_rng *rng)
{
	unsigned long handles[OWN];
	size_t size = mix < ct.max_bytes ? mix : ct.max_bytes;

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < OWN; i++)
			CT_MUST(zpool_malloc(pool, size - ct_rng_below(rng, size / 8 + 1), ZPOOL_GFP_KERNEL,
					     &handles[i]));
		for (size_t i = 0; i < OWN; i++)
			zpool_free(pool, handles[i]);
	}
}

static void work_and_end(struct ct_thread *thread)
{
	for (size_t mix = 300; mix <= 30000; mix *= 10)
		store_and_free(thread->arg, mix, &thread->rng);
}

static void work_and_idle(struct ct_thread *thread)
{
	work_and_end(thread);
	pthread_barrier_wait(&worked);
	pthread_barrier_wait(&looked);
}

/* The calls that release a pool's caches. */
enum giving { BY_TRIM, BY_COMPACT, BY_BUDGET, GIVINGS };
enum { COMPACT_CALLS_MAX = 400000 };

static bool give_back(struct zpool *pool, enum giving giving)
{
	int result = 1;

	if (giving == BY_TRIM)
		return zpool_trim(pool, NULL) == 0;
	if (!ct_can(ZPOOL_CAP_COMPACT))
		return false;
	for (unsigned int calls = 0; result == 1; calls++) {
		result = zpool_compact(pool, 0, giving == BY_BUDGET ? 20000 : 0, NULL);
		CT_CHECK(result >= 0 && calls < COMPACT_CALLS_MAX, "zpool_compact() returned %s after %u calls",
			 ct_error_name(result), calls);
	}
	return true;
}

/* Returns the size of an emptied pool after one thread did the work of all of them. */
static uint64_t held_after_one_thread(enum giving giving)
{
	struct zpool *pool = ct_pool();
	uint64_t held;

	for (int i = 0; i < THREADS; i++)
		ct_threads_run(1, work_and_end, pool);
	(void)give_back(pool, giving);
	held = zpool_get_total_size(pool);
	zpool_destroy_pool(pool);
	return held;
}

static void caches_of_ended_threads_are_released(void)
{
	enum { SLACK = 64 << 10 };

	if (!ct_can(ZPOOL_CAP_COMPACT))
		ct_need(ZPOOL_CAP_TRIM);
	for (unsigned int giving = 0; giving < GIVINGS; giving++) {
		struct zpool *pool = ct_pool();
		uint64_t one = held_after_one_thread(giving), held;

		ct_threads_run(THREADS, work_and_end, pool);
		if (give_back(pool, giving)) {
			held = zpool_get_total_size(pool);
			CT_CHECK(
				held <= one + SLACK,
				"after %d threads used the pool and ended it holds %llu bytes; after one thread it holds %llu",
				THREADS, (unsigned long long)held, (unsigned long long)one);
		}
		zpool_destroy_pool(pool);
	}
}

/* A live thread may have its own records in the pool, but must not keep pages of objects. */
static void caches_of_idle_threads_hold_no_pages(void)
{
	enum { A_THREAD = 40 << 10, SLACK = 64 << 10 };

	if (!ct_can(ZPOOL_CAP_COMPACT))
		ct_need(ZPOOL_CAP_TRIM);
	for (unsigned int giving = 0; giving < GIVINGS; giving++) {
		struct zpool *pool = ct_pool();
		uint64_t one = held_after_one_thread(giving), held = 0;

		pthread_barrier_init(&worked, NULL, THREADS + 1);
		pthread_barrier_init(&looked, NULL, THREADS + 1);
		ct_threads_start(THREADS, work_and_idle, pool);
		pthread_barrier_wait(&worked);
		if (give_back(pool, giving))
			held = zpool_get_total_size(pool);
		pthread_barrier_wait(&looked);
		ct_threads_join();
		CT_CHECK(
			held <= one + SLACK + THREADS * A_THREAD,
			"after %d threads used the pool and went idle it holds %llu bytes; after one thread it holds %llu",
			THREADS, (unsigned long long)held, (unsigned long long)one);
		zpool_destroy_pool(pool);
		pthread_barrier_destroy(&worked);
		pthread_barrier_destroy(&looked);
	}
}

/* At the limit, memory that threads left behind must be usable like any other. */
static void space_of_ended_threads_is_usable_at_the_limit(void)
{
	const uint64_t limit = ct_limit(LIMIT / 2);
	struct zpool *fresh = ct_pool_limited(limit), *used = ct_pool();
	unsigned long *handles = calloc(count_max(limit) + 1, sizeof(*handles));
	size_t many, less;

	CT_CHECK(handles != NULL, "the test suite is out of memory");
	many = fill(fresh, 800, handles, limit);
	ct_threads_run(THREADS, work_and_end, used);
	CT_MUST(zpool_set_limit(used, limit));
	less = fill(used, 800, handles, limit);
	CT_CHECK(
		less + less / 32 + 8 >= many,
		"at the limit, %zu objects fit into a new pool, but only %zu into one that threads have used and emptied",
		many, less);
	zpool_destroy_pool(fresh);
	zpool_destroy_pool(used);
	free(handles);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What failed calls keep
 */

/* Mallocs with NOWAIT, for sizes of which the pool has no free slot; some of them fail. */
static void try_without_waiting(struct zpool *pool)
{
	unsigned long handle;

	for (size_t size = 16; size < ct.max_bytes && size < 8000; size += 48)
		if (zpool_malloc(pool, size, ZPOOL_GFP_NOWAIT, &handle) == 0)
			zpool_free(pool, handle);
}

static uint64_t held_after(unsigned long *handles, size_t count, bool nowait, enum giving giving)
{
	struct zpool *pool = ct_pool();
	uint64_t held;

	for (size_t i = 0; i < count; i++)
		CT_MUST(zpool_malloc(pool, 3000 < ct.max_bytes ? 3000 : ct.max_bytes, ZPOOL_GFP_KERNEL, &handles[i]));
	ct_trim(pool);
	if (nowait)
		try_without_waiting(pool);
	for (size_t i = 0; i < count; i++)
		zpool_free(pool, handles[i]);
	(void)give_back(pool, giving);
	held = zpool_get_total_size(pool);
	zpool_destroy_pool(pool);
	return held;
}

static void failed_nowait_mallocs_leave_no_extra_memory(void)
{
	enum { COUNT = 40000 };
	unsigned long *handles = calloc(COUNT, sizeof(*handles));

	ct_need(ZPOOL_CAP_NOWAIT);
	if (!ct_can(ZPOOL_CAP_COMPACT))
		ct_need(ZPOOL_CAP_TRIM);
	CT_CHECK(handles != NULL, "the test suite is out of memory");
	for (unsigned int giving = 0; giving < GIVINGS; giving++) {
		uint64_t without, with;

		if (giving != BY_TRIM && !ct_can(ZPOOL_CAP_COMPACT))
			continue;
		without = held_after(handles, COUNT, false, giving);
		with = held_after(handles, COUNT, true, giving);
		CT_CHECK(with <= without,
			 "an emptied pool holds %llu bytes, but %llu after mallocs with NOWAIT had failed",
			 (unsigned long long)without, (unsigned long long)with);
	}
	free(handles);
}

const struct ct_case ct_cases_room[] = {
	{ "malloc_at_the_limit_trims_first",
	  "Before malloc returns -ENOMEM at the limit, it releases what zpool_trim() would, so that objects of any size can use it.",
	  malloc_at_the_limit_trims_first, 0 },
	{ "caches_of_ended_threads_are_released",
	  "zpool_trim() and zpool_compact() release what the pool had cached for threads that have ended.",
	  caches_of_ended_threads_are_released, 0 },
	{ "caches_of_idle_threads_hold_no_pages",
	  "The caches of idle threads keep no pages from zpool_trim() and zpool_compact().",
	  caches_of_idle_threads_hold_no_pages, 0 },
	{ "space_of_ended_threads_is_usable_at_the_limit",
	  "Space that ended threads had cached can be used by others at the limit.",
	  space_of_ended_threads_is_usable_at_the_limit, 0 },
	{ "failed_nowait_mallocs_leave_no_extra_memory",
	  "A malloc that fails because it may not wait leaves no extra memory in the pool.",
	  failed_nowait_mallocs_leave_no_extra_memory, 0 },
	{ NULL, NULL, NULL, 0 },
};
