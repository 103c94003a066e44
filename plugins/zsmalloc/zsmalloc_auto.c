/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_auto.c - automatic compaction: inside free, inside malloc, and at the limit
 *
 * Programs that replace objects hardly need it, because mallocs fill the holes of their own and of the next classes.  A
 * pool that shrinks does.  If a class wastes more than BEGIN_SHARE of its pages, and the pool more than POOL_SHARE,
 * each free of the class moves a few objects until the class wastes no more than END_SHARE.  One thread does so at a
 * time; the others do not wait for it.
 */
#include <config.h>

#include "zsmalloc.h"

enum { LOOKS_PER_FREE = 4 }; /* a whole compaction at the limit examines this many records and classes for each free */

static const struct zsmalloc_compact_policy auto_policy = {
	.window = 1,
	.idle_steps = ZSMALLOC_AUTO_IDLE_STEPS,
	.spared_pages = ZSMALLOC_AUTO_SPARED_PAGES,
	.committed_only = true,
	.stop_below_threshold = true,
};

static const struct zsmalloc_compact_policy need_policy = {
	.window = 1,
	.idle_steps = ZSMALLOC_AUTO_IDLE_STEPS,
	.committed_only = true,
};

/* ------------------------------------------------------------------------------------------------------------------
 * When
 */

uint64_t zsmalloc_class_waste(const struct zsmalloc_class *class)
{
	return class->committed_pages * ZP_PAGE_BYTES - (uint64_t) class->used_slots * class->slot_bytes -
	       (uint64_t) class->zspages * class->head_bytes;
}

static bool is_enabled(const struct zsmalloc_pool *pool)
{
	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed);
}

/* Returns true if the class wastes more than `pages` and the share 1/`share` of its pages together. */
static bool wastes_more_than(const struct zsmalloc_class *class, unsigned int pages, unsigned int share)
{
	uint64_t held = class->committed_pages * ZP_PAGE_BYTES;

	return zsmalloc_class_waste(class) > pages * ZP_PAGE_BYTES + held / share;
}

bool zsmalloc_is_below_threshold(const struct zsmalloc_class *class)
{
	return !wastes_more_than(class, ZSMALLOC_END_PAGES, ZSMALLOC_END_SHARE);
}

bool zsmalloc_wants_compaction(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	bool enabled = is_enabled(pool);

	if (class->is_compacting) {
		if (enabled && !zsmalloc_is_below_threshold(class))
			return true;
		zsmalloc_class_end_draining(pool, class);
		class->is_compacting = false;
	}
	return enabled && class->frees >= class->check_at_frees &&
	       wastes_more_than(class, ZSMALLOC_BEGIN_PAGES, ZSMALLOC_BEGIN_SHARE);
}

/* Returns true if all classes together waste more than POOL_SHARE.  Called without a lock. */
static bool pool_wastes_too_much(struct zsmalloc_pool *pool)
{
	struct zsmalloc_class *class = NULL;
	uint64_t held = 0, waste = 0;

	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		held += class->committed_pages * ZP_PAGE_BYTES;
		waste += zsmalloc_class_waste(class);
		zp_unlock(&class->lock);
	}
	return waste > ZSMALLOC_BEGIN_PAGES * ZP_PAGE_BYTES + held / ZSMALLOC_POOL_SHARE;
}

