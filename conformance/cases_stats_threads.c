/* SPDX-License-Identifier: MIT
 *
 * cases_stats_threads.c - what zpool_get_stats() reports while and after several threads use a pool
 */
#include "cases.h"
#include "stats.h"

#include <stdatomic.h>

struct busy {
	struct zpool *pool;
	atomic_ulong nomem, again, waited_nomem;
	atomic_uint ended;
};

#define BUSY_OBJECTS 300u
#define BUSY_LIMIT_BYTES (2u << 20)
#define BUSY_THREADS 3u

static void count_malloc(struct busy *busy, zpool_gfp_t gfp, int result)
{
	if (result == -EAGAIN)
		atomic_fetch_add(&busy->again, 1);
	else if (result != 0)
		atomic_fetch_add(gfp & ZPOOL_GFP_NOWAIT ? &busy->nomem : &busy->waited_nomem, 1);
}

/* Far from the limit, calls are short, so that two of them often change a counter at the same time. */
static void work_fast(struct busy *busy)
{
	const int rounds = ct_instrumented() || ct_verified() ? 3000 : 1200000;

	for (int i = 0; i < rounds && !ct_stopping(); i++) {
		unsigned long handle;
		int result = zpool_malloc(busy->pool, ct_size(64), ZPOOL_GFP_KERNEL, &handle);

		count_malloc(busy, ZPOOL_GFP_KERNEL, result);
		if (result == 0)
			zpool_free(busy->pool, handle);
	}
}

static void work_at_the_limit(struct ct_thread *thread)
{
	struct busy *busy = thread->arg;
	unsigned long handles[BUSY_OBJECTS];
	size_t held = 0;

	for (int i = 0; i < (ct_instrumented() ? 3000 : 30000) && !ct_stopping(); i++) {
		zpool_gfp_t gfp = ct_rng_below(&thread->rng, 2) ? ZPOOL_GFP_KERNEL : ZPOOL_GFP_NOWAIT;
		size_t size = ct_rng_size(&thread->rng, ct.max_bytes);
		int result;

		if (held == BUSY_OBJECTS || (held > 0 && ct_rng_below(&thread->rng, 5) < 2)) {
			zpool_free(busy->pool, handles[--held]);
			continue;
		}
		result = zpool_malloc(busy->pool, size, gfp, &handles[held]);
		held += result == 0;
		count_malloc(busy, gfp, result);
	}
	while (held > 0)
		zpool_free(busy->pool, handles[--held]);
	work_fast(busy);
	atomic_fetch_add(&busy->ended, 1);
}

static void expect_rising(const struct zpool_stats *before, const struct zpool_stats *now)
{
	/* The driver counts class by class, so an object that is freed meanwhile may be counted with its successor. */
	CT_CHECK(now->objects <= 2 * BUSY_THREADS * BUSY_OBJECTS, "objects: expected at most %u, got %llu",
		 BUSY_THREADS * BUSY_OBJECTS, (unsigned long long)now->objects);
	CT_CHECK(now->mapped_handles == 0, "mapped_handles: expected 0, got %llu",
		 (unsigned long long)now->mapped_handles);
	CT_CHECK(now->stored_bytes <= 2 * ct_limit(BUSY_LIMIT_BYTES),
		 "stored_bytes: expected at most twice the limit, got %llu with a limit of %llu",
		 (unsigned long long)now->stored_bytes, (unsigned long long)ct_limit(BUSY_LIMIT_BYTES));
	CT_CHECK(now->pool_bytes_peak >= before->pool_bytes_peak, "pool_bytes_peak fell");
	CT_CHECK(now->malloc_failed_limit >= before->malloc_failed_limit &&
			 now->malloc_failed_memory >= before->malloc_failed_memory &&
			 now->malloc_failed_again >= before->malloc_failed_again &&
			 now->compactions >= before->compactions &&
			 now->compact_moved_bytes >= before->compact_moved_bytes &&
			 now->compact_released_bytes >= before->compact_released_bytes,
		 "a counter fell while threads worked");
}

static void stats_are_exact_after_threads(void)
{
	struct zpool_stats before = { 0 }, now;
	struct busy busy = { .pool = ct_pool_limited(ct_limit(BUSY_LIMIT_BYTES)) };

	ct_need(ZPOOL_CAP_STATS);
	ct_threads_start(BUSY_THREADS, work_at_the_limit, &busy);
	do {
		now = stats_of(busy.pool);
		expect_rising(&before, &now);
		before = now;
	} while (atomic_load(&busy.ended) < BUSY_THREADS && !ct_stopping());
	ct_threads_join();
	now = stats_of(busy.pool);
	STAT_IS(now, objects, 0, "threads freed all");
	STAT_IS(now, stored_bytes, 0, "threads freed all");
	STAT_IS(now, pool_bytes, zpool_get_total_size(busy.pool), "after threads");
	STAT_IS(now, malloc_failed_limit, atomic_load(&busy.waited_nomem), "threads reached the limit");
	STAT_IS(now, malloc_failed_memory, atomic_load(&busy.nomem), "threads found no memory ready");
	STAT_IS(now, malloc_failed_again, atomic_load(&busy.again), "threads met locks that others held");
	STAT_IS(now, refused_handles, 0, "threads used their own handles");
	zpool_destroy_pool(busy.pool);
}

const struct ct_case ct_cases_stats_threads[] = {
	{ "stats_are_exact_after_threads",
	  "Statistics can be read while threads work; counters never fall, and are exact once the threads are done.",
	  stats_are_exact_after_threads, 0 },
	{ NULL, NULL, NULL, 0 },
};
