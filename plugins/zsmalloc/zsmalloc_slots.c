/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_slots.c - the free slots of a class: how a malloc finds one, and which ones threads cache
 *
 * A malloc that its thread's cache cannot serve searches in this order, to fill holes before it commits memory:
 *
 *     1. free slots of the class that have memory, in the fullest zspages
 *     2. holes of the next ZSMALLOC_BORROW_CLASSES classes, where the object wastes a few bytes until it is freed
 *     3. another page in a zspage of the class
 *     4. another zspage
 *
 * Without the second step, a program with a steady number of objects would leave holes in each class that happens to be
 * less in demand, and compaction would have to move objects to release that memory.
 */
#include <config.h>

#include "zsmalloc.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Free slots
 */

/* Slots that one call takes, and handle slots for those that are not holes. */
struct take {
	zpool_gfp_t gfp;
	unsigned int wanted, got;
	uint32_t *handle_slots; /* of the slots that were taken */
	uint32_t unused[1 + ZSMALLOC_REFILL_SLOTS];
	unsigned int unused_count; /* handle slots in `unused`, which take_end() returns */
};

static int bind_handle_slot(struct zsmalloc_pool *pool, struct take *take, uint32_t *handle_slot)
{
	if (take->unused_count == 0) {
		int got = zp_handles_bind(&pool->handles, take->gfp, take->unused, take->wanted - take->got);
		if (got < 0)
			return got;
		take->unused_count = (unsigned int)got;
	}
	*handle_slot = take->unused[--take->unused_count];
	return 0;
}

/*
 * Takes a free slot of a zspage; if `ready`, only one that has memory.  Returns 0, -ENOENT if there is none, or another
 * error.
 */
static int take_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, struct take *take,
		   bool ready)
{
	int slot = zsmalloc_slot_find(class, zsmalloc_zspage(pool, number), ready);
	if (slot < 0)
		return -ENOENT;
	uint64_t location = zsmalloc_location(number, (unsigned int)slot);
	uint32_t handle_slot = zsmalloc_slot_hole(pool, class, location), hole;
	bool is_hole = handle_slot != ZP_SLOT_NONE;
	int err = is_hole ? 0 : bind_handle_slot(pool, take, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, class, location, handle_slot, take->gfp, &hole);
	if (err) {
		take->unused[take->unused_count++] = handle_slot;
		return err;
	}
	if (!is_hole)
		zp_handles_set_location(&pool->handles, handle_slot, location);
	if (pool->evict)
		zsmalloc_zspage_touch(pool, class, number);
	take->handle_slots[take->got++] = handle_slot;
	return 0;
}

static void take_end(struct zsmalloc_pool *pool, struct take *take)
{
	if (take->unused_count)
		zp_handles_unbind(&pool->handles, take->unused, take->unused_count);
}

/*
 * Returns a zspage of a group that has a hole or, if `any`, a free slot with memory.  Returns ZSMALLOC_NONE if none of
 * the first ZSMALLOC_RING_LOOKS zspages has one.
 */
static uint32_t ready_in_group(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class, unsigned int group,
			       bool any)
{
	uint32_t first = class->groups[group], number = first;

	for (unsigned int looks = 0; looks < ZSMALLOC_RING_LOOKS; looks++) {
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

		if (zspage->holes || (any && zsmalloc_slot_find(class, zspage, true) >= 0))
			return number;
		number = zspage->links[ZSMALLOC_BY_FULLNESS].next;
		if (number == first)
			break;
	}
	return ZSMALLOC_NONE;
}

/* Removes the fullest group from a mask of groups and returns it. */
static unsigned int next_group(uint32_t *groups)
{
	unsigned int group = 31 - (unsigned int)__builtin_clz(*groups);

	*groups &= ~(1u << group);
	return group;
}

/*
 * Takes free slots with memory from the fullest zspages.  Returns 0 if it took any, -ENOENT if there is none, or
 * another error.
 */