bool zsmalloc_wastes_a_page(const struct zsmalloc_class *class)
{
	return zsmalloc_class_waste(class) >= ZP_PAGE_BYTES;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Runs
 */

/*
 * Moves up to `budget` bytes in a class.  Called with the class's lock held, which is released between steps.  Returns
 * the run, which says what was moved and released; that is never negative, because both policies move objects only to
 * slots that have memory.
 */
static struct zsmalloc_run compact_class(struct zsmalloc_pool *pool, struct zsmalloc_class *class,
					 const struct zsmalloc_compact_policy *policy, uint64_t budget)
{
	uint64_t *run_id = &pool->run_ids[class - pool->classes];
	struct zsmalloc_run run = { .pool = pool,
				    .class = class,
				    .policy = policy,
				    .id = *run_id ? *run_id : zsmalloc_next_compaction_id(pool),
				    .met_pinned = *run_id != 0 };
	bool more;

	do {
		more = zsmalloc_compact_step(&run, budget);
		zsmalloc_class_unlock(pool, class);
		zp_lock(&class->lock);
	} while (more && run.moved_bytes < budget);
	class->is_compacting = more && policy->stop_below_threshold;
	if (!class->is_compacting)
		zsmalloc_class_end_draining(pool, class);
	*run_id = run.met_pinned && !run.tried_all ? run.id : 0;
	if (!run.moved_bytes && !run.released_pages)
		return run;
	atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->moved_bytes, run.moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->released_bytes, (uint64_t)run.released_pages * ZP_PAGE_BYTES,
				  memory_order_relaxed);
	return run;
}

/* Lets frees of the class compact again after the share ZSMALLOC_CHECK_SHARE of its slots was freed. */
static void wait_for_frees(struct zsmalloc_class *class)
{
	class->check_at_frees = class->frees + class->used_slots / ZSMALLOC_CHECK_SHARE + 1;
}

void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	if (atomic_load_explicit(&pool->is_compacting, memory_order_relaxed) ||
	    atomic_exchange_explicit(&pool->is_compacting, true, memory_order_acquire))
		return;
	zp_lock(&class->lock);
	bool begins = !class->is_compacting;
	zp_unlock(&class->lock);
	bool due = !begins || pool_wastes_too_much(pool);
	zp_lock(&class->lock);
	if (!due) {
		wait_for_frees(class);
	} else if (zsmalloc_wants_compaction(pool, class)) {
		struct zsmalloc_run run = compact_class(pool, class, &auto_policy, ZSMALLOC_AUTO_BYTES);

		/* Mapped objects are in the way, and the next free would find the same ones. */
		if (run.met_pinned && run.tried_all)
			wait_for_frees(class);
	}
	zp_unlock(&class->lock);
	atomic_store_explicit(&pool->is_compacting, false, memory_order_release);
}

