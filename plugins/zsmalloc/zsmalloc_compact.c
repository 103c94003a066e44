/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_compact.c - moving objects together
 *
 * Class by class, from the largest.  The emptiest zspage gives its objects, the highest slots first, to the lowest free
 * slots of the fullest; when no other zspage has room, it packs its own towards its beginning.  What is emptied goes
 * back whole, and from the one zspage that stays half-used go the pages behind its last object.  Afterwards a class has
 * full zspages and at most one other, unless objects were mapped.
 *
 * A lock is held for ZSMALLOC_STEP_BYTES of copying at a time.  An object that is mapped, or just being freed, is left
 * where it is; a zspage that could not be emptied for that reason is passed by until the next compaction.
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

enum { PREFETCH_BYTES = 2 << 10, CACHE_LINE_BYTES = 64 };
enum { RING_STEPS = 32 }; /* zspages looked at in a group for one choice */

int zsmalloc_object_isolate(struct zsmalloc_pool *pool, uint64_t location, uint32_t *handle_slot)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
	struct zsmalloc_class *class = zsmalloc_class(pool, zspage->header);
	uint64_t found;

	*handle_slot = zsmalloc_handle_slots(class, zspage)[zsmalloc_location_slot(location)];
	if (*handle_slot == ZP_SLOT_NONE || *handle_slot >= zp_handles_slots(&pool->handles) ||
	    zp_handles_begin_move(&pool->handles, *handle_slot, &found))
		return -EBUSY;
	if (found == location)
		return 0;
	zp_handles_end_move(&pool->handles, *handle_slot, found);
	pool->host->log(
		pool->core, ZPOOL_LOG_ERROR,
		"The handles of a zspage were overwritten, by a write behind an object's end; it is not compacted.");
	return -EBUSY;
}

int zsmalloc_object_move(struct zsmalloc_pool *pool, uint64_t from, uint64_t to)
{
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, zsmalloc_location_zspage(from));
	struct zsmalloc_zspage *new = zsmalloc_zspage(pool, zsmalloc_location_zspage(to));
	struct zsmalloc_class *old_class = zsmalloc_class(pool, old->header);
	struct zsmalloc_class *new_class = zsmalloc_class(pool, new->header);
	uint32_t handle_slot, hole;

	int err = zsmalloc_object_isolate(pool, from, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, new_class, to, handle_slot, ZPOOL_GFP_KERNEL, &hole);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, from);
		return err;
	}
	memcpy(zsmalloc_address(pool, to), zsmalloc_address(pool, from), old_class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, to);
	/* The hole that the object fills opens again where it was. */
	if (hole != ZP_SLOT_NONE)
		zp_handles_set_location(&pool->handles, hole, from);
	zsmalloc_slot_free(pool, old_class, from, hole);
	/* A zspage's objects are as young as the youngest. */
	if (old_class == new_class && old != new && pool->evict &&new->stamp < old->stamp)
		zsmalloc_zspage_inherit(pool, new_class, zsmalloc_location_zspage(to), zsmalloc_location_zspage(from));
	return 0;
}

/* May it be the source of a move, or else the target: one that takes an object without asking for memory if it must? */
static bool is_fit(const struct zsmalloc_run *run, const struct zsmalloc_zspage *zspage, bool source)
{
	const struct zsmalloc_class *class = run->class;
	size_t held_bytes = (size_t)__builtin_popcountll(zspage->committed) * ZP_PAGE_BYTES;

	if (source)
		return (int32_t)(zspage->passed - run->id) < 0;
	return !run->policy->committed_only ||
	       class->head_bytes + (zspage->used_slots + 1u) * class->slot_bytes <= held_bytes;
}

/*
 * Returns the zspage with the highest (or lowest) address of those that are fit in some groups, or ZSMALLOC_NONE.  Only
 * the first RING_STEPS zspages of a group are examined, because a ring may be long.
 */
static uint32_t outermost_zspage(const struct zsmalloc_run *run, uint32_t groups, uint32_t exclude, bool highest)
{
	uint32_t best = ZSMALLOC_NONE, best_pgno = 0;

	for (; groups; groups &= groups - 1) {
		uint32_t first = run->class->groups[__builtin_ctz(groups)], number = first;

		for (unsigned int steps = 0; steps < RING_STEPS; steps++) {
			const struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, number);

			if (number != exclude && is_fit(run, zspage, highest) &&
			    (best == ZSMALLOC_NONE || (zspage->pgno > best_pgno) == highest)) {
				best = number;
				best_pgno = zspage->pgno;
			}
			number = zspage->links[ZSMALLOC_BY_FULLNESS].next;
			if (number == first)
				break;
		}
	}
	return best;
}

/*
 * Which zspage to empty: among the emptiest that this run has not passed by, the one with the highest address; and
 * where its objects go: among the fullest that have room, the lowest.  Survivors gather at low addresses that way, and
 * whole segments behind them, with their page tables, can go back.  run->policy->window says how many tenths of
 * fullness count as equal.
 */
static uint32_t choose_source(const struct zsmalloc_run *run)
{
	uint32_t groups = zsmalloc_groups_with_room(run->class), best = ZSMALLOC_NONE;

	for (; groups && best == ZSMALLOC_NONE; groups &= groups - 1)
		best = outermost_zspage(run, groups & (run->policy->window << __builtin_ctz(groups)), ZSMALLOC_NONE,
					true);
	return best;
}

static uint32_t choose_target(const struct zsmalloc_run *run, uint32_t source)
{
	uint32_t groups = zsmalloc_groups_with_room(run->class), best = ZSMALLOC_NONE;

	while (groups && best == ZSMALLOC_NONE) {
		unsigned int top = 31 - (unsigned int)__builtin_clz(groups);
		uint64_t window = ((uint64_t)run->policy->window << top) / (run->policy->window / 2 + 1);

		best = outermost_zspage(run, groups & (uint32_t)window, source, false);
		groups &= ~(1u << top);
	}
	return best;
}

