/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_compact.c - moving the objects of a class together
 *
 * A run repeatedly chooses the emptiest zspage of the class as the source and moves its objects, the highest slots
 * first, to the lowest free slots of the fullest zspages.  If no other zspage has room, it moves them towards the
 * beginning of the source.  A source that becomes empty is destroyed; one that does not loses the memory of its idle
 * pages.  After a whole run, the class has full zspages and at most one other, unless objects were mapped.
 *
 * The class's lock is held for ZSMALLOC_STEP_BYTES of copying at a time.  An object that is mapped or being freed stays
 * where it is.  A zspage that could not be emptied for this reason is marked with the number of the run, goes to the
 * end of its ring, and is skipped until the next compaction.  Compaction inside free and malloc takes only a few steps
 * at a time, so after it has met such a zspage, its runs in the class share a number until every zspage was tried.
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

enum { PREFETCH_BYTES = 2 << 10, CACHE_LINE_BYTES = 64 };
enum { RING_STEPS = 32 }; /* zspages of a group that one choice examines */

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
	atomic_store_explicit(&pool->found_damage, true, memory_order_relaxed);
	return -EBUSY;
}

void zsmalloc_report_damage(struct zsmalloc_pool *pool)
{
	if (!atomic_load_explicit(&pool->found_damage, memory_order_relaxed) ||
	    !atomic_exchange_explicit(&pool->found_damage, false, memory_order_relaxed))
		return;
	pool->host->log(
		pool->core, ZPOOL_LOG_ERROR,
		"A write past the end of an object has overwritten back pointers of a zspage, which is not compacted.");
}

int zsmalloc_object_move(struct zsmalloc_pool *pool, uint64_t from, uint64_t to)
{
	struct zsmalloc_zspage *source = zsmalloc_zspage(pool, zsmalloc_location_zspage(from));
	struct zsmalloc_zspage *target = zsmalloc_zspage(pool, zsmalloc_location_zspage(to));
	struct zsmalloc_class *class = zsmalloc_class(pool, source->header);
	struct zsmalloc_class *target_class = zsmalloc_class(pool, target->header);
	uint32_t handle_slot, hole;

	int err = zsmalloc_object_isolate(pool, from, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, target_class, to, handle_slot, ZPOOL_GFP_KERNEL, &hole);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, from);
		return err;
	}
	memcpy(zsmalloc_address(pool, to), zsmalloc_address(pool, from), class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, to);
	/* The handle slot of the hole that the object fills is bound to the slot that the object leaves. */
	if (hole != ZP_SLOT_NONE)
		zp_handles_set_location(&pool->handles, hole, from);
	zsmalloc_slot_free(pool, class, from, hole);
	/* A zspage is as young as its youngest object. */
	if (class == target_class && source != target && pool->evict && target->stamp < source->stamp)
		zsmalloc_zspage_inherit(pool, class, zsmalloc_location_zspage(to), zsmalloc_location_zspage(from));
	return 0;
}

/*
 * Returns true if a zspage can be the source of moves in this run, or else if it can be their target.  With
 * committed_only, a target has memory for one more object.
 */