static int take_ready(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct take *take)
{
	uint32_t groups = zsmalloc_groups_with_room(class);
	int err = -ENOENT;

	while (groups && take->got < take->wanted) {
		uint32_t number = ready_in_group(pool, class, next_group(&groups), true);

		if (number == ZSMALLOC_NONE)
			continue;
		do
			err = take_in(pool, class, number, take, true);
		while (!err && take->got < take->wanted);
		if (err && err != -ENOENT)
			break;
	}
	return take->got ? 0 : err;
}

/*
 * Takes a slot of an empty zspage that is listed.  If that fails, the zspage becomes the spare one again, because
 * neither trim nor compaction searches the lists for empty zspages.
 */
static int take_in_empty(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, struct take *take)
{
	int err = take_in(pool, class, number, take, take->gfp & ZPOOL_GFP_NOWAIT);

	if (err && class->spare == ZSMALLOC_NONE && zsmalloc_zspage(pool, number)->used_slots == 0) {
		zsmalloc_zspage_unlist(pool, class, number);
		class->spare = number;
	}
	return err;
}

static int take_spare(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct take *take)
{
	uint32_t number = class->spare;

	if (number == ZSMALLOC_NONE)
		return -ENOENT;
	class->spare = ZSMALLOC_NONE;
	zsmalloc_zspage_list(pool, class, number);
	return take_in_empty(pool, class, number, take);
}

unsigned int zsmalloc_slots_get_ready(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slots,
				      unsigned int wanted)
{
	struct take take = { .gfp = ZPOOL_GFP_KERNEL, .wanted = wanted, .handle_slots = handle_slots };

	if (zsmalloc_class_is_used(class))
		(void)take_ready(pool, class, &take);
	take_end(pool, &take);
	return take.got;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Larger classes
 */

/* Takes a hole of a larger class.  Its lock is only tried, because the caller holds another.  Returns 0 or -ENOENT. */
static int take_hole(struct zsmalloc_pool *pool, unsigned int index, struct take *take)
{
	struct zsmalloc_class *class = &pool->classes[index];
	uint64_t holes = atomic_load_explicit(&pool->classes_with_holes[index / 64], memory_order_relaxed);
	uint32_t number = ZSMALLOC_NONE;
	int err = -ENOENT;

	if (!(holes >> (index % 64) & 1) || !zp_trylock(&class->lock))
		return err;
	for (uint32_t groups = zsmalloc_groups_with_room(class); groups && number == ZSMALLOC_NONE;)
		number = ready_in_group(pool, class, next_group(&groups), false);
	if (number != ZSMALLOC_NONE)
		err = take_in(pool, class, number, take, true);
	zp_unlock(&class->lock);
	return err;
}

/*
 * Takes a slot of a larger class from the thread's cache, if that holds more than the class's next mallocs need.
 * Returns 0 or -ENOENT.
 */
static int borrow_cached(struct zsmalloc_pool *pool, unsigned int index, struct take *take)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	uint32_t handle_slot = ZP_ITEM_NONE;

	if (!cache)
		return -ENOENT;
	if (!pool->evict && zp_magazine_count(&cache->magazines[index]) > ZSMALLOC_REFILL_SLOTS)
		handle_slot = zp_magazine_pop(&cache->magazines[index]);
	zp_cache_leave(cache);
	if (handle_slot == ZP_ITEM_NONE)
		return -ENOENT;
	take->handle_slots[take->got++] = handle_slot;
	return 0;
}

/* Takes a slot of one of the next larger classes, cached or a hole, from the nearest class first. */
static int borrow(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct take *take)
{
	unsigned int index = (unsigned int)(class - pool->classes), end = pool->geometries[index].borrow_end;
	int err = -ENOENT;

	while (err == -ENOENT && ++index < end) {
		err = borrow_cached(pool, index, take);
		if (err == -ENOENT)
			err = take_hole(pool, index, take);
	}
	return err;
}

