/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_objects.c - the calls that act on one object: malloc, free, map, unmap
 *
 * On the fast paths, malloc takes a slot that its thread caches, free leaves its slot in the cache, and map pins the
 * handle's word.  All other cases are in functions that are not inlined and are called last, so that the fast paths
 * need not save registers.
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

#define NOINLINE __attribute__((noinline))

enum { ROOM_TRIES = 16 }; /* how often a malloc makes room before it fails; each try compacts only a little */

/* ------------------------------------------------------------------------------------------------------------------
 * malloc
 */

static NOINLINE void zero_slot(struct zsmalloc_pool *pool, uint64_t location)
{
	memset(zsmalloc_address(pool, location), 0,
	       zsmalloc_header(pool, zsmalloc_location_zspage(location))->slot_bytes);
}

/* Publishes a slot of the caller's.  Returns 0 with its handle. */
static inline int publish(struct zsmalloc_pool *pool, uint32_t handle_slot, zpool_gfp_t gfp, unsigned long *handle)
{
	if (gfp & ZPOOL_GFP_ZERO)
		zero_slot(pool, zp_handles_location(&pool->handles, handle_slot));
	*handle = zp_handles_publish_bound(&pool->handles, handle_slot);
	return 0;
}

/*
 * Puts the other slots that a malloc found into the thread's cache, and returns those that do not fit to the class.
 * Called with the class's lock held.
 */
static void refill(struct zsmalloc_pool *pool, struct zsmalloc_class *class, const uint32_t *handle_slots,
		   unsigned int count)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	unsigned int cached = 0;

	if (cache) {
		struct zp_magazine *magazine = &cache->magazines[class - pool->classes];

		magazine->max = (uint8_t)zsmalloc_cached_max(class);
		while (cached < count && zp_magazine_push(magazine, handle_slots[cached]))
			cached++;
		zp_cache_leave(cache);
	}
	zsmalloc_slots_put(pool, class, handle_slots + cached, count - cached);
}

/*
 * Returns true if a malloc may take the cache's pending slot: it belongs to one of the classes `first` to `end` - 1.
 * So a program that stores and frees one object again and again reuses one slot.
 */
static inline bool may_take_pending(struct zp_cache *cache, unsigned int first, unsigned int end)
{
	return zp_cache_pending(cache) != ZP_ITEM_NONE && cache->pending_class - first < end - first;
}

/*
 * Takes the cache's pending slot, or returns ZP_ITEM_NONE.  A handle slot without generations left is not taken; the
 * thread's next free retires it.
 */
static inline uint32_t take_pending(struct zsmalloc_pool *pool, struct zp_cache *cache, unsigned int first,
				    unsigned int end)
{
	uint32_t pending = zp_cache_pending(cache);

	if (!may_take_pending(cache, first, end) || !zp_handles_try_end_free(&pool->handles, pending))
		return ZP_ITEM_NONE;
	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	return pending;
}

/*
 * Takes a slot of class `index` from the thread's cache, or the pending one if it is of one of the classes below `end`.
 * Returns ZP_ITEM_NONE if there is none.
 */
static uint32_t take_cached(struct zsmalloc_pool *pool, unsigned int index, unsigned int end)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	uint32_t handle_slot;

	if (!cache)
		return ZP_ITEM_NONE;
	handle_slot = zp_magazine_pop(&cache->magazines[index]);
	if (handle_slot == ZP_ITEM_NONE)
		handle_slot = take_pending(pool, cache, index, end);
	zp_cache_leave(cache);
	return handle_slot;
}

/*
 * Takes a cached slot in a pool that evicts.  There, the zspage's age changes with each malloc, so the class's lock is
 * held.
 */
static bool take_cached_and_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slot)
{
	unsigned int index = (unsigned int)(class - pool->classes);

	*handle_slot = take_cached(pool, index, index + 1);
	if (*handle_slot == ZP_ITEM_NONE)
		return false;
	zsmalloc_zspage_touch(pool, class, zsmalloc_bound_zspage(pool, *handle_slot));
	return true;
}

/*
 * Takes a free slot that has memory, and perhaps a few for the thread's cache.  Called with the class's lock held.
 */
