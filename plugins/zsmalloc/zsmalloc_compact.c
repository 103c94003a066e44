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
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zsmalloc.h"

enum { PREFETCH_BYTES = 2 << 10, CACHE_LINE_BYTES = 64 };
enum { RING_STEPS = 32 };                 /* looked at in a group for one choice */
enum { WINDOW_SOME = 1 };                 /* a mask: one tenth */
enum { SOME_BYTES = 64 << 10 };           /* at most, inside a free */
enum { SOME_IDLE_STEPS = 4 };             /* that moved nothing, likewise */
enum { SOME_CLASSES = 16 };               /* looked at, inside a malloc for which the pool grew */
enum { SOME_PAGES = 4, SOME_SHARE = 36 }; /* what a class may waste: pages, and a share of what it has */
enum { SOME_SPARED = 1 };                 /* idle pages left to a zspage, for the next objects */
enum { LOOKS_A_FREE = 16 };               /* zspages and classes that a malloc at the limit may look at in vain */

/* May it be the source of a move, or else the target: one that takes an object without asking for memory if it must? */
static bool is_fit(const struct zsmalloc_run *run, const struct zsmalloc_zspage *zspage, bool source)
{
	const struct zsmalloc_class *class = run->class;
	size_t held_bytes = (size_t)__builtin_popcountll(zspage->committed) * ZP_PAGE_BYTES;

	if (source)
		return zspage->passed < run->id;
	return !run->committed_only || class->head_bytes + (zspage->used_slots + 1u) * class->slot_bytes <= held_bytes;
}

/*
 * Of the zspages in a ring that are fit, the one with the highest (or lowest) address, if it is better than `best`.  A
 * long ring is not walked to its end.
 */
static uint32_t outermost(const struct zsmalloc_run *run, uint32_t first, uint32_t best, uint32_t but, bool highest)
{
	uint32_t number = first;

	for (unsigned int steps = 0; steps < RING_STEPS; steps++) {
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, number);

		if (number != but && is_fit(run, zspage, highest) &&
		    (best == ZSMALLOC_NONE || (zspage->pgno > zsmalloc_zspage(run->pool, best)->pgno) == highest))
			best = number;
		number = zspage->next;
		if (number == first)
			break;
	}
	return best;
}

static uint32_t outermost_of(const struct zsmalloc_run *run, uint32_t groups, uint32_t but, bool highest)
{
	uint32_t best = ZSMALLOC_NONE;

	for (; groups; groups &= groups - 1)
		best = outermost(run, run->class->groups[__builtin_ctz(groups)], best, but, highest);
	return best;
}

static uint32_t groups_with_room(const struct zsmalloc_class *class)
{
	return class->group_mask & ((1u << ZSMALLOC_FULL) - 1);
}

/*
 * Which zspage to empty: among the emptiest that this run has not passed by, the one with the highest address; and
 * where its objects go: among the fullest that have room, the lowest.  Survivors gather at low addresses that way, and
 * whole segments behind them, with their page tables, can go back.  run->window says how many tenths of fullness count
 * as equal.
 */
static uint32_t choose_source(const struct zsmalloc_run *run)
{
	uint32_t groups = groups_with_room(run->class), best = ZSMALLOC_NONE;

	for (; groups && best == ZSMALLOC_NONE; groups &= groups - 1)
		best = outermost_of(run, groups & (run->window << __builtin_ctz(groups)), ZSMALLOC_NONE, true);
	return best;
}

static uint32_t choose_target(const struct zsmalloc_run *run, uint32_t source)
{
	uint32_t groups = groups_with_room(run->class), best = ZSMALLOC_NONE;

	while (groups && best == ZSMALLOC_NONE) {
		unsigned int top = 31 - (unsigned int)__builtin_clz(groups);
		uint64_t window = ((uint64_t)run->window << top) / (run->window / 2 + 1);

		best = outermost_of(run, groups & (uint32_t)window, source, false);
		groups &= ~(1u << top);
	}
	return best;
}

