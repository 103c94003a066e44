/* SPDX-License-Identifier: MIT
 *
 * zblock_objects.c - the calls about one object: malloc, free, map, unmap
 *
 * The fast paths of malloc and free use the thread's cache alone.  Everything else is in functions that are not inlined
 * and called last, so that the fast paths save no registers for them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zblock.h"

#define NOINLINE __attribute__((noinline))

static inline char *address_of(const struct zblock_pool *pool, uint64_t location)
{
	const struct zblock_block *block = zblock_block(pool, zblock_location_block(location));

	return block->base + (size_t)zblock_location_slot(location) * pool->slot_bytes[zblock_type_index(block)];
}

/* ------------------------------------------------------------------------------------------------------------------
 * malloc
 */

static NOINLINE void zero_slot(struct zblock_pool *pool, uint64_t location)
{
	const struct zblock_block *block = zblock_block(pool, zblock_location_block(location));

	memset(address_of(pool, location), 0, pool->slot_bytes[zblock_type_index(block)]);
}

/* Stores an object in a slot that no other thread can see. */
static inline int publish(struct zblock_pool *pool, uint32_t handle_slot, zpool_gfp_t gfp, unsigned long *handle)
{
	if (gfp & ZPOOL_GFP_ZERO)
		zero_slot(pool, zp_handles_location(&pool->handles, handle_slot));
	*handle = zp_handles_publish_bound(&pool->handles, handle_slot);
	return 0;
}

/*
 * Puts a few slots into the thread's cache for its next mallocs, the lowest on top.  The caller holds the type's lock.
 */
static void refill(struct zblock_pool *pool, struct zblock_type *type)
{
	uint32_t ready[ZBLOCK_REFILL_SLOTS], emptied = ZBLOCK_NONE;
	unsigned int count = zblock_slots_get_ready(pool, type, ready, ZBLOCK_REFILL_SLOTS);
	struct zp_cache *cache = zp_caches_enter(&pool->caches);

	if (cache) {
		struct zp_magazine *magazine = &cache->magazines[type - pool->types];

		magazine->max = (uint8_t)zblock_cached_max(type);
		while (count && zp_magazine_push(magazine, ready[count - 1]))
			count--;
		zp_cache_leave(cache);
	}
	/* This empties no block, because a block in a list has another slot in use. */
	zblock_slots_put(pool, type, ready, count, &emptied);
}

/*
 * Takes a slot, and perhaps a few more for the thread's cache.  Sets *adopts to true if the thread should get a cache.
 * The caller holds the type's lock, and the function releases it.
 */
static int get_slot(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *handle_slot,
		    bool *adopts)
{
	int err = zblock_slot_get(pool, type, gfp, handle_slot);
	unsigned int max = err || gfp & ZPOOL_GFP_NOWAIT ? 0 : zblock_cached_max(type);

	/* The thread adopts a cache here and not only at its first free, which should not make the pool larger. */
	*adopts = max && !zp_caches_own(&pool->caches);
	if (max > ZBLOCK_REFILL_SLOTS && !*adopts)
		refill(pool, type);
	zp_unlock(&type->lock);
	return err;
}

static NOINLINE int malloc_slow(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp,
				unsigned long *handle)
{
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, adopts = false;
	uint32_t handle_slot;
	int err;

	if (!nowait)
		zp_lock(&type->lock);
	else if (!zp_trylock(&type->lock))
		return zp_counts_malloc_failed(&pool->counts, -EAGAIN, false);
	err = get_slot(pool, type, gfp, &handle_slot, &adopts);
	if (err == -ENOMEM && !nowait) {
		zblock_make_room(pool);
		/* Even if that released nothing: another thread may have, while this one waited for it. */
		zp_lock(&type->lock);
		err = get_slot(pool, type, gfp, &handle_slot, &adopts);
	}
	if (err)
		return zp_counts_malloc_failed(&pool->counts, err,
					       !nowait && refusals != zp_pages_limit_refusals(&pool->pages));
	(void)publish(pool, handle_slot, gfp, handle);
	if (adopts)
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_MALLOC);
	return 0;
}

