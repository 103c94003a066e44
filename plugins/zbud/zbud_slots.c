/* SPDX-License-Identifier: MIT
 *
 * zbud_slots.c - slots whose objects were freed: which of them threads cache, and how the others are released
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zbud.h"

void zbud_slot_put(struct zbud_pool *pool, uint32_t handle_slot, bool is_spent, struct zbud_freed *freed)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);

	if (zbud_page_drop_object(pool, location))
		freed->pages[freed->page_count++] = zbud_location_pgno(location);
	if (is_spent)
		freed->spent[freed->spent_count++] = handle_slot;
	else
		freed->slots[freed->slot_count++] = handle_slot;
}

static void slots_put(struct zbud_pool *pool, const uint32_t *handle_slots, unsigned int count,
		      struct zbud_freed *freed)
{
	for (unsigned int i = 0; i < count; i++)
		zbud_slot_put(pool, handle_slots[i], false, freed);
}

void zbud_flush_begin(struct zbud_pool *pool, struct zbud_freed *freed)
{
	freed->is_flush = freed->page_count || freed->slot_count;
	if (freed->is_flush)
		freed->flush_round = zp_flush_begin(&pool->flushes);
}

void zbud_give_back(struct zbud_pool *pool, const struct zbud_freed *freed)
{
	for (unsigned int i = 0; i < freed->page_count; i++)
		zp_pages_put(&pool->pages, freed->pages[i], 1);
	if (freed->slot_count)
		zp_handles_unbind(&pool->handles, freed->slots, freed->slot_count);
	for (unsigned int i = 0; i < freed->spent_count; i++)
		zp_handles_retire(&pool->handles, freed->spent[i]);
	if (freed->is_flush)
		zp_flush_end(&pool->flushes, freed->flush_round);
}

unsigned int zbud_cached_max(const struct zbud_pool *pool, unsigned int chunks)
{
	uint32_t used = pool->used_slots[chunks], share = ZBUD_CACHED_MIN + used / ZBUD_CACHED_SHARE;

	if (used < ZBUD_CACHED_FROM_SLOTS)
		return 0;
	return share < ZP_MAGAZINE_ITEMS ? share : ZP_MAGAZINE_ITEMS;
}

static bool is_under_reclaim(struct zbud_pool *pool, uint32_t handle_slot)
{
	return zbud_page_at(pool, zbud_location_pgno(zp_handles_location(&pool->handles, handle_slot)))->under_reclaim;
}

uint32_t zbud_slot_make_pending(struct zbud_pool *pool, uint32_t handle_slot)
{
	struct zp_cache *cache = is_under_reclaim(pool, handle_slot) ? NULL : zp_caches_enter(&pool->caches);
	uint32_t before = handle_slot;

	if (cache) {
		before = zp_cache_pending(cache);
		zp_cache_set_pending(cache, handle_slot);
		zp_cache_leave(cache);
		atomic_store_explicit(&pool->has_cached, true, memory_order_relaxed);
	}
	return before;
}

void zbud_slot_cache(struct zbud_pool *pool, uint32_t handle_slot, struct zbud_freed *freed)
{
	unsigned int chunks = zbud_chunks_of(pool, handle_slot), count = 0;
	struct zp_cache *cache = is_under_reclaim(pool, handle_slot) ? NULL : zp_caches_enter(&pool->caches);
	uint32_t taken[ZP_MAGAZINE_ITEMS];
	bool cached = false;

	if (cache) {
		struct zp_magazine *magazine = &cache->magazines[chunks];
		unsigned int has = zp_magazine_count(magazine);

		magazine->max = (uint8_t)zbud_cached_max(pool, chunks);
		if (has >= magazine->max)
			count = zp_magazine_take(magazine, taken, has - magazine->max + ZBUD_FLUSH_SLOTS);
		cached = zp_magazine_push(magazine, handle_slot);
		zp_cache_leave(cache);
	}
	slots_put(pool, taken, count, freed);
	if (!cached)
		zbud_slot_put(pool, handle_slot, false, freed);
}

/* ---- all caches ---- */

/*
 * In pools that evict, threads use their caches with the pool's lock held, so while the caller holds it, no other
 * thread is inside its cache.
 */
static void stop_owners(struct zbud_pool *pool)
{
	if (pool->evict)
		zp_lock(&pool->caches.lock);
	else
		zp_caches_stop(&pool->caches);
}

static void resume_owners(struct zbud_pool *pool)
{
	if (pool->evict)
		zp_unlock(&pool->caches.lock);
	else
		zp_caches_resume(&pool->caches);
}

void zbud_cached_counts(struct zbud_pool *pool, uint32_t counts[ZBUD_PAGE_CHUNKS])
{
	for (unsigned int chunks = 0; chunks < ZBUD_PAGE_CHUNKS; chunks++)
		counts[chunks] = 0;
	zp_lock(&pool->caches.lock);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next) {
		/* The page stays while the lock is held, even if the cache's owner reuses the slot. */
		uint32_t pending = zp_cache_pending(cache);

		if (pending != ZP_ITEM_NONE)
			counts[zbud_chunks_of(pool, pending)]++;
		for (unsigned int chunks = 1; chunks < ZBUD_MAGAZINES; chunks++)
			counts[chunks] += zp_magazine_count(&cache->magazines[chunks]);
	}
	zp_unlock(&pool->caches.lock);
	/* The count may include a slot twice while its owner moves it from pending into its magazine. */
	for (unsigned int chunks = 0; chunks < ZBUD_PAGE_CHUNKS; chunks++)
		if (counts[chunks] > pool->used_slots[chunks])
			counts[chunks] = pool->used_slots[chunks];
}

