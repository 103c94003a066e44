/* SPDX-License-Identifier: MIT
 *
 * guard_slots.c - the table's memory: slots kept for the next objects, its part of the limit, and its release
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "guard.h"

enum { LIMIT_STEP_BYTES = 16 << 10, PRESS_AFTER_FREES = 16 };

/* limit_lock is held. */
static int share_limit(struct guard_pool *pool)
{
	zp_pages_set_limit(&pool->pages, pool->limit_bytes ? pool->own_bytes : 0);
	return zp_filter_limit(&pool->filter, pool->limit_bytes, pool->own_bytes);
}

int guard_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct guard_pool *pool = pool_;
	int err;

	zp_lock(&pool->limit_lock);
	pool->limit_bytes = limit_bytes;
	/* Without a limit, a group that the table charges meanwhile is no mistake, and must not be refused. */
	pool->own_bytes = limit_bytes ? zp_handles_close_limit(&pool->handles) : zp_pages_held_bytes(&pool->pages);
	err = share_limit(pool);
	zp_unlock(&pool->limit_lock);
	return err;
}

/*
 * Makes the driver below hold no more than the given bytes, by a trim or by compaction.  Returns false if it needs
 * more.  Compaction that gained too little is only tried again after some objects were freed.  limit_lock is held.
 */
static bool press_below(struct guard_pool *pool, uint64_t bytes)
{
	static const struct zpool_budget whole = { .struct_size = sizeof(whole) };
	uint64_t frees = atomic_load_explicit(&pool->frees, memory_order_relaxed), released;

	if (zp_filter_total_size(&pool->filter) <= bytes)
		return true;
	/* A filter below has both callbacks, but they would only set a message if its own driver has none. */
	if (pool->filter.lower.caps & ZPOOL_CAP_TRIM)
		(void)zp_filter_trim(&pool->filter, &released);
	if (zp_filter_total_size(&pool->filter) <= bytes)
		return true;
	if (!(pool->filter.lower.caps & ZPOOL_CAP_COMPACT) || frees < pool->press_at_frees)
		return false;
	(void)zp_filter_compact(&pool->filter, &whole, &released);
	bool fits = zp_filter_total_size(&pool->filter) <= bytes;
	pool->press_at_frees = fits ? 0 : frees + PRESS_AFTER_FREES;
	return fits;
}

/*
 * Moves a part of the limit from the driver below to the table: one step, or what is left if that is less.  Returns
 * false if the driver needs all of its part, or there is no limit.
 */
static bool take_share(struct guard_pool *pool)
{
	uint64_t more;
	bool fits = false;

	zp_lock(&pool->limit_lock);
	more = pool->own_bytes + LIMIT_STEP_BYTES;
	if (pool->limit_bytes > more) {
		(void)zp_filter_limit(&pool->filter, pool->limit_bytes, more);
		if (!press_below(pool, pool->limit_bytes - more)) {
			uint64_t below = zp_filter_total_size(&pool->filter);

			more = pool->limit_bytes > below ? pool->limit_bytes - below : 0;
		}
		fits = more >= pool->own_bytes + ZP_PAGE_BYTES;
		if (fits)
			pool->own_bytes = more;
		(void)share_limit(pool);
	}
	zp_unlock(&pool->limit_lock);
	return fits;
}

/* Links the slots before `head`; the last link becomes the rest of the list. */
static void push_dropped(struct guard_pool *pool, uint32_t head)
{
	uint32_t last = head, first = atomic_load_explicit(&pool->dropped, memory_order_relaxed);

	while (guard_object(pool, last)->next != ZP_SLOT_NONE)
		last = guard_object(pool, last)->next;
	do
		guard_object(pool, last)->next = first;
	while (!atomic_compare_exchange_weak_explicit(&pool->dropped, &first, head, memory_order_release,
						      memory_order_relaxed));
}

/* Takes the whole list, so that no other thread can have read a part of it, and puts back what it does not need. */
static bool take_dropped(struct guard_pool *pool, uint32_t *slot)
{
	uint32_t rest;

	if (atomic_load_explicit(&pool->dropped, memory_order_relaxed) == ZP_SLOT_NONE)
		return false;
	*slot = atomic_exchange_explicit(&pool->dropped, ZP_SLOT_NONE, memory_order_acquire);
	if (*slot == ZP_SLOT_NONE)
		return false;
	rest = guard_object(pool, *slot)->next;
	if (rest != ZP_SLOT_NONE)
		push_dropped(pool, rest);
	atomic_fetch_sub_explicit(&pool->dropped_count, 1, memory_order_relaxed);
	return true;
}

void guard_drop_slot(struct guard_pool *pool, uint32_t slot)
{
	atomic_fetch_add_explicit(&pool->dropped_count, 1, memory_order_relaxed);
	guard_object(pool, slot)->next = ZP_SLOT_NONE;
	push_dropped(pool, slot);
}

static void count_failure(struct guard_pool *pool, int err, bool limited)
{
	atomic_fetch_add_explicit(err == -EAGAIN ? &pool->failed_again
				  : limited      ? &pool->failed_limit
						 : &pool->failed_memory,
				  1, memory_order_relaxed);
}