/* The object that will be moved next: the word of its handle and what of it the caches can take are on their way. */
static void prefetch_object(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage,
			    int slot)
{
	uint32_t handle_slot = slot < 0 ? 0 : zsmalloc_handles(class, zspage)[slot];

	if (slot < 0 || handle_slot >= zp_handles_slots(&pool->handles))
		return;
	__builtin_prefetch(zp_handles_word(&pool->handles, handle_slot), 1);
	const char *object = zsmalloc_slot_address(zspage->home, (unsigned int)slot);
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
		int to = zsmalloc_slot_find(class, zsmalloc_zspage(run->pool, target), run->committed_only);
		if (to < 0 && target != source) {
			target = source;
			to = zsmalloc_slot_find(class, zspage, run->committed_only);
		}
		prefetch_object(run->pool, class, zspage, zsmalloc_highest_used(zspage, slot));
		if (target == source && (to < 0 || to > slot))
			return true;
		int err = zsmalloc_object_move(run->pool, (struct zsmalloc_place){ class, source, (unsigned int)slot },
					       (struct zsmalloc_place){ class, target, (unsigned int)to });
		if (err == -ENOMEM)
			return true;
		if (!err)
			run->moved_bytes += class->slot_bytes;
		slot = zsmalloc_highest_used(zspage, slot);
	}
	return slot < 0;
}

bool zsmalloc_compact_step(struct zsmalloc_run *run, uint64_t budget, uint32_t *emptied)
{
	struct zsmalloc_class *class = run->class;
	uint64_t moved = run->moved_bytes, until = moved + ZSMALLOC_STEP_BYTES, pages = class->committed_pages;

	uint32_t source = choose_source(run);
	if (source == ZSMALLOC_NONE)
		return false;
	zsmalloc_kept_release_in(run->pool, class, source);
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(run->pool, source);
	/* Pages that ran empty, as where objects go in the order in which they came, are won without a move. */
	if (run->until_bearable && zsmalloc_zspage_thin(run->pool, class, source, run->spared_pages) &&
	    !zsmalloc_wants_compaction(run->pool, class)) {
		run->released_pages += (int64_t)(pages - class->committed_pages);
		return false;
	}
	bool done = drain(run, source, until < budget ? until : budget);
	if (zspage->used_slots == 0) {
		zsmalloc_zspage_unlist(run->pool, class, source);
		zsmalloc_zspage_leave(run->pool, class, source);
		zspage->next = *emptied;
		*emptied = source;
	} else if (done) {
		/* Of runs at the same time the later one's mark stands, lest each undo the other's for ever. */
		zspage->passed = zspage->passed > run->id ? zspage->passed : run->id;
		(void)zsmalloc_zspage_thin(run->pool, class, source, run->spared_pages);
	}
	run->released_pages += (int64_t)(pages - class->committed_pages);
	return *emptied != ZSMALLOC_NONE || run->moved_bytes != moved || !run->idle_steps || --run->idle_steps;
}

/* With the lock held at the beginning and the end, but not between. */
static void compact_class(struct zsmalloc_run *run, uint64_t budget)
{
	uint32_t emptied = ZSMALLOC_NONE;
	bool more = true;

	while (more && run->moved_bytes < budget) {
		more = zsmalloc_compact_step(run, budget, &emptied);
		if (emptied == ZSMALLOC_NONE && !more)
			break;
		zp_unlock(&run->class->lock);
		zsmalloc_zspages_destroy(run->pool, emptied);
		emptied = ZSMALLOC_NONE;
		zp_lock(&run->class->lock);
	}
}

