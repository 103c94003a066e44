/* SPDX-License-Identifier: MIT
 *
 * zbud_objects.c - the calls about one object: malloc, free, map, unmap
 *
 * The fast paths of malloc and free use the thread's cache alone.  Everything else is in functions that are not inlined
 * and called last, so that the fast paths save no registers for them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zbud.h"

#define NOINLINE __attribute__((noinline))

static inline char *address_of(struct zbud_pool *pool, uint64_t location)
{
	return (char *)zbud_page_at(pool, zbud_location_pgno(location)) +
	       zbud_location_chunk(location) * ZBUD_CHUNK_BYTES;
}

/* ---- malloc ---- */

static NOINLINE void zero_slot(struct zbud_pool *pool, uint32_t handle_slot)
{
	memset(address_of(pool, zp_handles_location(&pool->handles, handle_slot)), 0,
	       zbud_chunks_of(pool, handle_slot) * ZBUD_CHUNK_BYTES);
}

/* Stores an object in a slot that no other thread can see. */
static inline int publish(struct zbud_pool *pool, uint32_t handle_slot, zpool_gfp_t gfp, unsigned long *handle)
{
	if (gfp & ZPOOL_GFP_ZERO)
		zero_slot(pool, handle_slot);
	*handle = zp_handles_publish_bound(&pool->handles, handle_slot);
	return 0;
}

/*
 * Takes a slot from the thread's cache: the slot that the thread freed last, unless it has another size or its handle
 * slot is in its last generation, which the thread's next free retires; otherwise one from the size's magazine.  The
 * caller has entered the cache as its owner.
 */
static inline uint32_t take_cached(struct zbud_pool *pool, struct zp_cache *cache, unsigned int chunks)
{
	uint32_t pending = zp_cache_pending(cache);

	if (pending == ZP_ITEM_NONE || zbud_chunks_of(pool, pending) != chunks ||
	    !zp_handles_try_end_free(&pool->handles, pending))
		return zp_magazine_pop(&cache->magazines[chunks]);
	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	return pending;
}

/*
 * In pools that evict: takes a slot from the thread's cache and makes its page the youngest.  The caller holds the
 * lock.
 */
static uint32_t take_cached_and_touch(struct zbud_pool *pool, unsigned int chunks)
{
	struct zp_cache *cache = zp_caches_enter(&pool->caches);
	uint32_t handle_slot;

	if (!cache)
		return ZP_ITEM_NONE;
	handle_slot = take_cached(pool, cache, chunks);
	zp_cache_leave(cache);
	if (handle_slot != ZP_ITEM_NONE)
		zbud_page_touch(
			pool, zbud_page_at(pool, zbud_location_pgno(zp_handles_location(&pool->handles, handle_slot))));
	return handle_slot;
}

static bool has_cached(const struct zbud_pool *pool)
{
	return atomic_load_explicit(&pool->has_cached, memory_order_relaxed);
}

/* Sets *adopts to true if the thread should get a cache. */
static int malloc_waiting(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, uint32_t *slot, bool *adopts)
{
	struct zbud_page *page;
	uint32_t pgno;
	int err = zp_handles_bind(&pool->handles, gfp, slot, 1);

	if (err < 0)
		return err;
	zp_lock(&pool->lock);
	page = zbud_page_find(pool, chunks);
	if (!page) {
		zp_unlock(&pool->lock);
		err = zp_pages_get(&pool->pages, 1, gfp, &pgno);
		if (err) {
			zp_handles_unbind(&pool->handles, slot, 1);
			return err;
		}
		page = zbud_page_init(pool, pgno);
		zp_lock(&pool->lock);
	}
	zbud_page_put_object(pool, page, chunks, *slot);
	*adopts = zbud_cached_max(pool, chunks) && !zp_caches_own(&pool->caches);
	zp_unlock(&pool->lock);
	return 0;
}

/* Waits for frees that took slots out of their magazines before this one could.  The caller holds room_lock. */
static void wait_for_flushes(struct zbud_pool *pool)
{
	unsigned int round;

	zp_lock(&pool->lock);
	round = zp_flushes_turn(&pool->flushes);
	zp_unlock(&pool->lock);
	zp_flushes_wait(&pool->flushes, round);
}