static bool get_ready(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slot)
{
	bool caches =
		!pool->evict && zsmalloc_cached_max(class) > ZSMALLOC_REFILL_SLOTS && zp_caches_own(&pool->caches);
	uint32_t ready[1 + ZSMALLOC_REFILL_SLOTS];
	unsigned int got = zsmalloc_slots_get_ready(pool, class, ready, caches ? 1 + ZSMALLOC_REFILL_SLOTS : 1);

	if (got == 0)
		return false;
	*handle_slot = ready[0];
	if (got > 1)
		refill(pool, class, ready + 1, got - 1);
	return true;
}

/* Finds a slot, and makes room if there is none.  Called with the class's lock held, and releases it. */
static int find_slot(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *handle_slot,
		     bool *grew)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	struct zsmalloc_need need = { .bytes = pool->geometries[class - pool->classes].slot_bytes,
				      .least_used_bytes = UINT64_MAX };
	int err;

	for (int tries = 0;; tries++) {
		err = zsmalloc_slot_get(pool, class, gfp, handle_slot, grew);
		zp_unlock(&class->lock);
		if (err != -ENOMEM || nowait || tries == ROOM_TRIES || !zsmalloc_make_room(pool, &need))
			break;
		zp_lock(&class->lock);
	}
	if (err == -ENOMEM && !nowait)
		err = zsmalloc_slot_migrate(pool, class, handle_slot);
	if (err == -ENOMEM && !nowait && zsmalloc_records_are_full(pool))
		pool->host->error(
			pool->core,
			"The pool has %u zspages, as many as driver \"zsmalloc\" can have. Choose a larger chain, so that a zspage has more pages, or spread the objects over several pools.",
			pool->records.max - 1);
	return err;
}

static NOINLINE int malloc_slow(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp,
				unsigned long *handle)
{
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, grew = false;
	uint32_t handle_slot;
	int err = 0;

	if (!nowait)
		zp_lock(&class->lock);
	else if (!zp_trylock(&class->lock))
		return zp_counts_malloc_failed(&pool->counts, -EAGAIN, false);
	bool adopts = zsmalloc_cached_max(class) > 0;
	if ((pool->evict && take_cached_and_touch(pool, class, &handle_slot)) ||
	    (!nowait && get_ready(pool, class, &handle_slot)))
		zsmalloc_class_unlock(pool, class);
	else
		err = find_slot(pool, class, gfp, &handle_slot, &grew);
	if (!nowait)
		zsmalloc_report_damage(pool);
	if (err)
		return zp_counts_malloc_failed(&pool->counts, err,
					       !nowait && refusals != zp_pages_limit_refusals(&pool->pages));
	(void)publish(pool, handle_slot, gfp, handle);
	if (adopts && !nowait && !zp_caches_own(&pool->caches))
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_MALLOC);
	if (grew && !nowait)
		zsmalloc_compact_next(pool);
	return 0;
}

/*
 * Serves the mallocs that the fast path does not: the thread's cache must be searched for, is empty or is not to be
 * used.
 */
static NOINLINE int malloc_searched(struct zsmalloc_pool *pool, unsigned int index, zpool_gfp_t gfp,
				    unsigned long *handle)
{
	uint32_t handle_slot =
		pool->evict ? ZP_ITEM_NONE : take_cached(pool, index, pool->geometries[index].borrow_end);

	if (handle_slot == ZP_ITEM_NONE)
		return malloc_slow(pool, &pool->classes[index], gfp, handle);
	return publish(pool, handle_slot, gfp, handle);
}

int zsmalloc_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zsmalloc_pool *pool = pool_;

	if (size - 1 >= pool->object_bytes_max)
		return size ? -ENOSPC : -EINVAL;
	unsigned int index = zsmalloc_class_index(pool, size);
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	if (!cache || pool->evict || (gfp & ZPOOL_GFP_ZERO) || !zp_biased_enter(&cache->biased))
		return malloc_searched(pool, index, gfp, handle);
	uint32_t handle_slot = zp_magazine_pop(&cache->magazines[index]);
	if (handle_slot != ZP_ITEM_NONE) {
		zp_cache_leave(cache);
		*handle = zp_handles_publish_bound(&pool->handles, handle_slot);
		return 0;
	}
	if (may_take_pending(cache, index, pool->geometries[index].borrow_end) &&
	    zp_handles_try_renew(&pool->handles, zp_cache_pending(cache), handle)) {
		zp_cache_set_pending(cache, ZP_ITEM_NONE);
		zp_cache_leave(cache);
		return 0;
	}
	zp_cache_leave(cache);
	return malloc_searched(pool, index, gfp, handle);
}

