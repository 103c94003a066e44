/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_auto.c - compaction that nobody asked for: inside free, inside malloc, and at the limit
 *
 * Programs that replace objects need none of it, because mallocs fill the holes of their class and of the next ones.  A
 * pool that shrinks does: when a class, and the pool as a whole, wastes more than BEGIN_SHARE, the thread that notices
 * moves a few objects in each of its frees until the class wastes no more than END_SHARE.  One thread does so at a
 * time, and the others go on.
 */
#include <config.h>

#include "zsmalloc.h"

enum { LOOKS_A_FREE = 16 }; /* zspages and classes that a malloc at the limit may look at in vain */

static const struct zsmalloc_compact_policy some_policy = {
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
	return class->committed_pages * ZP_PAGE_BYTES - (uint64_t) class->used_slots * class->slot_bytes;
}

static bool is_on(const struct zsmalloc_pool *pool)
{
	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed);
}

/* Does the class waste more than so many pages and a share of what it holds? */
static bool wastes(const struct zsmalloc_class *class, unsigned int pages, unsigned int share)
{
	uint64_t held = class->committed_pages * ZP_PAGE_BYTES;

	return zsmalloc_class_waste(class) > pages * ZP_PAGE_BYTES + held / share;
}

bool zsmalloc_is_below_threshold(const struct zsmalloc_class *class)
{
	return !wastes(class, ZSMALLOC_END_PAGES, ZSMALLOC_END_SHARE);
}

bool zsmalloc_wants_compaction(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	if (!is_on(pool))
		return false;
	if (class->is_compacting && !zsmalloc_is_below_threshold(class))
		return true;
	if (class->is_compacting)
		zsmalloc_class_end_draining(pool, class);
	class->is_compacting = false;
	return (int32_t)((uint32_t) class->frees - class->check_at_frees) >= 0 &&
	       wastes(class, ZSMALLOC_BEGIN_PAGES, ZSMALLOC_BEGIN_SHARE);
}

/* Does the pool waste so much, all classes together?  Without a lock. */
static bool pool_wastes_too_much(struct zsmalloc_pool *pool)
{
	struct zsmalloc_class *class = NULL;
	uint64_t held = 0, used = 0;

	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		held += class->committed_pages * ZP_PAGE_BYTES;
		used += (uint64_t) class->used_slots * class->slot_bytes;
		zp_unlock(&class->lock);
	}
	return held - used > ZSMALLOC_BEGIN_PAGES * ZP_PAGE_BYTES + held / ZSMALLOC_POOL_SHARE;
}

bool zsmalloc_wastes_a_page(const struct zsmalloc_class *class)
{
	return zsmalloc_class_waste(class) >= ZP_PAGE_BYTES + class->zspages * (uint64_t) class->head_bytes;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Runs
 */

/* With the lock held at the beginning and the end, but not between. */
static void run_class(struct zsmalloc_run *run, uint64_t budget)
{
	bool more = true;

	while (more && run->moved_bytes < budget) {
		more = zsmalloc_compact_step(run, budget);
		zsmalloc_class_unlock(run->pool, run->class);
		zp_lock(&run->class->lock);
	}
	run->class->is_compacting = more && run->policy->stop_below_threshold;
	if (!run->class->is_compacting)
		zsmalloc_class_end_draining(run->pool, run->class);
}

/* What a run won in bytes. */
struct gain {
	uint64_t moved_bytes, released_bytes;
};

/* Moves up to `bytes` in a class, if that wins anything.  With the class's lock held, which is released meanwhile. */
static void compact_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class,
		       const struct zsmalloc_compact_policy *policy, uint64_t bytes, struct gain *gain)
{
	struct zsmalloc_run run = {
		.pool = pool, .class = class, .policy = policy, .id = zsmalloc_next_compaction_id(pool)
	};

	run_class(&run, bytes);
	uint64_t released_bytes = run.released_pages > 0 ? (uint64_t)run.released_pages * ZP_PAGE_BYTES : 0;
	gain->moved_bytes += run.moved_bytes;
	gain->released_bytes += released_bytes;
	if (!run.moved_bytes && !run.released_pages)
		return;
	atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->moved_bytes, run.moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->released_bytes, released_bytes, memory_order_relaxed);
}