void zbud_drop_kept(struct zbud_pool *pool)
{
	uint32_t spare_slot;
	uint64_t ignored;

	zp_lock(&pool->room_lock);
	zp_lock(&pool->lock);
	spare_slot = pool->spare_slot;
	pool->spare_slot = ZP_SLOT_NONE;
	zp_unlock(&pool->lock);
	if (spare_slot != ZP_SLOT_NONE)
		zp_handles_unbind(&pool->handles, &spare_slot, 1);
	if (!pool->evict || has_cached(pool))
		zbud_cached_put(pool);
	zp_caches_trim(&pool->caches);
	zp_handles_trim(&pool->handles, &ignored);
	wait_for_flushes(pool);
	zp_unlock(&pool->room_lock);
}

static int malloc_nowait(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, uint32_t *slot)
{
	struct zbud_page *page;
	uint32_t pgno;
	int err = 0;

	if (!zp_trylock(&pool->lock))
		return -EAGAIN;
	*slot = pool->evict ? take_cached_and_touch(pool, chunks) : ZP_ITEM_NONE;
	if (*slot != ZP_ITEM_NONE) {
		zp_unlock(&pool->lock);
		return 0;
	}
	*slot = pool->spare_slot;
	if (*slot == ZP_SLOT_NONE)
		err = zp_handles_bind(&pool->handles, gfp, slot, 1);
	if (err < 0) {
		zp_unlock(&pool->lock);
		return err;
	}
	page = zbud_page_find(pool, chunks);
	err = page ? 0 : zp_pages_get(&pool->pages, 1, gfp, &pgno);
	/* Returning the slot to the handle table could block, so the pool keeps it for the next such call. */
	pool->spare_slot = err ? *slot : ZP_SLOT_NONE;
	if (!err)
		zbud_page_put_object(pool, page ? page : zbud_page_init(pool, pgno), chunks, *slot);
	zp_unlock(&pool->lock);
	return err;
}

/*
 * Stores an object in a slot that the thread caches, in a pool that evicts.  Returns false if it caches none of the
 * size.
 */
static bool malloc_cached(struct zbud_pool *pool, unsigned int chunks, uint32_t *slot)
{
	if (!pool->evict || !has_cached(pool))
		return false;
	zp_lock(&pool->lock);
	*slot = take_cached_and_touch(pool, chunks);
	zp_unlock(&pool->lock);
	return *slot != ZP_ITEM_NONE;
}

static NOINLINE int malloc_slow(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, adopts = false;
	uint32_t slot = ZP_SLOT_NONE;
	int err = 0;

	if (nowait)
		err = malloc_nowait(pool, chunks, gfp, &slot);
	else if (!malloc_cached(pool, chunks, &slot))
		err = malloc_waiting(pool, chunks, gfp, &slot, &adopts);
	if (err == -ENOMEM && !nowait) {
		zbud_drop_kept(pool);
		/* Even if nothing was kept: another thread may have released it while this one waited for it. */
		err = malloc_waiting(pool, chunks, gfp, &slot, &adopts);
	}
	if (err)
		return zp_counts_malloc_failed(&pool->counts, err,
					       !nowait && refusals != zp_pages_limit_refusals(&pool->pages));
	(void)publish(pool, slot, gfp, handle);
	/* The thread gets its cache here and not at its first free, because a free should not make the pool larger. */
	if (adopts)
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_MALLOC);
	return 0;
}

/* Stores an object, in a slot that the thread caches if possible; cache is NULL if the thread has none. */
static inline int malloc_in(struct zbud_pool *pool, struct zp_cache *cache, unsigned int chunks, zpool_gfp_t gfp,
			    unsigned long *handle)
{
	uint32_t handle_slot;

	if (!cache || !zp_biased_enter(&cache->biased))
		return malloc_slow(pool, chunks, gfp, handle);
	handle_slot = take_cached(pool, cache, chunks);
	zp_cache_leave(cache);
	if (handle_slot == ZP_ITEM_NONE)
		return malloc_slow(pool, chunks, gfp, handle);
	return publish(pool, handle_slot, gfp, handle);
}