int zsmalloc_slot_migrate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slot)
{
	struct take take = { .gfp = ZPOOL_GFP_KERNEL, .wanted = 1, .handle_slots = handle_slot };
	int err = -ENOENT;

	for (struct zsmalloc_class *larger = class + 1; err && zsmalloc_may_migrate(pool, class, larger); larger++) {
		zp_lock(&larger->lock);
		err = take_ready(pool, larger, &take);
		zp_unlock(&larger->lock);
	}
	take_end(pool, &take);
	return err ? -ENOMEM : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * New memory
 */

/* Adds a zspage to the class.  Without NOWAIT, the class's lock is released meanwhile. */
static int add_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;

	if (!nowait)
		zp_unlock(&class->lock);
	int err = zsmalloc_zspage_create(pool, class, gfp, number);
	if (!nowait)
		zp_lock(&class->lock);
	if (err)
		return err;
	zsmalloc_zspage_join(pool, class, *number);
	zsmalloc_zspage_list(pool, class, *number);
	return 0;
}

/* Takes one slot, wherever there is one.  *grew: the pool got another zspage. */
static int take_any(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct take *take, bool *grew)
{
	uint32_t number = zsmalloc_fullest(class);

	int err = take_ready(pool, class, take);
	if (err == -ENOENT)
		err = take_spare(pool, class, take);
	if (err == -ENOENT)
		err = borrow(pool, class, take);
	if (err == -ENOENT && number != ZSMALLOC_NONE && !(take->gfp & ZPOOL_GFP_NOWAIT))
		err = take_in(pool, class, number, take, false);
	if (err != -ENOENT)
		return err;
	err = add_zspage(pool, class, take->gfp, &number);
	*grew = !err;
	/* No other thread has had the lock since the zspage was listed, so its first slot is free and has memory. */
	return err ? err : take_in_empty(pool, class, number, take);
}

int zsmalloc_slot_get(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *handle_slot,
		      bool *grew)
{
	struct take take = { .gfp = gfp, .wanted = 1, .handle_slots = handle_slot };

	zsmalloc_class_prepare(pool, class);
	*grew = false;
	int err = take_any(pool, class, &take, grew);
	take_end(pool, &take);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Freed slots and cached slots
 */

void zsmalloc_slots_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, const uint32_t *handle_slots,
			unsigned int count)
{
	class->frees += count;
	for (unsigned int i = 0; i < count; i++)
		zsmalloc_slot_put(pool, class, zp_handles_location(&pool->handles, handle_slots[i]), handle_slots[i]);
}

unsigned int zsmalloc_cached_max(const struct zsmalloc_class *class)
{
	uint32_t share = ZSMALLOC_CACHED_MIN + class->used_slots / ZSMALLOC_CACHED_SHARE;

	if (class->used_slots < ZSMALLOC_CACHED_FROM_SLOTS || class->is_draining)
		return 0;
	return share < ZP_MAGAZINE_ITEMS ? share : ZP_MAGAZINE_ITEMS;
}

/*
 * Returns true if the cache's pending slot belongs to the class.  That may change at any time, unless the caller owns
 * the cache or has stopped the caches.
 */
static bool is_pending_of(struct zsmalloc_pool *pool, struct zp_cache *cache, const struct zsmalloc_class *class)
{
	uint32_t pending = zp_cache_pending(cache);

	return pending != ZP_ITEM_NONE &&
	       zsmalloc_class(pool, zsmalloc_header(pool, zsmalloc_bound_zspage(pool, pending))) == class;
}

/*
 * Takes the slots of the class out of a cache: those in zspage `number`, or all if it is ZSMALLOC_NONE.  `taken` has
 * room for one more than a magazine.  Returns how many were taken.
 */
