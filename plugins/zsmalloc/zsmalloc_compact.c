/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_compact.c - moving objects together
 *
 * Class by class, from the largest.  The emptiest zspage gives its objects, the highest slots first, to the lowest free
 * slots of the fullest; when no other zspage has room, it packs its own towards its beginning.  What is emptied goes
 * back whole, and from the one zspage that stays half-used go the pages behind its last object.  Afterwards a class has
 * full zspages and at most one other, unless objects were mapped.
 *
 * A lock is held for STEP_BYTES of copying at a time.  An object that is mapped, or just being freed, is left where it
 * is; a zspage that could not be emptied for that reason is passed by until the next compaction.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>
#include <time.h>

#include "zsmalloc.h"

enum { STEP_BYTES = 16 << 10 };           /* under one hold of a lock */
enum { RING_STEPS = 32 };                 /* looked at for one choice */
enum { SOME_BYTES = 64 << 10 };           /* at most, inside a free */
enum { SOME_IDLE_STEPS = 4 };             /* that moved nothing, likewise */
enum { SOME_PAGES = 2, SOME_SHARE = 16 }; /* what a class may waste: pages, and a share of what it has */

/* One run of compaction. */
struct run {
	struct zsmalloc_pool *pool;
	struct zsmalloc_class *class;
	uint64_t id;
	uint64_t moved_bytes;
	int64_t released_pages;  /* less those that targets were given */
	unsigned int idle_steps; /* may still move nothing; 0: any number */
};

/*
 * Of the zspages in a ring that pass the filter, the one with the highest (or lowest) address.  Survivors gather at low
 * addresses that way, and whole segments behind them, with their page tables, can go back.  A long ring is not walked
 * to its end.
 */
static uint32_t outermost(const struct run *run, uint32_t first, uint32_t but, bool highest)
{
	uint32_t number = first, best = ZSMALLOC_NONE;

	for (unsigned int steps = 0; steps < RING_STEPS; steps++) {
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, number);
		bool wanted = number != but && !(highest && zspage->passed >= run->id);

		if (wanted &&
		    (best == ZSMALLOC_NONE || (zspage->pgno > zsmalloc_zspage(run->pool, best)->pgno) == highest))
			best = number;
		number = zspage->next;
		if (number == first)
			break;
	}
	return best;
}

/* Which zspage to empty: of the emptiest tenth that has one which this run has not passed by. */
static uint32_t choose_source(const struct run *run)
{
	uint32_t groups = run->class->group_mask & ((1u << ZSMALLOC_FULL) - 1), best = ZSMALLOC_NONE;

	for (; groups && best == ZSMALLOC_NONE; groups &= groups - 1)
		best = outermost(run, run->class->groups[__builtin_ctz(groups)], ZSMALLOC_NONE, true);
	return best;
}

/* Where its objects go: of the fullest tenth that has room. */
static uint32_t choose_target(const struct run *run, uint32_t source)
{
	uint32_t groups = run->class->group_mask & ((1u << ZSMALLOC_FULL) - 1), best = ZSMALLOC_NONE;

	while (groups && best == ZSMALLOC_NONE) {
		unsigned int group = 31 - (unsigned int)__builtin_clz(groups);

		best = outermost(run, run->class->groups[group], source, false);
		groups &= ~(1u << group);
	}
	return best;
}

static int highest_used(const struct zsmalloc_zspage *zspage, int below)
{
	for (int slot = below - 1; slot >= 0; slot--) {
		uint64_t used = zspage->used[slot / 64] & (UINT64_MAX >> (63 - slot % 64));

		if (used)
			return slot / 64 * 64 + 63 - __builtin_clzll(used);
		slot = slot / 64 * 64;
	}
	return -1;
}

