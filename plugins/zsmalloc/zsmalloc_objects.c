/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_objects.c - the way of an object: malloc, free, map, unmap
 *
 * What happens as a rule is a straight line: malloc takes the place that its class keeps, free leaves one, map pins a
 * word.  All else is left to functions of their own that are called last, so that the rule pays for no register that
 * only they need.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zsmalloc.h"

#define OUTLINE __attribute__((noinline))

enum { ROOM_TRIES = 16 }; /* for one malloc that finds no memory, as compaction makes room little by little */

/* A slot of the handle table, and a place: what an object needs, taken but not yet published. */
struct place {
	uint32_t handle_slot;
	uint32_t zspage;
	unsigned int slot;
	bool grew; /* the class has a zspage more */
};

/* A slot of the handle table: one that the class keeps, or some from the table, of which it keeps the rest. */
static int take_handle_slot(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *slot)
{
	if (zsmalloc_bare_get(class, slot))
		return 0;
	uint32_t fresh[ZSMALLOC_BARE_BATCH];
	/* A class of few objects may never need them. */
	unsigned int wanted = class->used_slots < 2 * ZSMALLOC_BARE_BATCH ? 1 : ZSMALLOC_BARE_BATCH;
	int got = zp_handles_get(&pool->handles, gfp, fresh, wanted);
	if (got < 0)
		return got;
	while (--got > 0)
		(void)zsmalloc_bare_put(class, fresh[got]);
	*slot = fresh[0];
	return 0;
}

/* A slot in this zspage.  0; -ENOENT: it has no room; or -errno. */
static int take_place_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, zpool_gfp_t gfp,
			 struct place *place)
{
	int slot = zsmalloc_slot_find(class, zsmalloc_zspage(pool, number), gfp & ZPOOL_GFP_NOWAIT);

	if (slot < 0)
		return -ENOENT;
	int err = zsmalloc_slot_take(pool, class, number, (unsigned int)slot, place->handle_slot, gfp);
	if (err)
		return err;
	place->zspage = number;
	place->slot = (unsigned int)slot;
	if (pool->evict)
		zsmalloc_zspage_touch(pool, class, number);
	return 0;
}

/*
 * A slot in a zspage that is there: one of the fullest; or, as under NOWAIT room without memory is none, the first in
 * one of the other groups.
 */
static int take_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, struct place *place)
{
	uint32_t groups = class->group_mask & ((1u << ZSMALLOC_FULL) - 1), number = class->spare;
	int err = -ENOENT;

	while (groups && err == -ENOENT) {
		unsigned int group = 31 - (unsigned int)__builtin_clz(groups);

		err = take_place_in(pool, class, class->groups[group], gfp, place);
		groups &= ~(1u << group);
	}
	if (err != -ENOENT || number == ZSMALLOC_NONE)
		return err;
	class->spare = ZSMALLOC_NONE;
	zsmalloc_zspage_list(pool, class, number);
	return take_place_in(pool, class, number, gfp, place);
}

/* Lets the class have another zspage; with the lock held, which is let go meanwhile (never with NOWAIT). */
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

/* With the class's lock held. */
static int find_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, struct place *place)
{
	int err = take_handle_slot(pool, class, gfp, &place->handle_slot);
	if (err)
		return err;
	err = take_place(pool, class, gfp, place);
	if (err == -ENOENT) {
		uint32_t number;

		/* Its first slot has memory, and nobody else has had the lock since it was listed. */
		err = add_zspage(pool, class, gfp, &number);
		place->grew = !err;
		if (!err)
			err = take_place_in(pool, class, number, gfp, place);
	}
	if (!err)
		return 0;
	/* While the lock was let go others may have left no room. */
	if (!zsmalloc_bare_put(class, place->handle_slot))
		zp_handles_put(&pool->handles, &place->handle_slot, 1);
	return err;
}

/*
 * The class is at hand, and its zspage in the processor's cache: the thread's next mallocs get places too, if there are
 * free slots with memory.
 */
static void refill(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	struct zsmalloc_cache *cache = zsmalloc_cache(pool);
	uint32_t kept[ZSMALLOC_KEPT_REFILL];
	unsigned int free = ZSMALLOC_KEPT_REFILL;

	if (!cache || pool->evict || zsmalloc_kept_max(class) < ZSMALLOC_KEPT_MAX)
		return;
	for (; free > 0; free--) {
		uint32_t number = zsmalloc_fullest(class);
		struct place place;

		if (number == ZSMALLOC_NONE || take_handle_slot(pool, class, ZPOOL_GFP_NOWAIT, &place.handle_slot))
			break;
		if (take_place_in(pool, class, number, ZPOOL_GFP_NOWAIT, &place)) {
			if (!zsmalloc_bare_put(class, place.handle_slot))
				zp_handles_put(&pool->handles, &place.handle_slot, 1);
			break;
		}
		zp_handles_keep(&pool->handles, place.handle_slot, zsmalloc_location(place.zspage, place.slot));
		kept[free - 1] = place.handle_slot;
	}
	if (free < ZSMALLOC_KEPT_REFILL)
		zsmalloc_kept_store(pool, class, cache, kept + free, ZSMALLOC_KEPT_REFILL - free);
}