/*
 * Returns the slot that the thread freed last, unless it has another type or its handle slot is in its last generation,
 * which the thread's next free retires.
 */
static inline uint32_t take_pending(struct zblock_pool *pool, struct zp_cache *cache, unsigned int index)
{
	uint32_t pending = zp_cache_pending(cache);

	if (pending == ZP_ITEM_NONE || zblock_type_of_bound(pool, pending) != index ||
	    !zp_handles_try_end_free(&pool->handles, pending))
		return ZP_ITEM_NONE;
	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	return pending;
}

/* Stores an object, in a slot that the thread caches if possible; cache is NULL if the thread has none. */
static inline int malloc_in(struct zblock_pool *pool, struct zp_cache *cache, unsigned int index, zpool_gfp_t gfp,
			    unsigned long *handle)
{
	uint32_t handle_slot;

	if (!cache || !zp_biased_enter(&cache->biased))
		return malloc_slow(pool, &pool->types[index], gfp, handle);
	handle_slot = take_pending(pool, cache, index);
	if (handle_slot == ZP_ITEM_NONE)
		handle_slot = zp_magazine_pop(&cache->magazines[index]);
	zp_cache_leave(cache);
	if (handle_slot == ZP_ITEM_NONE)
		return malloc_slow(pool, &pool->types[index], gfp, handle);
	return publish(pool, handle_slot, gfp, handle);
}

/* Does the same for a thread whose cache must be looked up first. */
static NOINLINE int malloc_searched(struct zblock_pool *pool, unsigned int index, zpool_gfp_t gfp,
				    unsigned long *handle)
{
	return malloc_in(pool, zp_caches_own(&pool->caches), index, gfp, handle);
}

int zblock_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zblock_pool *pool = pool_;
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	unsigned int index;

	if (size - 1 >= ZBLOCK_OBJECT_BYTES_MAX)
		return size ? -ENOSPC : -EINVAL;
	index = pool->type_of[(size + ZBLOCK_ALIGN_BYTES - 1) >> ZBLOCK_ALIGN_SHIFT];
	return cache ? malloc_in(pool, cache, index, gfp, handle) : malloc_searched(pool, index, gfp, handle);
}

/* ------------------------------------------------------------------------------------------------------------------
 * free
 */

/*
 * Puts one more slot into the thread's cache; if the magazine is full, its oldest slots return to the type.  The caller
 * holds the type's lock.
 */
static void cache_slot(struct zblock_pool *pool, struct zblock_type *type, uint32_t handle_slot, uint32_t *emptied)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	uint32_t taken[ZP_MAGAZINE_ITEMS];
	unsigned int count = 0;
	bool cached = false;

	if (cache) {
		struct zp_magazine *magazine = &cache->magazines[type - pool->types];
		unsigned int has = zp_magazine_count(magazine);

		magazine->max = (uint8_t)zblock_cached_max(type);
		if (has >= magazine->max)
			count = zp_magazine_take(magazine, taken, has - magazine->max + ZBLOCK_FLUSH_SLOTS);
		cached = zp_magazine_push(magazine, handle_slot);
		zp_cache_leave(cache);
	}
	zblock_slots_put(pool, type, taken, count, emptied);
	if (!cached)
		zblock_slots_put(pool, type, &handle_slot, 1, emptied);
}