uint64_t zsmalloc_class_drop_kept(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *emptied)
{
	uint64_t pages = class->committed_pages;

	zsmalloc_kept_release(pool, class, emptied);
	/* So that groups of the table can fall idle. */
	zp_handles_put(&pool->handles, class->bare, class->bare_count);
	class->bare_count = 0;
	if (class->spare_record != ZSMALLOC_NONE)
		zsmalloc_record_put(pool, class->spare_record);
	class->spare_record = ZSMALLOC_NONE;
	if (class->spare != ZSMALLOC_NONE) {
		zsmalloc_zspage_leave(pool, class, class->spare);
		zsmalloc_zspage(pool, class->spare)->next = *emptied;
		*emptied = class->spare;
		class->spare = ZSMALLOC_NONE;
	}
	return pages - class->committed_pages;
}

void zsmalloc_drop_kept(struct zsmalloc_pool *pool)
{
	for (unsigned int i = 0; i < pool->class_count; i++) {
		uint32_t emptied = ZSMALLOC_NONE;

		zp_lock(&pool->classes[i].lock);
		(void)zsmalloc_class_drop_kept(pool, &pool->classes[i], &emptied);
		zp_unlock(&pool->classes[i].lock);
		zsmalloc_zspages_destroy(pool, emptied);
	}
}

uint64_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool)
{
	return atomic_fetch_add_explicit(&pool->compaction_id, 1, memory_order_relaxed) + 1;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Automatic compaction
 */

static struct zsmalloc_run run_begin(struct zsmalloc_pool *pool, struct zsmalloc_class *class, bool need)
{
	return (struct zsmalloc_run){
		.pool = pool,
		.class = class,
		.id = zsmalloc_next_compaction_id(pool),
		.window = WINDOW_SOME,
		.idle_steps = SOME_IDLE_STEPS,
		.committed_only = true,
		.until_bearable = !need,
		.spared_pages = need ? 0 : SOME_SPARED,
	};
}

/* Returns the bytes that it won. */
static uint64_t run_end(const struct zsmalloc_run *run)
{
	uint64_t released_bytes = run->released_pages > 0 ? (uint64_t)run->released_pages * ZP_PAGE_BYTES : 0;

	atomic_fetch_add_explicit(&run->pool->moved_bytes, run->moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&run->pool->released_bytes, released_bytes, memory_order_relaxed);
	return released_bytes;
}

bool zsmalloc_wants_compaction(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint64_t held = class->committed_pages * ZP_PAGE_BYTES;

	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed) &&
	       zsmalloc_class_waste(class) > SOME_PAGES * ZP_PAGE_BYTES + held / SOME_SHARE;
}

/* Is there a page to win, at least? */
static bool wastes_a_page(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed) &&
	       zsmalloc_class_waste(class) >= ZP_PAGE_BYTES + class->zspages * (uint64_t) class->head_bytes;
}

/*
 * Until `bytes` are moved, and only if the class wastes too much, now that the lock is held; `need`: if it wastes
 * anything, and then it keeps nothing idle.
 */
static uint64_t compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t bytes, bool need,
			     uint64_t *released_bytes)
{
	uint64_t moved_bytes = 0;

	zp_lock(&class->lock);
	if (need ? wastes_a_page(pool, class) : zsmalloc_wants_compaction(pool, class)) {
		struct zsmalloc_run run = run_begin(pool, class, need);

		compact_class(&run, bytes);
		moved_bytes = run.moved_bytes;
		if (moved_bytes || run.released_pages)
			atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed);
		*released_bytes += run_end(&run);
	}
	zp_unlock(&class->lock);
	return moved_bytes;
}

void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	uint64_t released_bytes = 0;

	(void)compact_some(pool, class, SOME_BYTES, false, &released_bytes);
}

/* Stays with a class for as long as it wastes too much. */
void zsmalloc_compact_next(struct zsmalloc_pool *pool)
{
	uint32_t first = atomic_load_explicit(&pool->next_class, memory_order_relaxed);
	bool wants = false;

	for (unsigned int i = 0; i < SOME_CLASSES && !wants; i++) {
		struct zsmalloc_class *class = &pool->classes[(first + i) % pool->class_count];

		zp_lock(&class->lock);
		wants = zsmalloc_wants_compaction(pool, class);
		zp_unlock(&class->lock);
		if (wants)
			zsmalloc_compact_some(pool, class);
		atomic_store_explicit(&pool->next_class, first + i + !wants, memory_order_relaxed);
	}
}