/* ------------------------------------------------------------------------------------------------------------------
 * free
 */

/*
 * Puts a slot into the thread's cache.  If that is full, the oldest slots go back to the class first.  If the cache
 * does not take the slot, the slot goes back, too.  Called with the class's lock held.
 */
static void cache_slot(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t handle_slot)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	uint32_t taken[ZP_MAGAZINE_ITEMS];
	unsigned int count = 0;
	bool cached = false;

	if (cache) {
		struct zp_magazine *magazine = &cache->magazines[class - pool->classes];
		unsigned int has = zp_magazine_count(magazine);

		magazine->max = (uint8_t)zsmalloc_cached_max(class);
		if (has >= magazine->max)
			count = zp_magazine_take(magazine, taken, has - magazine->max + ZSMALLOC_FLUSH_SLOTS);
		cached = zsmalloc_is_cacheable(zsmalloc_header(pool, zsmalloc_bound_zspage(pool, handle_slot))) &&
			 zp_magazine_push(magazine, handle_slot);
		zp_cache_leave(cache);
	}
	zsmalloc_slots_put(pool, class, taken, count);
	if (!cached)
		zsmalloc_slots_put(pool, class, &handle_slot, 1);
}

/*
 * Frees a slot under its class's lock.  `bound` is its handle slot, which is dead and has the slot's location, or
 * ZP_SLOT_NONE if that was retired.
 */
static NOINLINE int free_slow(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			      uint32_t bound)
{
	zp_lock(&class->lock);
	if (bound != ZP_SLOT_NONE)
		cache_slot(pool, class, bound);
	else
		zsmalloc_slot_put(pool, class, location, ZP_SLOT_NONE);
	/* If all used slots are cached, the class has no object, and its memory is released. */
	if (class->used_slots <= ZP_MAGAZINE_ITEMS && class->used_slots &&
	    class->used_slots == zsmalloc_cached_count(pool, class))
		zsmalloc_cached_put(pool, class);
	bool wants = zsmalloc_wants_compaction(pool, class);
	zsmalloc_class_unlock(pool, class);
	if (!zp_caches_own(&pool->caches))
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_FREE);
	if (wants)
		zsmalloc_compact_some(pool, class);
	return 0;
}

/* Completes the free of an object whose slot cannot become the cache's pending one. */
static NOINLINE int free_uncached(struct zsmalloc_pool *pool, uint32_t handle_slot)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);
	struct zsmalloc_class *class = zsmalloc_class(pool, zsmalloc_header(pool, zsmalloc_location_zspage(location)));

	return free_slow(pool, class, location,
			 zp_handles_end_free(&pool->handles, handle_slot) ? handle_slot : ZP_SLOT_NONE);
}

/* Frees an object that is mapped or being moved, or refuses the handle. */
static NOINLINE int free_contended(struct zsmalloc_pool *pool, unsigned long handle)
{
	uint32_t handle_slot;
	uint64_t location;

	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);
	return err ? zp_counts_refused(&pool->counts, err) : free_uncached(pool, handle_slot);
}

/*
 * Makes the freed slot the cache's pending one, and completes the free of the previous pending slot.  That needs the
 * location in the previous handle's word, which is usually a cache miss when an object is freed and has arrived by now.
 */
static inline int free_in(struct zsmalloc_pool *pool, struct zp_cache *cache, uint32_t handle_slot, uint64_t location)
{
	if (!zp_biased_enter(&cache->biased))
		return free_uncached(pool, handle_slot);
	uint32_t previous = zp_cache_pending(cache);
	const struct zsmalloc_header *header = zsmalloc_header(pool, zsmalloc_location_zspage(location));
	if (!zsmalloc_is_cacheable(header)) {
		zp_cache_leave(cache);
		return free_uncached(pool, handle_slot);
	}
	zp_cache_set_pending(cache, handle_slot);
	cache->pending_class = atomic_load_explicit(&header->class_index, memory_order_relaxed);
	if (previous == ZP_ITEM_NONE) {
		zp_cache_leave(cache);
		return 0;
	}
	uint64_t previous_location = zp_handles_location(&pool->handles, previous);
	const struct zsmalloc_header *previous_header =
		zsmalloc_header(pool, zsmalloc_location_zspage(previous_location));
	unsigned int index = atomic_load_explicit(&previous_header->class_index, memory_order_relaxed);
	/* The class's next object will get this slot, and the program will write to it. */
	__builtin_prefetch(zsmalloc_slot_address(previous_header, zsmalloc_location_slot(previous_location)), 1);
	if (!zp_handles_try_end_free(&pool->handles, previous)) {
		zp_cache_leave(cache);
		return free_uncached(pool, previous);
	}
	bool cached = zp_magazine_push(&cache->magazines[index], previous);
	zp_cache_leave(cache);
	return cached ? 0 : free_slow(pool, &pool->classes[index], previous_location, previous);
}

