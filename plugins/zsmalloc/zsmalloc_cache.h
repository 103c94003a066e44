/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_cache.h - caches of threads: the places of freed objects that threads keep for their next ones
 */
#ifndef ZSMALLOC_CACHE_H
#define ZSMALLOC_CACHE_H

#include "zsmalloc.h"

/* The calling thread, by an address of its own; a thread-local variable of a plugin would cost a call. */
static inline uintptr_t zsmalloc_thread(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	return (uintptr_t)__builtin_thread_pointer();
#else
	return (uintptr_t)&errno;
#endif
}

/* Where its seat is in the table, or would be if nobody else's were there; of addresses that differ in few bits. */
static inline unsigned int zsmalloc_seat_index(uintptr_t thread)
{
	return (unsigned int)((uint32_t)(thread >> 6) * UINT32_C(0x9e3779b1) >> (32 - ZSMALLOC_SEAT_SHIFT));
}

/* The list is walked under the lock of any class. */
static inline struct zsmalloc_cache *zsmalloc_caches(struct zsmalloc_pool *pool)
{
	return atomic_load_explicit(&pool->cache_list, memory_order_acquire);
}

/* The calling thread's cache, or NULL: it has none yet, or there is no seat for it. */
struct zsmalloc_cache *zsmalloc_cache_find(struct zsmalloc_pool *pool, uintptr_t thread);

static inline struct zsmalloc_cache *zsmalloc_cache(struct zsmalloc_pool *pool)
{
	uintptr_t thread = zsmalloc_thread();
	struct zsmalloc_seat *seat = &pool->seats[zsmalloc_seat_index(thread)];
	uintptr_t owner = atomic_load_explicit(&seat->owner, memory_order_relaxed);

	if (owner == thread)
		return atomic_load_explicit(&seat->cache, memory_order_acquire);
	return owner ? zsmalloc_cache_find(pool, thread) : NULL;
}

static inline struct zsmalloc_bin *zsmalloc_bin(const struct zsmalloc_pool *pool, struct zsmalloc_cache *cache,
						const struct zsmalloc_class *class)
{
	return &cache->bins[class - pool->classes];
}

/* With the cache's lock held: the place that was put last, for the caller.  false: there is none. */
static inline bool zsmalloc_bin_get(struct zsmalloc_bin *bin, uint32_t *handle_slot)
{
	unsigned int count = atomic_load_explicit(&bin->count, memory_order_relaxed);

	if (count == 0)
		return false;
	*handle_slot = bin->kept[count - 1];
	atomic_store_explicit(&bin->count, (uint8_t)(count - 1), memory_order_relaxed);
	return true;
}

/* Likewise a place that is kept from now on.  false: there are enough. */
static inline bool zsmalloc_bin_put(struct zsmalloc_bin *bin, uint32_t handle_slot)
{
	unsigned int count = atomic_load_explicit(&bin->count, memory_order_relaxed);

	if (count >= bin->max)
		return false;
	bin->kept[count] = handle_slot;
	atomic_store_explicit(&bin->count, (uint8_t)(count + 1), memory_order_relaxed);
	return true;
}

/* The zspage of a place that is kept; with the lock of the cache, or of the class, that has it. */
static inline uint32_t zsmalloc_kept_zspage(struct zsmalloc_pool *pool, uint32_t handle_slot)
{
	return zsmalloc_location_zspage(zp_handles_kept_location(&pool->handles, handle_slot));
}

/* Likewise: is the place that the cache's thread freed last of that class? */
static inline bool zsmalloc_is_fresh(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache,
				     const struct zsmalloc_class *class)
{
	uint32_t fresh = atomic_load_explicit(&cache->fresh, memory_order_relaxed);

	return fresh != ZP_SLOT_NONE &&
	       zsmalloc_class(pool, zsmalloc_home(pool, zsmalloc_kept_zspage(pool, fresh))) == class;
}

/* If it is, it is the caller's. */
static inline bool zsmalloc_fresh_get(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache,
				      const struct zsmalloc_class *class, uint32_t *handle_slot)
{
	if (!zsmalloc_is_fresh(pool, cache, class))
		return false;
	*handle_slot = atomic_load_explicit(&cache->fresh, memory_order_relaxed);
	atomic_store_explicit(&cache->fresh, ZP_SLOT_NONE, memory_order_relaxed);
	zp_handles_renew(&pool->handles, *handle_slot);
	return true;
}

/* Have the calling thread have a cache, if there is memory and a seat for it.  Without a lock. */
void zsmalloc_cache_adopt(struct zsmalloc_pool *pool);
void zsmalloc_caches_fini(struct zsmalloc_pool *pool);

/* Give back the caches of threads that have ended, if they keep nothing.  Without a lock. */
void zsmalloc_caches_trim(struct zsmalloc_pool *pool);

/* Every cache's lock, around fork(); in the child only the calling thread is left to have one. */
void zsmalloc_caches_lock(struct zsmalloc_pool *pool);
void zsmalloc_caches_unlock(struct zsmalloc_pool *pool, bool child);

/* The rest with the class's lock held.  How many places of the class are kept, in all caches. */
uint32_t zsmalloc_kept_count(struct zsmalloc_pool *pool, const struct zsmalloc_class *class);

/* Have a cache that keeps none get half of what another has.  Without a cache's lock.  false: nobody has enough. */
bool zsmalloc_kept_steal(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_cache *cache);

/* Have a cache keep a few places that are the caller's.  Without a cache's lock. */
void zsmalloc_kept_store(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_cache *cache,
			 const uint32_t *handle_slots, unsigned int count);

/* How many a cache may keep, as the class is now. */
uint8_t zsmalloc_kept_max(const struct zsmalloc_class *class);

/*
 * Give the places of a class that caches keep free.  Zspages that are empty then go on a chain (through next), for
 * zsmalloc_zspages_destroy() without the lock.
 */
void zsmalloc_kept_release(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *emptied);

/*
 * Only those in one zspage, which stays on its lists even if it is empty then.  Of a zspage that is on none, no place
 * is kept from then on.
 */
void zsmalloc_kept_release_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/*
 * Have the thread's cache keep a place that is in nobody's hands, in the stead of older ones if it must; without a
 * cache, or in a zspage under reclaim, it is free.
 */
void zsmalloc_kept_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t handle_slot,
		       uint32_t *emptied);

#endif