/* The object that will be moved next: the word of its handle and what of it the caches can take are on their way. */
static void prefetch_object(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage,
			    int slot)
{
	uint32_t handle_slot = slot < 0 ? 0 : zsmalloc_handle_slots(class, zspage)[slot];

	if (slot < 0 || handle_slot >= zp_handles_slots(&pool->handles))
		return;
	__builtin_prefetch(zp_handles_word(&pool->handles, handle_slot), 1);
	const char *object = zsmalloc_slot_address(zspage->header, (unsigned int)slot);
	for (size_t i = 0; i < class->slot_bytes && i < PREFETCH_BYTES; i += CACHE_LINE_BYTES)
		__builtin_prefetch(object + i);
}

/* Empties a zspage into others and towards its own beginning, until `budget` bytes are moved.  true: it is done. */
static bool drain(struct zsmalloc_run *run, uint32_t source, uint64_t budget)
{
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	int slot = zsmalloc_highest_used(zspage, class->slots);
	uint32_t target = source;

	while (slot >= 0 && run->moved_bytes < budget) {
		/* The others' room first; when there is none, its own. */
		if (target == source || zsmalloc_zspage(run->pool, target)->used_slots == class->slots)
			target = choose_target(run, source);
		if (target == ZSMALLOC_NONE)
			target = source;
		int to = zsmalloc_slot_find(class, zsmalloc_zspage(run->pool, target), run->policy->committed_only);
		if (to < 0 && target != source) {
			target = source;
			to = zsmalloc_slot_find(class, zspage, run->policy->committed_only);
		}
		prefetch_object(run->pool, class, zspage, zsmalloc_highest_used(zspage, slot));
		if (target == source && (to < 0 || to > slot))
			return true;
		int err = zsmalloc_object_move(run->pool, zsmalloc_location(source, (unsigned int)slot),
					       zsmalloc_location(target, (unsigned int)to));
		if (err == -ENOMEM)
			return true;
		if (!err)
			run->moved_bytes += class->slot_bytes;
		slot = zsmalloc_highest_used(zspage, slot);
	}
	return slot < 0;
}

/*
 * The zspage that this step empties: the one that the last step of any run has begun, or a new one.  ZSMALLOC_NONE:
 * there is none.  A thread may have freed one of its slots just now, and have it pending; then the zspage keeps that
 * slot.
 */
static uint32_t begin_source(struct zsmalloc_run *run)
{
	struct zsmalloc_class *class = run->class;
	uint32_t source = class->source;

	zsmalloc_class_begin_draining(run->pool, class);
	if (source != ZSMALLOC_NONE && is_fit(run, zsmalloc_zspage(run->pool, source), true) &&
	    zsmalloc_zspage(run->pool, source)->used_slots < class->slots)
		return source;
	source = choose_source(run);
	zsmalloc_class_set_source(run->pool, class, source);
	return source;
}

/* A run of compaction is done with a zspage, as far as it can be emptied. */
static void finish_source(struct zsmalloc_run *run, uint32_t source)
{
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);

	zsmalloc_class_set_source(run->pool, class, ZSMALLOC_NONE);
	if (zspage->used_slots == 0) {
		zsmalloc_zspage_unlist(run->pool, class, source);
		zsmalloc_zspage_retire(run->pool, class, source, false);
		return;
	}
	/* Of runs at the same time the later one's mark stands, so that they do not undo each other's for ever. */
	if ((int32_t)(zspage->passed - run->id) < 0)
		zspage->passed = run->id;
	(void)zsmalloc_zspage_decommit_idle(run->pool, class, source, run->policy->spared_pages);
}

/*
 * Is enough of a zspage idle to give those pages back, and not move its objects?  So it is where objects are freed in
 * the order in which they came.  Elsewhere it takes fewer system calls to empty a zspage and give it back whole.
 */
static bool is_mostly_idle(const struct zsmalloc_run *run, uint32_t source)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	unsigned int committed = (unsigned int)__builtin_popcountll(zspage->committed);
	unsigned int idle = zsmalloc_zspage_idle_pages(run->class, zspage);

	return run->policy->stop_below_threshold && idle > run->policy->spared_pages &&
	       idle >= committed / ZSMALLOC_IDLE_SHARE;
}

bool zsmalloc_compact_step(struct zsmalloc_run *run, uint64_t budget)
{
	struct zsmalloc_class *class = run->class;
	uint64_t moved = run->moved_bytes, until = moved + ZSMALLOC_STEP_BYTES, pages = class->committed_pages;

	uint32_t source = begin_source(run);
	if (source == ZSMALLOC_NONE) {
		zsmalloc_class_end_draining(run->pool, class);
		return false;
	}
	if (is_mostly_idle(run, source))
		(void)zsmalloc_zspage_decommit_idle(run->pool, class, source, run->policy->spared_pages);
	else if (drain(run, source, until < budget ? until : budget))
		finish_source(run, source);
	run->released_pages += (int64_t)(pages - class->committed_pages);
	if (run->policy->stop_below_threshold && zsmalloc_is_below_threshold(class)) {
		zsmalloc_class_end_draining(run->pool, class);
		return false;
	}
	bool progress = run->moved_bytes != moved || pages != class->committed_pages;
	return progress || !run->policy->idle_steps || ++run->idle_steps < run->policy->idle_steps;
}

uint32_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool)
{
	return atomic_fetch_add_explicit(&pool->compaction_id, 1, memory_order_relaxed) + 1;
}