/* Does the same for a thread whose cache must be looked up first, and in pools that evict. */
static NOINLINE int malloc_searched(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	return malloc_in(pool, pool->evict ? NULL : zp_caches_own(&pool->caches), chunks, gfp, handle);
}

int zbud_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zbud_pool *pool = pool_;
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	unsigned int chunks;

	if (size - 1 >= ZBUD_OBJECT_BYTES_MAX)
		return size ? -ENOSPC : -EINVAL;
	chunks = (unsigned int)((size + ZBUD_CHUNK_BYTES - 1) >> ZBUD_CHUNK_SHIFT);
	if (!cache || pool->evict)
		return malloc_searched(pool, chunks, gfp, handle);
	return malloc_in(pool, cache, chunks, gfp, handle);
}

/* ---- free ---- */

/* Frees a slot that the cache did not take.  begun is true if the free of its handle slot is not complete yet. */
static NOINLINE int free_slow(struct zbud_pool *pool, uint32_t handle_slot, bool begun)
{
	struct zbud_freed freed = { 0 };

	zp_lock(&pool->lock);
	if (pool->evict)
		handle_slot = zbud_slot_make_pending(pool, handle_slot);
	if (handle_slot != ZP_SLOT_NONE) {
		if (begun && !zp_handles_try_end_free(&pool->handles, handle_slot))
			zbud_slot_put(pool, handle_slot, true, &freed);
		else
			zbud_slot_cache(pool, handle_slot, &freed);
	}
	zbud_flush_begin(pool, &freed);
	zp_unlock(&pool->lock);
	zbud_give_back(pool, &freed);
	if (!zp_caches_own(&pool->caches))
		zp_caches_adopt(&pool->caches, ZP_ADOPT_AFTER_FREE);
	return 0;
}

/* Handles the free of a mapped object or of an invalid handle. */
static NOINLINE int free_contended(struct zbud_pool *pool, unsigned long handle)
{
	uint32_t handle_slot;
	uint64_t location;
	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);

	return err ? zp_counts_refused(&pool->counts, err) : free_slow(pool, handle_slot, true);
}

/* Makes the slot the thread's pending one, and moves the slot that was freed before it into its magazine. */
static inline int free_in(struct zbud_pool *pool, struct zp_cache *cache, uint32_t handle_slot)
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
		cached = zp_magazine_push(&cache->magazines[zbud_chunks_of(pool, before)], before);
	zp_cache_leave(cache);
	return cached ? 0 : free_slow(pool, before, begun);
}

/* Does the same for a thread that has no cache or must look it up first, and in pools that evict. */
static NOINLINE int free_searched(struct zbud_pool *pool, uint32_t handle_slot)
{
	struct zp_cache *cache = pool->evict ? NULL : zp_caches_own(&pool->caches);

	return cache ? free_in(pool, cache, handle_slot) : free_slow(pool, handle_slot, true);
}

int zbud_free(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;
	struct zp_cache *cache = zp_caches_own_at_hand(&pool->caches);
	uint64_t location;

	if (!zp_handles_try_begin_free(&pool->handles, handle, &location))
		return free_contended(pool, handle);
	if (!cache || pool->evict)
		return free_searched(pool, zp_handle_slot(handle));
	return free_in(pool, cache, zp_handle_slot(handle));
}

/* ---- map and unmap ---- */

void *zbud_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zbud_pool *pool = pool_;
	uint64_t location;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (!err)
		return address_of(pool, location);
	errno = -err;
	return NULL;
}

int zbud_unmap(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

/* ---- sizes of objects, and the walk over all of them ---- */

int64_t zbud_obj_size(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;
	uint64_t location;
	int64_t size;

	/* An object that is live while the lock is held keeps its page until the lock is released. */
	zp_lock(&pool->lock);
	size = zp_handles_lookup(&pool->handles, handle, &location);
	if (size == 0) {
		struct zbud_page *page = zbud_page_at(pool, zbud_location_pgno(location));

		size = page->chunks[zbud_location_buddy(location)] * ZBUD_CHUNK_BYTES;
	}
	zp_unlock(&pool->lock);
	return size;
}

int zbud_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zbud_pool *pool = pool_;

	return zp_each_object(&pool->handles, zbud_obj_size, pool, fn, user);
}