/* What is neither places nor pages of classes. */
static void trim_beside(struct zsmalloc_pool *pool)
{
	uint64_t of_handles;

	zsmalloc_caches_trim(pool);
	zsmalloc_records_trim(pool);
	zp_handles_trim(&pool->handles, &of_handles);
}

/* What a class keeps, and what compaction wins in it until `wanted` bytes are there. */
struct room {
	uint64_t wanted, released_bytes, moved_bytes;
	bool found; /* free slots, if no page: enough where the class is the right one */
};

static void make_room_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct room *room)
{
	uint32_t emptied = ZSMALLOC_NONE;

	zp_lock(&class->lock);
	uint32_t used_slots = class->used_slots;
	room->released_bytes += zsmalloc_class_drop_kept(pool, class, &emptied) * ZP_PAGE_BYTES;
	room->found |= class->used_slots < used_slots;
	zp_unlock(&class->lock);
	zsmalloc_zspages_destroy(pool, emptied);
	if (room->released_bytes < room->wanted && room->moved_bytes < SOME_BYTES)
		room->moved_bytes +=
			compact_some(pool, class, SOME_BYTES - room->moved_bytes, true, &room->released_bytes);
}

/* Places that were freed so far; those that caches keep will be counted when they are given up. */
static uint64_t count_frees(struct zsmalloc_pool *pool)
{
	uint64_t frees = 0;

	for (unsigned int i = 0; i < pool->class_count; i++) {
		zp_lock(&pool->classes[i].lock);
		frees += pool->classes[i].frees;
		zp_unlock(&pool->classes[i].lock);
	}
	return frees;
}

/* Is less in use than ever before in this malloc?  The reserve is there for the taking. */
static bool is_less_used(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint64_t used = zp_pages_held_bytes(&pool->pages) - zp_pages_reserved(&pool->pages) * ZP_PAGE_BYTES;
	bool less = used < need->least_used_bytes;

	if (less)
		need->least_used_bytes = used;
	return less;
}

/*
 * Finds what is won where classes meet, and in the tables.  It looks at everything, so frees have to pay for the next
 * time: a program that stores at its limit fails, evicts and stores again all the time.
 */
static bool may_compact_whole(struct zsmalloc_pool *pool)
{
	return atomic_load_explicit(&pool->auto_compact, memory_order_relaxed) &&
	       count_frees(pool) >= atomic_load_explicit(&pool->retry_at_frees, memory_order_relaxed);
}

static void compact_whole(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	static const struct zpool_budget none = { .struct_size = sizeof none };
	uint64_t ignored;

	(void)zsmalloc_compact(pool, &none, &ignored);
	if (is_less_used(pool, need))
		return;
	zp_lock(&pool->record_lock);
	uint32_t looked_at = pool->records + pool->class_count;
	zp_unlock(&pool->record_lock);
	atomic_store_explicit(&pool->retry_at_frees, count_frees(pool) + 1 + looked_at / LOOKS_A_FREE,
			      memory_order_relaxed);
}

bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need)
{
	uint32_t first = atomic_fetch_add_explicit(&pool->next_class, 1, memory_order_relaxed);
	struct room room = { .wanted = (need->bytes / ZP_PAGE_BYTES + 2) * ZP_PAGE_BYTES };

	for (unsigned int i = 0; i < pool->class_count && room.released_bytes < room.wanted; i++)
		make_room_in(pool, &pool->classes[(first + i) % pool->class_count], &room);
	if (room.released_bytes < room.wanted)
		trim_beside(pool);
	if (is_less_used(pool, need) || room.found)
		return true;
	if (may_compact_whole(pool)) {
		compact_whole(pool, need);
		return true;
	}
	/* Objects that were moved may have left a place, but not again and again. */
	bool moved = room.moved_bytes > 0 && !need->moved;
	need->moved |= moved;
	return moved;
}