/* Frees a slot that the cache did not take.  begun is true if the free of its handle slot is not complete yet. */
static NOINLINE int free_slow(struct zblock_pool *pool, uint32_t handle_slot, bool begun)
{
	struct zblock_type *type = &pool->types[zblock_type_of_bound(pool, handle_slot)];
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);
	struct zp_flushes *flushes = &pool->flushes[type - pool->types];
	uint32_t emptied = ZBLOCK_NONE;
	unsigned int round = 0;

	zp_lock(&type->lock);
	if (begun && !zp_handles_end_free(&pool->handles, handle_slot))
		zblock_slot_free(pool, type, location, &emptied);
	else
		cache_slot(pool, type, handle_slot, &emptied);
	/* If a type has no object left, threads may cache no slots of it. */
	if (type->used_slots && type->used_slots <= ZP_MAGAZINE_ITEMS &&
	    type->used_slots == zblock_cached_count(pool, type))
		zblock_cached_put(pool, type, &emptied);
	if (emptied != ZBLOCK_NONE)
		round = zp_flush_begin(flushes);
	zp_unlock(&type->lock);
	if (emptied != ZBLOCK_NONE) {
		zblock_blocks_destroy(pool, type, emptied);
		zp_flush_end(flushes, round);
	}
	if (!zp_caches_own(&pool->caches))
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_FREE);
	return 0;
}

/* Handles the free of a mapped object or of an invalid handle. */
static NOINLINE int free_contended(struct zblock_pool *pool, unsigned long handle)
{
	uint32_t handle_slot;
	uint64_t location;
	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);

	return err ? zp_counts_refused(&pool->counts, err) : free_slow(pool, handle_slot, true);
}

/*
 * Makes the slot the thread's pending one, and moves the slot that was freed before it into its magazine.  The earlier
 * slot's table entry and its block's record are in the processor's cache by now, so the call does not wait for those of
 * this slot.
 */
static inline int free_in(struct zblock_pool *pool, struct zp_cache *cache, uint32_t handle_slot)
{
	uint32_t before;
	bool begun, cached = false;

	if (!zp_biased_enter(&cache->biased))
		return free_slow(pool, handle_slot, true);
	before = zp_cache_pending(cache);
	zp_cache_set_pending(cache, handle_slot);
	if (before == ZP_ITEM_NONE) {
		zp_cache_leave(cache);
		return 0;
	}
	begun = !zp_handles_try_end_free(&pool->handles, before);
	if (!begun)
		cached = zp_magazine_push(&cache->magazines[zblock_type_of_bound(pool, before)], before);
	zp_cache_leave(cache);
	return cached ? 0 : free_slow(pool, before, begun);
}

/* Does the same for a thread that has no cache or must look it up first. */
static NOINLINE int free_searched(struct zblock_pool *pool, uint32_t handle_slot)
{
	struct zp_cache *cache = zp_caches_own(&pool->caches);

	return cache ? free_in(pool, cache, handle_slot) : free_slow(pool, handle_slot, true);
}

int zblock_free(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	uint64_t location;

	if (!zp_handles_try_begin_free(&pool->handles, handle, &location))
		return free_contended(pool, handle);
	return cache ? free_in(pool, cache, zp_handle_slot(handle)) : free_searched(pool, zp_handle_slot(handle));
}

/* ------------------------------------------------------------------------------------------------------------------
 * map and unmap
 */

void *zblock_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zblock_pool *pool = pool_;
	uint64_t location;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (!err)
		return address_of(pool, location);
	errno = -err;
	return NULL;
}

int zblock_unmap(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Sizes of objects, and the walk over all of them
 */

/*
 * Takes no lock.  An object does not move; so if the handle is still live after the block's record was read, the record
 * belonged to that block all the time.
 */
int64_t zblock_obj_size(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;
	uint64_t location;
	unsigned int index;
	int err = zp_handles_lookup(&pool->handles, handle, &location);

	if (err)
		return err;
	/* The acquire order keeps the second look-up from being reordered before this load. */
	index = atomic_load_explicit(&zblock_block(pool, zblock_location_block(location))->type, memory_order_acquire);
	err = zp_handles_lookup(&pool->handles, handle, &location);
	return err ? err : pool->slot_bytes[index];
}

int zblock_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zblock_pool *pool = pool_;

	return zp_each_object(&pool->handles, zblock_obj_size, pool, fn, user);
}
