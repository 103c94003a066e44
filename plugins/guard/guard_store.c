/* SPDX-License-Identifier: MIT
 *
 * guard_store.c - storing objects in the driver below
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "guard.h"

/* Which step of storing an object failed. */
enum guard_step { GUARD_STEP_MALLOC, GUARD_STEP_MAP };

/*
 * Stores an object in the driver below and writes its zones.  Returns 0 with *below, or -errno with *step.  A failed
 * map is counted here, because the driver below does not know that it fails a malloc.
 */
static int store_below(struct guard_pool *pool, unsigned long handle, size_t size, zpool_gfp_t gfp,
		       unsigned long *below, enum guard_step *step)
{
	const struct zpool_lower *lower = &pool->filter.lower;
	int err = lower->driver->malloc(lower->pool, pool->front_bytes + size + pool->back_bytes, gfp, below);
	char *base;

	*step = GUARD_STEP_MALLOC;
	if (err)
		return err;
	base = lower->driver->map(lower->pool, *below, ZPOOL_MM_RW);
	if (!base) {
		*step = GUARD_STEP_MAP;
		atomic_fetch_add_explicit(&pool->failed_memory, 1, memory_order_relaxed);
		/* A NOWAIT call does not wait for a lock. */
		if (gfp & ZPOOL_GFP_NOWAIT)
			(void)lower->driver->free(lower->pool, *below);
		else
			(void)guard_free_below(pool, *below);
		return -ENOMEM;
	}
	guard_draw_zones(pool, base, handle, size);
	(void)lower->driver->unmap(lower->pool, *below);
	return 0;
}

/*
 * Called after a malloc failed below: returns true if that may have been at the limit.  A filter may let it fail for
 * reasons of its own, which a second try would hide, so its statistics are asked.  A driver fails for want of memory
 * only, and is not asked, because its statistics take long and a pool at its limit fails often.
 */
static bool failed_at_limit(struct guard_pool *pool)
{
	const struct zpool_lower *lower = &pool->filter.lower;
	struct zpool_stats now = { 0 };

	if (!atomic_load_explicit(&pool->limit_bytes, memory_order_relaxed))
		return false;
	if (!(lower->caps & ZPOOL_CAP_FILTER) || !(lower->caps & ZPOOL_CAP_STATS))
		return true;
	return lower->driver->stats(lower->pool, &now, sizeof(now)) == 0 &&
	       guard_raise(&pool->seen_limit, now.malloc_failed_limit);
}

/* A call that may wait tries a second time if the table can release memory. */
static int store_below_or_retry(struct guard_pool *pool, unsigned long handle, size_t size, zpool_gfp_t gfp,
				unsigned long *below, enum guard_step *step)
{
	int err;

	atomic_fetch_add(&pool->undecided, 1);
	err = store_below(pool, handle, size, gfp, below, step);
	if (err == -ENOMEM && *step == GUARD_STEP_MALLOC && failed_at_limit(pool) && guard_yield_share(pool)) {
		atomic_fetch_add(&pool->retries, 1);
		err = store_below(pool, handle, size, gfp, below, step);
		/* The next malloc must not take a failure of this one for its own. */
		if (err)
			(void)failed_at_limit(pool);
	}
	atomic_fetch_sub(&pool->undecided, 1);
	return err;
}

int guard_store_below(struct guard_pool *pool, unsigned long handle, size_t size, zpool_gfp_t gfp, unsigned long *below)
{
	enum guard_step step;
	int err = gfp & ZPOOL_GFP_NOWAIT ? store_below(pool, handle, size, gfp, below, &step)
					 : store_below_or_retry(pool, handle, size, gfp, below, &step);

	if (err && step == GUARD_STEP_MALLOC && !(pool->filter.lower.caps & ZPOOL_CAP_STATS))
		guard_count_failure_below(pool, err, gfp);
	return err;
}