/* Lets the lock go. */
static int find_place_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp,
			     struct place *place)
{
	int err = find_place(pool, class, gfp, place);

	if (!err && !(gfp & ZPOOL_GFP_NOWAIT))
		refill(pool, class);
	zp_unlock(&class->lock);
	return err;
}

/*
 * At the limit: a place with memory in a class a little larger.  Compaction may have lodged objects there, and the room
 * that they leave is theirs as well.
 */
static int borrow_place(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, struct place *place)
{
	int err = -ENOMEM;

	for (struct zsmalloc_class *larger = pool->classes + (class - pool->classes) + 1;
	     err && zsmalloc_may_lodge(pool, class, larger); larger++) {
		zp_lock(&larger->lock);
		err = find_place(pool, larger, ZPOOL_GFP_NOWAIT, place);
		zp_unlock(&larger->lock);
	}
	return err ? -ENOMEM : 0;
}

/* A place that is not kept.  With the lock held, which is let go. */
static int malloc_anew(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, unsigned long *handle)
{
	struct place place = { .grew = false };
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	struct zsmalloc_need need = { .bytes = class->slot_bytes, .least_used_bytes = UINT64_MAX };

	int err = find_place_unlock(pool, class, gfp, &place);
	for (int tries = 0; err == -ENOMEM && !nowait && tries < ROOM_TRIES; tries++) {
		if (!zsmalloc_make_room(pool, &need))
			break;
		zp_lock(&class->lock);
		err = find_place_unlock(pool, class, gfp, &place);
	}
	if (err == -ENOMEM && !nowait)
		err = borrow_place(pool, class, &place);
	if (err == -ENOMEM && !nowait && zsmalloc_records_are_full(pool))
		pool->host->error(pool->core,
				  "The pool has %u zspages, as many as driver \"zsmalloc\" can have. Choose a larger "
				  "chain, so that a zspage has more pages, or spread the objects over several pools.",
				  pool->records_max - 1);
	if (err)
		return zp_counts_malloc_failed(&pool->counts, err,
					       !nowait && refusals != zp_pages_limit_refusals(&pool->pages));
	/* Until it is published nobody moves or evicts it. */
	const struct zsmalloc_home *home = zsmalloc_home(pool, place.zspage);
	if (gfp & ZPOOL_GFP_ZERO)
		memset(zsmalloc_slot_address(home, place.slot), 0, home->slot_bytes);
	*handle = zp_handles_publish(&pool->handles, place.handle_slot, zsmalloc_location(place.zspage, place.slot));
	if (place.grew && !nowait)
		zsmalloc_compact_next(pool);
	return 0;
}

/* The place of an object that was freed.  With the class's lock held, which is let go. */
static int malloc_kept(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t handle_slot,
		       unsigned long *handle)
{
	uint64_t location = zp_handles_kept_location(&pool->handles, handle_slot);
	uint32_t number = zsmalloc_location_zspage(location);

	if (pool->evict)
		zsmalloc_zspage_touch(pool, class, number);
	zp_unlock(&class->lock);
	if (gfp & ZPOOL_GFP_ZERO)
		memset(zsmalloc_slot_address(zsmalloc_home(pool, number), zsmalloc_location_slot(location)), 0,
		       class->slot_bytes);
	*handle = zp_handles_publish_kept(&pool->handles, handle_slot);
	return 0;
}

/* Has the zspage that comes first a free slot with memory?  With the class's lock held. */
static bool is_slot_ready(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint32_t number = zsmalloc_fullest(class);

	return number != ZSMALLOC_NONE && zsmalloc_slot_find(class, zsmalloc_zspage(pool, number), true) >= 0;
}

/*
 * A place that the thread's cache keeps, or that it gets from another's: where some threads store what others free, all
 * places come to rest with these.  The one that was freed last stays for the next malloc if there is another way but to
 * ask for memory: with two of them going round a malloc finds one in the bin.  With the class's lock held.  false:
 * there is none.
 */