static unsigned int take_cached(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zp_cache *cache,
				uint32_t number, uint32_t *taken)
{
	struct zp_magazine *magazine = &cache->magazines[class - pool->classes];
	unsigned int count = zp_magazine_count(magazine), stay = 0, go = 0;
	uint32_t pending = zp_cache_pending(cache);

	for (unsigned int i = 0; i < count; i++) {
		uint32_t handle_slot = magazine->items[i];

		if (number == ZSMALLOC_NONE || zsmalloc_bound_zspage(pool, handle_slot) == number)
			taken[go++] = handle_slot;
		else
			magazine->items[stay++] = handle_slot;
	}
	zp_magazine_set_count(magazine, stay);
	if (!is_pending_of(pool, cache, class) ||
	    (number != ZSMALLOC_NONE && zsmalloc_bound_zspage(pool, pending) != number))
		return go;
	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	uint64_t location = zp_handles_location(&pool->handles, pending);
	if (zp_handles_end_free(&pool->handles, pending))
		taken[go++] = pending;
	else
		zsmalloc_slot_put(pool, class, location, ZP_SLOT_NONE);
	return go;
}

uint32_t zsmalloc_cached_count(struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint32_t cached = 0;

	zp_lock(&pool->caches.lock);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next)
		cached +=
			zp_magazine_count(&cache->magazines[class - pool->classes]) + is_pending_of(pool, cache, class);
	zp_unlock(&pool->caches.lock);
	/* If an owner is moving its pending slot into its magazine, that slot may have been counted twice. */
	return cached < class->used_slots ? cached : class->used_slots;
}

void zsmalloc_cached_put_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	uint32_t taken[ZP_MAGAZINE_ITEMS + 1];

	/* Magazines that look empty may be about to change: an owner may be pushing a slot that it has just freed. */
	zp_caches_stop(&pool->caches);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next) {
		if (number == ZSMALLOC_NONE)
			cache->magazines[class - pool->classes].max = 0;
		zsmalloc_slots_put(pool, class, taken, take_cached(pool, class, cache, number, taken));
	}
	zp_caches_resume(&pool->caches);
}

void zsmalloc_cached_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	if (zsmalloc_cached_count(pool, class))
		zsmalloc_cached_put_in(pool, class, ZSMALLOC_NONE);
}

void zsmalloc_class_begin_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	if (class->is_draining)
		return;
	class->is_draining = true;
	/* This is done even if the magazines look empty, because their owners must see the new maximum. */
	zsmalloc_cached_put_in(pool, class, ZSMALLOC_NONE);
}

void zsmalloc_class_end_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	class->is_draining = false;
	zsmalloc_class_set_source(pool, class, ZSMALLOC_NONE);
}

void zsmalloc_cache_empty(void *pool_, struct zp_cache *cache)
{
	struct zsmalloc_pool *pool = pool_;
	struct zsmalloc_class *class = NULL;
	uint32_t taken[ZP_MAGAZINE_ITEMS + 1];

	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		/* The calling thread is the owner, so the caches need not be stopped. */
		zp_lock(&pool->caches.lock);
		cache->magazines[class - pool->classes].max = 0;
		unsigned int count = take_cached(pool, class, cache, ZSMALLOC_NONE, taken);
		zp_unlock(&pool->caches.lock);
		zsmalloc_slots_put(pool, class, taken, count);
		zsmalloc_class_unlock(pool, class);
	}
}

uint64_t zsmalloc_class_drop_cached(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	uint64_t pages = class->committed_pages;

	zsmalloc_cached_put(pool, class);
	if (class->spare_record != ZSMALLOC_NONE)
		zsmalloc_record_put(pool, class->spare_record, true);
	class->spare_record = ZSMALLOC_NONE;
	if (class->spare != ZSMALLOC_NONE)
		zsmalloc_zspage_retire(pool, class, class->spare, false);
	class->spare = ZSMALLOC_NONE;
	return pages - class->committed_pages;
}

void zsmalloc_drop_cached(struct zsmalloc_pool *pool)
{
	struct zsmalloc_class *class = NULL;

	zp_caches_hold(&pool->caches);
	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		(void)zsmalloc_class_drop_cached(pool, class);
		zsmalloc_class_unlock(pool, class);
	}
	zp_caches_release(&pool->caches);
}