/* Does the same for a thread whose cache must be searched for, or that has none. */
static NOINLINE int free_searched(struct zsmalloc_pool *pool, uint32_t handle_slot, uint64_t location)
{
	struct zp_cache *cache = zp_caches_own(&pool->caches);

	return cache ? free_in(pool, cache, handle_slot, location) : free_uncached(pool, handle_slot);
}

int zsmalloc_free(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	uint32_t handle_slot = zp_handle_slot(handle);
	uint64_t location;

	if (!zp_handles_try_begin_free(&pool->handles, handle, &location))
		return free_contended(pool, handle);
	if (!cache)
		return free_searched(pool, handle_slot, location);
	return free_in(pool, cache, handle_slot, location);
}

/* ------------------------------------------------------------------------------------------------------------------
 * map and unmap
 */

static NOINLINE void *map_slow(struct zsmalloc_pool *pool, unsigned long handle)
{
	uint64_t location;

	int err = zp_handles_pin(&pool->handles, handle, &location);
	/*
	 * The object is pinned exclusively.  While the caches are stopped, no owner is between the load and the store
	 * that end such a pin, so the pin can be made an ordinary one.
	 */
	while (err == -EAGAIN) {
		zp_caches_stop(&pool->caches);
		zp_handles_share(&pool->handles, handle);
		zp_caches_resume(&pool->caches);
		err = zp_handles_pin(&pool->handles, handle, &location);
	}
	if (!err)
		return zsmalloc_address(pool, location);
	errno = -err;
	return NULL;
}

void *zsmalloc_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location;

	/* An object that is mapped for writing only is usually new, so that no other thread maps it yet. */
	if (mode == ZPOOL_MM_WO && !zp_is_single_threaded() &&
	    zp_handles_begin_exclusive(&pool->handles, handle, &location))
		return zsmalloc_address(pool, location);
	if (!zp_handles_try_pin(&pool->handles, handle, &location))
		return map_slow(pool, handle);
	return zsmalloc_address(pool, location);
}

/* Unmaps an object that is pinned exclusively, or refuses the handle. */
static NOINLINE int unmap_exclusive(struct zsmalloc_pool *pool, unsigned long handle)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);

	if (cache) {
		bool ended = zp_handles_end_exclusive(&pool->handles, handle);
		zp_cache_leave(cache);
		if (ended)
			return 0;
	}
	return zp_handles_unpin_slow(&pool->handles, handle);
}

int zsmalloc_unmap(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_handles_try_unpin(&pool->handles, handle) ? 0 : unmap_exclusive(pool, handle);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Sizes and walks
 */

int64_t zsmalloc_obj_size(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location, before = UINT64_MAX;
	uint32_t bytes = 0;

	/* The object may move meanwhile.  What was read about its location is true if it is still there afterwards. */
	for (;;) {
		int err = zp_handles_lookup(&pool->handles, handle, &location);
		if (err)
			return err;
		if (location == before)
			return bytes;
		before = location;
		/*
		 * A record that was freed meanwhile has no class; then the next lookup finds another location, or
		 * fails.
		 */
		const struct zsmalloc_header *header = zsmalloc_header(pool, zsmalloc_location_zspage(location));
		uint16_t index = atomic_load_explicit(&header->class_index, memory_order_relaxed);
		bytes = index < pool->class_count ? pool->geometries[index].slot_bytes : 0;
	}
}

int zsmalloc_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_each_object(&pool->handles, zsmalloc_obj_size, pool, fn, user);
}