/*
 * The driver below does not report why a call failed.  So if the pool has a limit, a call that may wait counts as
 * failed at the limit.
 */
void guard_count_failure_below(struct guard_pool *pool, int err, zpool_gfp_t gfp)
{
	bool limited = !(gfp & ZPOOL_GFP_NOWAIT) && atomic_load_explicit(&pool->limit_bytes, memory_order_relaxed);

	if (err == -EAGAIN || err == -ENOMEM)
		count_failure(pool, err, limited);
}

int guard_get_slot(struct guard_pool *pool, zpool_gfp_t gfp, uint32_t *slot)
{
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	bool limited = false;
	int err;

	if (take_dropped(pool, slot))
		return 0;
	for (int i = 0; i < GUARD_KEPT; i++) {
		if (atomic_load_explicit(&pool->kept[i], memory_order_relaxed) == ZP_SLOT_NONE)
			continue;
		*slot = atomic_exchange_explicit(&pool->kept[i], ZP_SLOT_NONE, memory_order_acquire);
		if (*slot != ZP_SLOT_NONE)
			return 0;
	}
	err = zp_handles_bind(&pool->handles, gfp, slot, 1);

	while (err == -ENOMEM && !(gfp & ZPOOL_GFP_NOWAIT) && refusals != zp_pages_limit_refusals(&pool->pages)) {
		limited = true;
		if (!take_share(pool))
			break;
		refusals = zp_pages_limit_refusals(&pool->pages);
		err = zp_handles_bind(&pool->handles, gfp, slot, 1);
	}
	if (err > 0)
		return 0;
	count_failure(pool, err, limited);
	return err;
}

void guard_put_slot(struct guard_pool *pool, uint32_t slot)
{
	for (int i = 0; i < GUARD_KEPT; i++) {
		uint32_t none = ZP_SLOT_NONE;

		if (atomic_compare_exchange_strong_explicit(&pool->kept[i], &none, slot, memory_order_release,
							    memory_order_relaxed))
			return;
	}
	zp_handles_unbind(&pool->handles, &slot, 1);
}

void guard_put_kept_slots(struct guard_pool *pool)
{
	uint32_t dropped;

	while (take_dropped(pool, &dropped))
		zp_handles_unbind(&pool->handles, &dropped, 1);
	for (int i = 0; i < GUARD_KEPT; i++) {
		uint32_t slot = atomic_exchange_explicit(&pool->kept[i], ZP_SLOT_NONE, memory_order_acquire);

		if (slot != ZP_SLOT_NONE)
			zp_handles_unbind(&pool->handles, &slot, 1);
	}
}

uint64_t guard_kept_slots(struct guard_pool *pool)
{
	uint64_t count = atomic_load_explicit(&pool->dropped_count, memory_order_relaxed);

	for (int i = 0; i < GUARD_KEPT; i++)
		count += atomic_load_explicit(&pool->kept[i], memory_order_relaxed) != ZP_SLOT_NONE;
	return count;
}

uint64_t guard_total_size(void *pool_)
{
	struct guard_pool *pool = pool_;
	uint64_t own, below;

	/* If a part of the limit moves from the driver below to the table meanwhile, the sum could exceed the limit. */
	do {
		own = zp_pages_held_bytes(&pool->pages);
		below = zp_filter_total_size(&pool->filter);
	} while (own != zp_pages_held_bytes(&pool->pages));
	return own + below;
}

/*
 * Releases the slots that are kept.  The driver below gets the part of the limit that the table does not need any more;
 * otherwise the table could grow again up to its part after the limit was set below what the pool holds.  Returns true
 * if there was such a part.
 */
static bool trim_own(struct guard_pool *pool)
{
	bool yields = false;
	uint64_t ignored;

	zp_lock(&pool->limit_lock);
	guard_put_kept_slots(pool);
	zp_handles_trim(&pool->handles, &ignored);
	zp_pages_trim(&pool->pages, &ignored);
	if (pool->limit_bytes) {
		uint64_t own_bytes = zp_handles_close_limit(&pool->handles);

		yields = own_bytes < pool->own_bytes;
		pool->own_bytes = own_bytes;
		if (yields)
			(void)share_limit(pool);
	}
	zp_unlock(&pool->limit_lock);
	return yields;
}

int guard_trim(void *pool_, uint64_t *released)
{
	struct guard_pool *pool = pool_;
	uint64_t before = guard_total_size(pool), after;
	int err = zp_filter_trim(&pool->filter, released);

	if (err)
		return err;
	(void)trim_own(pool);
	after = guard_total_size(pool);
	*released = before > after ? before - after : 0;
	return 0;
}

/* The table releases its own memory when the driver below has nothing more to release. */
int guard_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct guard_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after;
	int result = zp_filter_compact(&pool->filter, budget, released);

	if (result)
		return result;
	(void)trim_own(pool);
	after = zp_pages_held_bytes(&pool->pages);
	*released += before > after ? before - after : 0;
	return 0;
}

bool guard_yield_share(struct guard_pool *pool)
{
	return atomic_load_explicit(&pool->limit_bytes, memory_order_relaxed) && trim_own(pool);
}