/* next_class stays at a class that still wastes too much, so that the next call continues there. */
void zsmalloc_compact_next(struct zsmalloc_pool *pool)
{
	uint32_t first = atomic_load_explicit(&pool->next_class, memory_order_relaxed);
	bool wants = false;

	for (unsigned int i = 0; i < ZSMALLOC_AUTO_CLASSES && !wants; i++) {
		struct zsmalloc_class *class = &pool->classes[(first + i) % pool->class_count];

		if (zsmalloc_class_is_used(class)) {
			zp_lock(&class->lock);
			wants = zsmalloc_wants_compaction(pool, class);
			zp_unlock(&class->lock);
		}
		if (wants)
			zsmalloc_compact_some(pool, class);
		atomic_store_explicit(&pool->next_class, first + i + !wants, memory_order_relaxed);
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * At the limit
 */

/* What one call of zsmalloc_make_room() wants and has found. */
struct room {
	uint64_t wanted_bytes, released_bytes, moved_bytes;
	bool found_slots; /* enough for the malloc if they are in its class */
};

/* Releases what a class caches and, if that is not enough, compacts it. */
static void make_room_in_class(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct room *room)
{
	if (!zsmalloc_class_is_used(class))
		return;
	zp_lock(&class->lock);
	uint32_t used_slots = class->used_slots;
	room->released_bytes += zsmalloc_class_drop_cached(pool, class) * ZP_PAGE_BYTES;
	room->found_slots |= class->used_slots < used_slots;
	zsmalloc_class_unlock(pool, class);
	if (!is_enabled(pool) || room->released_bytes >= room->wanted_bytes || room->moved_bytes >= ZSMALLOC_NEED_BYTES)
		return;
	zp_lock(&class->lock);
	if (zsmalloc_wastes_a_page(class)) {
		struct zsmalloc_run run =
			compact_class(pool, class, &need_policy, ZSMALLOC_NEED_BYTES - room->moved_bytes);
		room->moved_bytes += run.moved_bytes;
		room->released_bytes += (uint64_t)run.released_pages * ZP_PAGE_BYTES;
	}
	zp_unlock(&class->lock);
}

/* Returns how many slots were freed so far.  A cached slot is counted when it leaves its cache. */
static uint64_t count_frees(struct zsmalloc_pool *pool)
{
	struct zsmalloc_class *class = NULL;
	uint64_t frees = 0;

	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		frees += class->frees;
		zp_unlock(&class->lock);
	}
	return frees;
}

/*
 * Returns true if the pool uses less memory than after any earlier try of this malloc.  The reserve of pages does not
 * count as used, because any malloc can take it.
 */
static bool is_less_used(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint64_t used = zp_pages_held_bytes(&pool->pages) - zp_pages_reserved(&pool->pages) * ZP_PAGE_BYTES;
	bool less = used < need->least_used_bytes;

	if (less)
		need->least_used_bytes = used;
	return less;
}

/*
 * Compacts the whole pool, which also releases memory between classes and in tables.  Returns false if it is too early.
 *
 * A whole compaction examines every record, so it needs a number of frees in proportion since the last one.  After a
 * compaction that has won memory, the next one needs none, until a malloc fails: a pool that is only filled becomes as
 * full as possible.  But if the owner evicts, it keeps failing, evicting and storing, and an eviction costs much less
 * than a whole compaction for a page or two.
 */
static bool compact_whole_pool(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	static const struct zpool_budget none = { .struct_size = sizeof(none) };
	uint64_t failures = atomic_load_explicit(&pool->counts.failed_limit, memory_order_relaxed);
	uint64_t evictions = atomic_load_explicit(&pool->evictions, memory_order_relaxed), ignored;

	if (!is_enabled(pool) ||
	    (failures != atomic_load_explicit(&pool->retry_at_failures, memory_order_relaxed) &&
	     count_frees(pool) < atomic_load_explicit(&pool->retry_at_frees, memory_order_relaxed)))
		return false;
	bool evicts = atomic_exchange_explicit(&pool->seen_evictions, evictions, memory_order_relaxed) != evictions;
	(void)zsmalloc_compact(pool, &none, &ignored);
	bool won = is_less_used(pool, need);
	zp_lock(&pool->records.lock);
	uint32_t looked_at = pool->records.end + pool->class_count;
	zp_unlock(&pool->records.lock);
	atomic_store_explicit(&pool->retry_at_frees, count_frees(pool) + 1 + looked_at / LOOKS_PER_FREE,
			      memory_order_relaxed);
	atomic_store_explicit(&pool->retry_at_failures, won && !evicts ? failures : UINT64_MAX, memory_order_relaxed);
	return true;
}

bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint32_t first = atomic_fetch_add_explicit(&pool->next_class, 1, memory_order_relaxed);
	struct room room = { .wanted_bytes = (need->bytes / ZP_PAGE_BYTES + 2) * ZP_PAGE_BYTES };
	uint64_t ignored;

	zp_caches_hold(&pool->caches);
	for (unsigned int i = 0; i < pool->class_count && room.released_bytes < room.wanted_bytes; i++)
		make_room_in_class(pool, &pool->classes[(first + i) % pool->class_count], &room);
	if (room.released_bytes < room.wanted_bytes) {
		zp_caches_trim(&pool->caches);
		zsmalloc_records_trim(pool);
		zp_handles_trim(&pool->handles, &ignored);
	}
	bool again = is_less_used(pool, need) || room.found_slots || compact_whole_pool(pool, need);
	if (!again && room.moved_bytes > 0 && !need->moved) {
		/* The moves may have left a free slot.  One such try is enough, or the malloc might never fail. */
		need->moved = true;
		again = true;
	}
	zp_caches_release(&pool->caches);
	return again;
}