static bool is_fit(const struct zsmalloc_run *run, const struct zsmalloc_zspage *zspage, bool source)
{
	const struct zsmalloc_class *class = run->class;
	size_t held_bytes = (size_t)__builtin_popcountll(zspage->committed) * ZP_PAGE_BYTES;

	if (source)
		return zspage->passed < run->id;
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
 * Returns the next zspage to empty: of the emptiest ones that this run has not tried, the one with the highest address.
 * Its objects go to the one with the lowest address of the fullest that have room.  So objects gather at low addresses,
 * and whole segments above them, with their page tables, become free.  policy->window says how many tenths of fullness
 * count as equal.
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

/* Prefetches what the move of the next object reads: the word of its handle and its first bytes. */
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

enum drained { DRAINED_PART, DRAINED_ROOM, DRAINED_OBJECTS };

/*
 * Moves the objects of a zspage to others, then towards its own beginning, until the run has moved `budget` bytes
 * (PART), or there is no room for more (ROOM), or all objects were moved but those that cannot be moved now (OBJECTS).
 */
static enum drained drain_zspage(struct zsmalloc_run *run, uint32_t source, uint64_t budget)
{
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	int slot = zsmalloc_highest_used(zspage, class->slots);
	uint32_t target = source;

	while (slot >= 0 && run->moved_bytes < budget) {
		if (target == source || zsmalloc_zspage(run->pool, target)->used_slots == class->slots)
			target = choose_target(run, source);
		int to = target == ZSMALLOC_NONE ? -1
						 : zsmalloc_slot_find(class, zsmalloc_zspage(run->pool, target),
								      run->policy->committed_only);
		if (to < 0) {
			target = source;
			to = zsmalloc_slot_find(class, zspage, run->policy->committed_only);
		}
		prefetch_object(run->pool, class, zspage, zsmalloc_highest_used(zspage, slot));
		if (target == source && (to < 0 || to > slot))
			return DRAINED_ROOM;
		int err = zsmalloc_object_move(run->pool, zsmalloc_location(source, (unsigned int)slot),
					       zsmalloc_location(target, (unsigned int)to));
		if (err == -ENOMEM)
			return DRAINED_ROOM;
		if (!err)
			run->moved_bytes += class->slot_bytes;
		slot = zsmalloc_highest_used(zspage, slot);
	}
	return slot < 0 ? DRAINED_OBJECTS : DRAINED_PART;
}

/*
 * Returns the zspage that this step empties: the one that an earlier step of any run has begun, or a new one, or
 * ZSMALLOC_NONE.
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

/* Ends the work on a zspage: destroys it if it is empty, or else releases its idle pages and marks it as tried. */
static void finish_source(struct zsmalloc_run *run, uint32_t source, enum drained drained)
{
	struct zsmalloc_class *class = run->class;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);

	zsmalloc_class_set_source(run->pool, class, ZSMALLOC_NONE);
	if (zspage->used_slots == 0) {
		zsmalloc_zspage_unlist(run->pool, class, source);
		zsmalloc_zspage_retire(run->pool, class, source, false);
		return;
	}
	/* The mark of a later run stays, or two runs at the same time could replace each other's marks without end. */
	if (zspage->passed < run->id)
		zspage->passed = run->id & ((UINT64_C(1) << ZSMALLOC_RUN_BITS) - 1);
	if (drained == DRAINED_OBJECTS) {
		/* RING_STEPS such zspages at the beginning of a ring would hide all others from the next choice. */
		zsmalloc_zspage_defer(run->pool, class, source);
		run->met_pinned = true;
	}
	(void)zsmalloc_zspage_decommit_idle(run->pool, class, source, run->policy->spared_pages);
}

/*
 * Returns true if so many pages of a zspage are idle that automatic compaction releases them and does not move objects,
 * as happens when objects are freed in the order of their allocation.  In other cases, emptying a zspage and releasing
 * it whole takes fewer system calls.
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
		run->tried_all = true;
		zsmalloc_class_end_draining(run->pool, class);
		return false;
	}
	if (is_mostly_idle(run, source)) {
		(void)zsmalloc_zspage_decommit_idle(run->pool, class, source, run->policy->spared_pages);
	} else {
		enum drained drained = drain_zspage(run, source, until < budget ? until : budget);

		if (drained != DRAINED_PART)
			finish_source(run, source, drained);
	}
	run->released_pages += (int64_t)(pages - class->committed_pages);
	if (run->policy->stop_below_threshold && zsmalloc_is_below_threshold(class)) {
		zsmalloc_class_end_draining(run->pool, class);
		return false;
	}
	bool progress = run->moved_bytes != moved || pages != class->committed_pages;
	return progress || !run->policy->idle_steps || ++run->idle_steps < run->policy->idle_steps;
}

uint64_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool)
{
	return atomic_fetch_add_explicit(&pool->compaction_id, 1, memory_order_relaxed) + 1;
}