/* Frees the pending slot of the caller's own cache or of one that is stopped. */
static void put_pending(struct zbud_pool *pool, struct zp_cache *cache, struct zbud_freed *freed)
{
	uint32_t pending = zp_cache_pending(cache);

	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	if (pending != ZP_ITEM_NONE)
		zbud_slot_put(pool, pending, !zp_handles_try_end_free(&pool->handles, pending), freed);
}

/* Frees the slots of one size in the caller's own cache or in one that is stopped. */
static void empty_magazine(struct zbud_pool *pool, struct zp_cache *cache, unsigned int chunks,
			   struct zbud_freed *freed)
{
	uint32_t taken[ZP_MAGAZINE_ITEMS];

	/* The owner computes the limit again when its magazine next rejects a slot. */
	cache->magazines[chunks].max = 0;
	slots_put(pool, taken, zp_magazine_take(&cache->magazines[chunks], taken, ZP_MAGAZINE_ITEMS), freed);
}

/*
 * Returns the first cache that has slots of the size, or a pending slot if the size is 0.  Returns NULL if there is
 * none.
 */
static struct zp_cache *find_cached(const struct zbud_pool *pool, unsigned int chunks)
{
	struct zp_cache *cache = pool->caches.first;

	while (cache &&
	       !(chunks ? zp_magazine_count(&cache->magazines[chunks]) : zp_cache_pending(cache) != ZP_ITEM_NONE))
		cache = cache->next;
	return cache;
}

/* Frees one cache's slots of one size, the first size from *chunks on.  Returns false if there are none. */
static bool put_some(struct zbud_pool *pool, unsigned int *chunks)
{
	struct zbud_freed freed = { 0 };
	struct zp_cache *cache = NULL;

	zp_lock(&pool->lock);
	stop_owners(pool);
	/* A concurrent free that caches a slot sets the flag again. */
	if (*chunks == 0)
		atomic_store_explicit(&pool->has_cached, false, memory_order_relaxed);
	while (*chunks < ZBUD_MAGAZINES && !(cache = find_cached(pool, *chunks)))
		++*chunks;
	if (cache && *chunks)
		empty_magazine(pool, cache, *chunks, &freed);
	else if (cache)
		put_pending(pool, cache, &freed);
	resume_owners(pool);
	zp_unlock(&pool->lock);
	zbud_give_back(pool, &freed);
	return cache != NULL;
}

static void put_all(struct zbud_pool *pool)
{
	unsigned int chunks = 0;

	while (put_some(pool, &chunks))
		continue;
}

void zbud_cached_put(struct zbud_pool *pool)
{
	if (pool->evict) {
		put_all(pool);
		return;
	}
	zp_caches_hold(&pool->caches);
	put_all(pool);
	zp_caches_release(&pool->caches);
}

void zbud_cache_empty(void *pool_, struct zp_cache *cache)
{
	struct zbud_pool *pool = pool_;

	zp_lock(&pool->room_lock);
	for (unsigned int chunks = 0; chunks < ZBUD_MAGAZINES; chunks++) {
		struct zbud_freed freed = { 0 };

		zp_lock(&pool->lock);
		/*
		 * The cache's owner is the calling thread, so the lock suffices to keep other threads out of the cache.
		 */
		zp_lock(&pool->caches.lock);
		if (chunks)
			empty_magazine(pool, cache, chunks, &freed);
		else
			put_pending(pool, cache, &freed);
		zp_unlock(&pool->caches.lock);
		zp_unlock(&pool->lock);
		zbud_give_back(pool, &freed);
	}
	zp_unlock(&pool->room_lock);
}

/* ---- one page ---- */

static void take_slot(struct zbud_pool *pool, struct zp_cache *cache, unsigned int chunks, uint32_t handle_slot,
		      struct zbud_freed *freed)
{
	struct zp_magazine *magazine = &cache->magazines[chunks];
	unsigned int count = zp_magazine_count(magazine), kept = 0;

	if (zp_cache_pending(cache) == handle_slot)
		put_pending(pool, cache, freed);
	for (unsigned int i = 0; i < count; i++)
		if (magazine->items[i] != handle_slot)
			magazine->items[kept++] = magazine->items[i];
	zp_magazine_set_count(magazine, kept);
	if (kept < count)
		zbud_slot_put(pool, handle_slot, false, freed);
}

void zbud_cached_put_in(struct zbud_pool *pool, const struct zbud_page *page, struct zbud_freed *freed)
{
	stop_owners(pool);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next)
		for (unsigned int i = 0; i < ZBUD_BUDDIES; i++)
			if (page->chunks[i])
				take_slot(pool, cache, page->chunks[i], page->handle_slots[i], freed);
	resume_owners(pool);
}