static bool take_kept(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache, struct zsmalloc_class *class,
		      zpool_gfp_t gfp, uint32_t *handle_slot)
{
	struct zsmalloc_bin *bin = zsmalloc_bin(pool, cache, class);
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, found;

	do {
		if (!nowait)
			zp_lock(&cache->lock);
		else if (!zp_trylock(&cache->lock))
			return false;
		bin->max = zsmalloc_kept_max(class);
		found = zsmalloc_bin_get(bin, handle_slot);
		if (!found && zsmalloc_is_fresh(pool, cache, class) && (nowait || !is_slot_ready(pool, class)))
			found = zsmalloc_fresh_get(pool, cache, class, handle_slot);
		zp_unlock(&cache->lock);
	} while (!found && !nowait && zsmalloc_kept_steal(pool, class, cache));
	return found;
}

static OUTLINE int malloc_slow(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp,
			       unsigned long *handle)
{
	struct zsmalloc_cache *cache = zsmalloc_cache(pool);
	uint32_t handle_slot;

	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&class->lock);
	else if (!zp_trylock(&class->lock))
		return zp_counts_malloc_failed(&pool->counts, -EAGAIN, false);
	if (cache && take_kept(pool, cache, class, gfp, &handle_slot))
		return malloc_kept(pool, class, gfp, handle_slot, handle);
	bool keeps = zsmalloc_kept_max(class) > 0;
	int err = malloc_anew(pool, class, gfp, handle);
	if (!cache && keeps && !err && !(gfp & ZPOOL_GFP_NOWAIT))
		zsmalloc_cache_adopt(pool);
	return err;
}

/* As a rule the place of the object of its class that was freed last, which the processor still knows. */
int zsmalloc_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint32_t handle_slot;

	if (size - 1 >= pool->object_bytes_max)
		return size ? -ENOSPC : -EINVAL;
	unsigned int index = zsmalloc_class_index(pool, size);
	struct zsmalloc_cache *cache = zsmalloc_cache(pool);
	if (!cache || pool->evict || (gfp & ZPOOL_GFP_ZERO) || !zp_trylock(&cache->lock))
		return malloc_slow(pool, &pool->classes[index], gfp, handle);
	bool found = zsmalloc_bin_get(&cache->bins[index], &handle_slot);
	zp_unlock(&cache->lock);
	if (!found)
		return malloc_slow(pool, &pool->classes[index], gfp, handle);
	*handle = zp_handles_publish_kept(&pool->handles, handle_slot);
	return 0;
}

/* Its place is free from now on.  true: the slot of the handle table is still to be given back. */
static bool release_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			  uint32_t handle_slot, uint32_t *emptied)
{
	uint32_t number = zsmalloc_location_zspage(location);

	class->frees++;
	zsmalloc_slot_release(pool, class, number, zsmalloc_location_slot(location));
	if (zsmalloc_zspage(pool, number)->used_slots == 0)
		zsmalloc_zspage_retire(pool, class, number, emptied);
	if (class->bare_count == ZSMALLOC_BARE_MAX)
		return true;
	if (zp_handles_end_free_keep(&pool->handles, handle_slot))
		(void)zsmalloc_bare_put(class, handle_slot);
	return false;
}

/*
 * The slow way to end a free: of an object that is the caller's as zp_handles_begin_free() says, or (`kept`) a place
 * that has left the cache because its bin is full.
 */
static OUTLINE int free_slow(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t handle_slot, bool kept)
{
	uint64_t location = zp_handles_kept_location(&pool->handles, handle_slot);
	uint32_t emptied = ZSMALLOC_NONE;
	bool surplus = false;

	zp_lock(&class->lock);
	bool keeps = zsmalloc_kept_max(class) > 0;
	if (!kept && keeps && zsmalloc_home_is_listed(zsmalloc_home(pool, zsmalloc_location_zspage(location))))
		kept = zp_handles_recycle(&pool->handles, handle_slot);
	if (kept)
		zsmalloc_kept_add(pool, class, handle_slot, &emptied);
	else
		surplus = release_place(pool, class, location, handle_slot, &emptied);
	/* A class without an object keeps no place. */
	if (class->used_slots <= ZSMALLOC_KEPT_MAX && class->used_slots == zsmalloc_kept_count(pool, class))
		zsmalloc_kept_release(pool, class, &emptied);
	bool wants = zsmalloc_wants_compaction(pool, class);
	zp_unlock(&class->lock);
	if (surplus)
		zp_handles_end_free(&pool->handles, handle_slot);
	if (emptied != ZSMALLOC_NONE)
		zsmalloc_zspages_destroy(pool, emptied);
	if (keeps && !zsmalloc_cache(pool))
		zsmalloc_cache_adopt(pool);
	if (wants)
		zsmalloc_compact_some(pool, class);
	return 0;
}