/* Automatic compaction in a class, if it is due.  By one thread at a time. */
static void compact_if_due(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	struct gain gain = { 0 };

	zp_lock(&class->lock);
	bool begins = !class->is_compacting;
	zp_unlock(&class->lock);
	bool due = !begins || pool_wastes_too_much(pool);
	zp_lock(&class->lock);
	if (due && zsmalloc_wants_compaction(pool, class))
		compact_in(pool, class, &some_policy, ZSMALLOC_AUTO_BYTES, &gain);
	else if (!due)
		class->check_at_frees = (uint32_t) class->frees + class->used_slots / ZSMALLOC_CHECK_SHARE + 1;
	zp_unlock(&class->lock);
}

void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	if (atomic_load_explicit(&pool->is_compacting, memory_order_relaxed) ||
	    atomic_exchange_explicit(&pool->is_compacting, true, memory_order_acquire))
		return;
	compact_if_due(pool, class);
	atomic_store_explicit(&pool->is_compacting, false, memory_order_release);
}

/* Stays with a class for as long as it wastes too much. */
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

/* What is neither slots nor pages of classes. */
static void trim_beside(struct zsmalloc_pool *pool)
{
	uint64_t of_handles;

	zp_caches_trim(&pool->caches);
	zsmalloc_records_trim(pool);
	zp_handles_trim(&pool->handles, &of_handles);
}

/* What a class caches, and what compaction wins in it until `wanted` bytes are there. */
struct room {
	uint64_t wanted;
	struct gain gain;
	bool found; /* free slots, if no page: enough where the class is the right one */
};

static void make_room_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct room *room)
{
	struct gain *gain = &room->gain;

	if (!zsmalloc_class_is_used(class))
		return;
	zp_lock(&class->lock);
	uint32_t used_slots = class->used_slots;
	gain->released_bytes += zsmalloc_class_drop_cached(pool, class) * ZP_PAGE_BYTES;
	room->found |= class->used_slots < used_slots;
	zsmalloc_class_unlock(pool, class);
	if (!is_on(pool) || gain->released_bytes >= room->wanted || gain->moved_bytes >= ZSMALLOC_NEED_BYTES)
		return;
	zp_lock(&class->lock);
	if (zsmalloc_wastes_a_page(class))
		compact_in(pool, class, &need_policy, ZSMALLOC_NEED_BYTES - gain->moved_bytes, gain);
	zp_unlock(&class->lock);
}

/* Slots that were freed so far; those that threads cache will be counted when they are given up. */
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

/* Is less in use than ever before in this malloc?  The reserve may be taken at any time. */
static bool is_less_used(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint64_t used = zp_pages_held_bytes(&pool->pages) - zp_pages_reserved(&pool->pages) * ZP_PAGE_BYTES;
	bool less = used < need->least_used_bytes;

	if (less)
		need->least_used_bytes = used;
	return less;
}

/*
 * A whole compaction finds what is won where classes meet, and in the tables.  It looks at everything, so frees have to
 * pay for the next one: a program that stores at its limit fails, evicts and stores again all the time.
 */
static bool may_compact_whole(struct zsmalloc_pool *pool)
{
	return is_on(pool) && count_frees(pool) >= atomic_load_explicit(&pool->retry_at_frees, memory_order_relaxed);
}

static void compact_whole(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	static const struct zpool_budget none = { .struct_size = sizeof(none) };
	uint64_t ignored;

	(void)zsmalloc_compact(pool, &none, &ignored);
	if (is_less_used(pool, need))
		return;
	zp_lock(&pool->records.lock);
	uint32_t looked_at = pool->records.end + pool->class_count;
	zp_unlock(&pool->records.lock);
	atomic_store_explicit(&pool->retry_at_frees, count_frees(pool) + 1 + looked_at / LOOKS_A_FREE,
			      memory_order_relaxed);
}

static bool make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint32_t first = atomic_fetch_add_explicit(&pool->next_class, 1, memory_order_relaxed);
	struct room room = { .wanted = (need->bytes / ZP_PAGE_BYTES + 2) * ZP_PAGE_BYTES };

	for (unsigned int i = 0; i < pool->class_count && room.gain.released_bytes < room.wanted; i++)
		make_room_in(pool, &pool->classes[(first + i) % pool->class_count], &room);
	if (room.gain.released_bytes < room.wanted)
		trim_beside(pool);
	if (is_less_used(pool, need) || room.found)
		return true;
	if (may_compact_whole(pool)) {
		compact_whole(pool, need);
		return true;
	}
	/* Objects that were moved may have left a slot, but not again and again. */
	bool moved = room.gain.moved_bytes > 0 && !need->moved;
	need->moved |= moved;
	return moved;
}

bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	zp_caches_hold(&pool->caches);
	bool more = make_room(pool, need);
	zp_caches_release(&pool->caches);
	return more;
}