/* 0; -EBUSY: it cannot be moved now; -ENOMEM: its new place can get no memory. */
static int move_object(struct run *run, uint32_t source, unsigned int from, uint32_t target, unsigned int to)
{
	struct zsmalloc_pool *pool = run->pool;
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, source), *new = zsmalloc_zspage(pool, target);
	uint32_t handle_slot = zsmalloc_handles(class, old)[from];
	uint64_t location;

	/* The handles lie beside objects: what an overrun left there is not followed. */
	if (handle_slot == 0 || handle_slot >= zp_handles_slots(&pool->handles) ||
	    zp_handles_begin_move(&pool->handles, handle_slot, &location))
		return -EBUSY;
	if (location != zsmalloc_location(source, from)) {
		zp_handles_end_move(&pool->handles, handle_slot, location);
		pool->host->log(
			pool->core, ZPOOL_LOG_ERROR,
			"The handles of a zspage were overwritten, by a write behind an object's end; it is not "
			"compacted.");
		return -EBUSY;
	}
	int err = zsmalloc_slot_take(pool, class, target, to, handle_slot, ZPOOL_GFP_KERNEL);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, location);
		return err;
	}
	memcpy(zsmalloc_slot_address(class, new, to), zsmalloc_slot_address(class, old, from), class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, zsmalloc_location(target, to));
	zsmalloc_slot_release(pool, class, source, from);
	/* Its objects are as young as those that joined them. */
	if (source != target && pool->evict && new->stamp < old->stamp)
		zsmalloc_zspage_inherit(pool, class, target, source);
	run->moved_bytes += class->slot_bytes;
	return 0;
}

/* Empties a zspage into others and towards its own beginning, until `budget` bytes are moved.  true: it is done. */
static bool drain(struct run *run, uint32_t source, uint64_t budget)
{
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	int slot = highest_used(zspage, class->slots);

	while (slot >= 0 && run->moved_bytes < budget) {
		uint32_t target = choose_target(run, source);
		int to = -1;

		if (target != ZSMALLOC_NONE) {
			to = zsmalloc_slot_find(class, zsmalloc_zspage(run->pool, target), false);
		} else {
			target = source;
			to = zsmalloc_slot_find(class, zspage, false);
			if (to < 0 || to > slot)
				return true;
		}
		int err = move_object(run, source, (unsigned int)slot, target, (unsigned int)to);
		if (err == -ENOMEM)
			return true;
		slot = highest_used(zspage, slot);
	}
	return slot < 0;
}

/*
 * One hold of the class's lock.  true: there is more to do in this class.  An emptied zspage is handed out to be given
 * back without the lock.
 */
static bool step(struct run *run, uint64_t budget, uint32_t *emptied)
{
	struct zsmalloc_class *class = run->class;
	uint32_t source = choose_source(run);
	uint64_t moved = run->moved_bytes, until = moved + STEP_BYTES, pages = class->committed_pages;

	*emptied = ZSMALLOC_NONE;
	if (source == ZSMALLOC_NONE)
		return false;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	bool done = drain(run, source, until < budget ? until : budget);
	if (zspage->used_slots == 0) {
		zsmalloc_zspage_unlist(run->pool, class, source);
		zsmalloc_zspage_leave(run->pool, class, source);
		*emptied = source;
	} else if (done) {
		/* Of runs at the same time the later one's mark stands, lest each undo the other's for ever. */
		zspage->passed = run->id;
		(void)zsmalloc_zspage_thin(run->pool, class, source);
	}
	run->released_pages += (int64_t)(pages - class->committed_pages);
	return *emptied != ZSMALLOC_NONE || run->moved_bytes != moved || !run->idle_steps || --run->idle_steps;
}

/* With the lock held at the beginning and the end, but not between. */
static void compact_class(struct run *run, uint64_t budget, uint64_t deadline_ns, uint64_t (*now)(void))
{
	uint32_t emptied;
	bool more = true;

	while (more && run->moved_bytes < budget && (!deadline_ns || now() < deadline_ns)) {
		more = step(run, budget, &emptied);
		if (emptied == ZSMALLOC_NONE && !more)
			break;
		zp_unlock(&run->class->lock);
		if (emptied != ZSMALLOC_NONE)
			zsmalloc_zspage_destroy(run->pool, emptied);
		zp_lock(&run->class->lock);
	}
}