/* Of an object that is not simply live: mapped, on the move, none, or its slot's last. */
static OUTLINE int free_hard(struct zsmalloc_pool *pool, unsigned long handle)
{
	uint32_t handle_slot;
	uint64_t location;

	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);
	if (err)
		return zp_counts_refused(&pool->counts, err);
	return free_slow(pool, zsmalloc_class(pool, zsmalloc_home(pool, zsmalloc_location_zspage(location))),
			 handle_slot, false);
}

/* Puts the place that was freed before into its bin.  With the cache's lock held, which is let go. */
static inline int free_before(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache, uint32_t before)
{
	uint64_t location = zp_handles_kept_location(&pool->handles, before);
	const struct zsmalloc_home *home = zsmalloc_home(pool, zsmalloc_location_zspage(location));
	unsigned int index = atomic_load_explicit(&home->class_index, memory_order_relaxed);

	/* Whoever gets it will write there. */
	__builtin_prefetch(zsmalloc_slot_address(home, zsmalloc_location_slot(location)), 1);
	zp_handles_renew(&pool->handles, before);
	bool kept = zsmalloc_bin_put(&cache->bins[index], before);
	zp_unlock(&cache->lock);
	return kept ? 0 : free_slow(pool, &pool->classes[index], before, true);
}

/*
 * Keeps the place: slot and handle stay as they are, save that the handle is stale.  A zspage under reclaim is to run
 * empty.
 *
 * All that has to wait for the handle's word is whether it is as it should be, and as a rule it is: the processor goes
 * on with the place that was freed before, whose word has come.
 */
int zsmalloc_free(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint32_t handle_slot = zp_handle_slot(handle);
	struct zsmalloc_cache *cache = zsmalloc_cache(pool);
	uint64_t location;

	if (zp_handles_is_last_life(&pool->handles, handle) ||
	    !zp_handles_try_begin_free(&pool->handles, handle, &location))
		return free_hard(pool, handle);
	const struct zsmalloc_home *home = zsmalloc_home(pool, zsmalloc_location_zspage(location));
	unsigned int index = atomic_load_explicit(&home->class_index, memory_order_relaxed);
	if (!cache || !zp_trylock(&cache->lock))
		return free_slow(pool, &pool->classes[index], handle_slot, false);
	uint32_t before = atomic_load_explicit(&cache->fresh, memory_order_relaxed);
	if (cache->bins[index].max == 0 || !zsmalloc_home_is_listed(home)) {
		zp_unlock(&cache->lock);
		return free_slow(pool, &pool->classes[index], handle_slot, false);
	}
	atomic_store_explicit(&cache->fresh, handle_slot, memory_order_relaxed);
	if (before != ZP_SLOT_NONE)
		return free_before(pool, cache, before);
	zp_unlock(&cache->lock);
	return 0;
}

static inline void *address_of(const struct zsmalloc_pool *pool, uint64_t location)
{
	const struct zsmalloc_home *home = zsmalloc_home(pool, zsmalloc_location_zspage(location));

	return zsmalloc_slot_address(home, zsmalloc_location_slot(location));
}

static OUTLINE void *map_hard(struct zsmalloc_pool *pool, unsigned long handle)
{
	uint64_t location;

	int err = zp_handles_pin(&pool->handles, handle, &location);
	if (!err)
		return address_of(pool, location);
	errno = -err;
	return NULL;
}

void *zsmalloc_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location;

	(void)mode;
	if (!zp_handles_try_pin(&pool->handles, handle, &location))
		return map_hard(pool, handle);
	return address_of(pool, location);
}

int zsmalloc_unmap(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

int64_t zsmalloc_obj_size(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location, before = UINT64_MAX;
	uint32_t bytes = 0;

	/* Nothing keeps the object where it is: what was read is true if it is still there afterwards. */
	for (;;) {
		int err = zp_handles_lookup(&pool->handles, handle, &location);
		if (err)
			return err;
		if (location == before)
			return bytes;
		before = location;
		/* A record that went back meanwhile has no class; then the next look finds another place, or none. */
		const struct zsmalloc_home *home = zsmalloc_home(pool, zsmalloc_location_zspage(location));
		uint16_t index = atomic_load_explicit(&home->class_index, memory_order_relaxed);
		bytes = index < pool->class_count ? pool->classes[index].slot_bytes : 0;
	}
}

int zsmalloc_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_each_object(&pool->handles, zsmalloc_obj_size, pool, fn, user);
}