/* Gives an empty zspage that the class kept back.  With the lock held, which is let go meanwhile. */
static void drop_spare(struct run *run)
{
	struct zsmalloc_class *class = run->class;
	uint32_t spare = class->spare;

	if (spare == ZSMALLOC_NONE)
		return;
	class->spare = ZSMALLOC_NONE;
	run->released_pages += __builtin_popcountll(zsmalloc_zspage(run->pool, spare)->committed);
	zsmalloc_zspage_leave(run->pool, class, spare);
	zp_unlock(&class->lock);
	zsmalloc_zspage_destroy(run->pool, spare);
	zp_lock(&class->lock);
}

/* Slots of the handle table that the class kept go back too, so that its groups can fall idle. */
static void drop_spare_slots(struct run *run)
{
	zp_handles_put(&run->pool->handles, run->class->spare_slots, run->class->spare_count);
	run->class->spare_count = 0;
}

void zsmalloc_drop_spares(struct zsmalloc_pool *pool)
{
	struct run run = { .pool = pool };

	for (unsigned int i = 0; i < pool->class_count; i++) {
		run.class = &pool->classes[i];
		zp_lock(&run.class->lock);
		drop_spare(&run);
		drop_spare_slots(&run);
		zp_unlock(&run.class->lock);
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct run run_begin(struct zsmalloc_pool *pool)
{
	uint64_t id = atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed) + 1;

	return (struct run){ .pool = pool, .id = id };
}

/* Returns the bytes that it won. */
static uint64_t run_end(const struct run *run)
{
	uint64_t released_bytes = run->released_pages > 0 ? (uint64_t)run->released_pages * ZP_PAGE_BYTES : 0;

	atomic_fetch_add_explicit(&run->pool->moved_bytes, run->moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&run->pool->released_bytes, released_bytes, memory_order_relaxed);
	return released_bytes;
}

int zsmalloc_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct zsmalloc_pool *pool = pool_;
	struct run run = run_begin(pool);
	uint64_t bytes = budget->bytes ? budget->bytes : UINT64_MAX;
	uint64_t deadline_ns = budget->ns ? now_ns() + budget->ns : 0;
	uint64_t of_pages = 0, of_handles = 0;
	bool ended = false;

	for (unsigned int i = pool->class_count; i-- > 0 && !ended;) {
		run.class = &pool->classes[i];
		zp_lock(&run.class->lock);
		drop_spare(&run);
		drop_spare_slots(&run);
		compact_class(&run, bytes, deadline_ns, now_ns);
		zp_unlock(&run.class->lock);
		ended = run.moved_bytes >= bytes || (deadline_ns && now_ns() >= deadline_ns);
	}
	if (!ended) {
		zsmalloc_records_trim(pool);
		zp_handles_trim(&pool->handles, &of_handles);
	}
	/* What was emptied lies in the reserve as yet. */
	zp_pages_trim(&pool->pages, &of_pages);
	*released = run_end(&run) + of_handles;
	return ended ? 1 : 0;
}

bool zsmalloc_wants_compaction(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint64_t held = class->committed_pages * ZP_PAGE_BYTES;

	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed) &&
	       zsmalloc_class_waste(class) > SOME_PAGES * ZP_PAGE_BYTES + held / SOME_SHARE;
}

void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	struct run run = run_begin(pool);

	run.class = class;
	run.idle_steps = SOME_IDLE_STEPS;
	zp_lock(&class->lock);
	if (zsmalloc_wants_compaction(pool, class))
		compact_class(&run, SOME_BYTES, 0, now_ns);
	zp_unlock(&class->lock);
	(void)run_end(&run);
}
