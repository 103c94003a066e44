/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_cache.c - the places of freed objects that threads keep for their next ones
 *
 * A thread gets a cache when it first stores or frees an object in a class that has some: one whose thread has ended,
 * or a new one, which stays until the pool ends.  On its way out the thread empties it.  Everything that must know
 * which slots are free empties it too, class by class.
 *
 * How much is kept follows the class: a bin learns its bound whenever its thread comes by the class's lock, and of its
 * places the oldest go first.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zsmalloc.h"

enum { PROBES = 8 };          /* places of the table in which a thread's cache may be */
enum { KEPT_FROM_SLOTS = 3 }; /* a class of fewer slots in use keeps none, lest it keep more than it holds */

/* ------------------------------------------------------------------------------------------------------------------
 * A cache's life
 */

static size_t cache_bytes(const struct zsmalloc_pool *pool)
{
	size_t bytes = sizeof(struct zsmalloc_cache) + pool->class_count * sizeof(struct zsmalloc_bin);

	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static struct zsmalloc_cache *cache_at(struct zsmalloc_pool *pool, unsigned int index)
{
	return atomic_load_explicit(&pool->caches[index % ZSMALLOC_CACHES], memory_order_acquire);
}

static unsigned int bin_count(const struct zsmalloc_bin *bin)
{
	return atomic_load_explicit(&bin->count, memory_order_relaxed);
}

/* With record_lock held. */
static struct zsmalloc_cache *make(struct zsmalloc_pool *pool)
{
	struct zsmalloc_cache *cache = zp_pages_meta_reserve(&pool->pages, cache_bytes(pool));

	if (!cache)
		return NULL;
	if (zp_pages_meta_commit(&pool->pages, cache, cache_bytes(pool), ZPOOL_GFP_KERNEL)) {
		zp_pages_meta_release(&pool->pages, cache, cache_bytes(pool), 0);
		return NULL;
	}
	zp_lock_init(&cache->lock);
	cache->pool = pool;
	cache->next = zsmalloc_caches(pool);
	atomic_store_explicit(&pool->cache_list, cache, memory_order_release);
	return cache;
}

/* Takes up to `wanted` places, those kept longest.  With the cache's lock held. */
static unsigned int bin_take(struct zsmalloc_bin *bin, uint32_t *taken, unsigned int wanted)
{
	unsigned int count = bin_count(bin);

	if (wanted > count)
		wanted = count;
	memcpy(taken, bin->kept, wanted * sizeof *taken);
	memmove(bin->kept, bin->kept + wanted, (count - wanted) * sizeof *taken);
	atomic_store_explicit(&bin->count, (uint8_t)(count - wanted), memory_order_relaxed);
	return wanted;
}

/* Places that were taken are free from now on, and their slots of the handle table the class's or the table's. */
static void release_taken(struct zsmalloc_pool *pool, struct zsmalloc_class *class, const uint32_t *taken,
			  unsigned int count, uint32_t *emptied)
{
	for (unsigned int i = 0; i < count; i++) {
		uint64_t location = zp_handles_kept_location(&pool->handles, taken[i]);
		uint32_t number = zsmalloc_location_zspage(location);

		zsmalloc_slot_release(pool, class, number, zsmalloc_location_slot(location));
		if (emptied && zsmalloc_zspage(pool, number)->used_slots == 0)
			zsmalloc_zspage_retire(pool, class, number, emptied);
	}
	while (count > 0 && zsmalloc_bare_put(class, taken[count - 1]))
		count--;
	if (count)
		zp_handles_put(&pool->handles, taken, count);
}

/* Takes all places of a class; `taken` has room for one more than a bin.  With the cache's lock held. */
static unsigned int cache_take(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache,
			       const struct zsmalloc_class *class, uint32_t *taken)
{
	unsigned int count = bin_take(zsmalloc_bin(pool, cache, class), taken, ZSMALLOC_KEPT_MAX);

	return count + zsmalloc_fresh_get(pool, cache, class, &taken[count]);
}

/* When the thread ends that owns it. */
static void empty(void *cache_)
{
	struct zsmalloc_cache *cache = cache_;
	struct zsmalloc_pool *pool = cache->pool;
	uint32_t taken[ZSMALLOC_KEPT_MAX + 1];

	for (unsigned int i = 0; i < pool->class_count; i++) {
		struct zsmalloc_class *class = &pool->classes[i];
		uint32_t emptied = ZSMALLOC_NONE;

		zp_lock(&class->lock);
		zp_lock(&cache->lock);
		cache->bins[i].max = 0;
		unsigned int count = cache_take(pool, cache, class, taken);
		zp_unlock(&cache->lock);
		release_taken(pool, class, taken, count, &emptied);
		zp_unlock(&class->lock);
		zsmalloc_zspages_destroy(pool, emptied);
	}
	atomic_store_explicit(&cache->thread, 0, memory_order_release);
}

/*
 * The table is probed from a thread's index on.  A thread takes the first place that nobody has; where all have an
 * owner it shares the first.
 */
struct zsmalloc_cache *zsmalloc_cache_find(struct zsmalloc_pool *pool, uintptr_t thread)
{
	unsigned int first = zsmalloc_cache_index(thread);
	bool crowded = true;

	for (unsigned int i = 0; i < PROBES; i++) {
		struct zsmalloc_cache *cache = cache_at(pool, first + i);
		uintptr_t owner = cache ? atomic_load_explicit(&cache->thread, memory_order_relaxed) : 0;

		if (owner == thread)
			return cache;
		crowded &= owner != 0;
	}
	return crowded ? cache_at(pool, first) : NULL;
}

/* With record_lock held; NULL: there is no memory. */
static struct zsmalloc_cache *take_vacant(struct zsmalloc_pool *pool, uintptr_t thread)
{
	unsigned int index = zsmalloc_cache_index(thread);

	while (cache_at(pool, index) && atomic_load_explicit(&cache_at(pool, index)->thread, memory_order_acquire))
		index++;
	struct zsmalloc_cache *cache = cache_at(pool, index);
	if (!cache)
		cache = make(pool);
	if (!cache)
		return NULL;
	atomic_store_explicit(&cache->thread, thread, memory_order_relaxed);
	atomic_store_explicit(&pool->caches[index % ZSMALLOC_CACHES], cache, memory_order_release);
	return cache;
}

void zsmalloc_cache_adopt(struct zsmalloc_pool *pool)
{
	uintptr_t thread = zsmalloc_thread();

	if (atomic_load_explicit(&pool->cache_refused, memory_order_relaxed) || zsmalloc_cache_find(pool, thread))
		return;
	zp_lock(&pool->record_lock);
	/* Only a thread itself takes a place for itself, so it still has none, but others may have come. */
	struct zsmalloc_cache *cache = zsmalloc_cache_find(pool, thread) ? NULL : take_vacant(pool, thread);
	atomic_store_explicit(&pool->cache_refused, !cache && !zsmalloc_cache_find(pool, thread), memory_order_relaxed);
	zp_unlock(&pool->record_lock);
	if (cache && pool->host->thread_exit_add)
		(void)pool->host->thread_exit_add(pool->core, empty, cache);
}

void zsmalloc_caches_fini(struct zsmalloc_pool *pool)
{
	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool), *next; cache; cache = next) {
		next = cache->next;
		if (pool->host->thread_exit_cancel)
			pool->host->thread_exit_cancel(pool->core, empty, cache);
		zp_pages_meta_release(&pool->pages, cache, cache_bytes(pool), cache_bytes(pool));
	}
}

void zsmalloc_caches_lock(struct zsmalloc_pool *pool)
{
	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool); cache; cache = cache->next)
		zp_lock(&cache->lock);
}

void zsmalloc_caches_unlock(struct zsmalloc_pool *pool, bool child)
{
	uintptr_t thread = zsmalloc_thread();

	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool); cache; cache = cache->next) {
		/* What the others left there is for whoever has the cache next. */
		if (child && atomic_load_explicit(&cache->thread, memory_order_relaxed) != thread)
			atomic_store_explicit(&cache->thread, 0, memory_order_relaxed);
		zp_unlock(&cache->lock);
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * What caches keep of a class
 */

uint8_t zsmalloc_kept_max(const struct zsmalloc_class *class)
{
	uint32_t share = 1 + class->used_slots / ZSMALLOC_KEPT_SHARE;

	if (class->used_slots < KEPT_FROM_SLOTS)
		return 0;
	return (uint8_t)(share < ZSMALLOC_KEPT_MAX ? share : ZSMALLOC_KEPT_MAX);
}

uint32_t zsmalloc_kept_count(struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint32_t kept = 0;

	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool); cache; cache = cache->next) {
		zp_lock(&cache->lock);
		kept += bin_count(zsmalloc_bin(pool, cache, class)) + zsmalloc_is_fresh(pool, cache, class);
		zp_unlock(&cache->lock);
	}
	return kept;
}

void zsmalloc_kept_store(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_cache *cache,
			 const uint32_t *handle_slots, unsigned int count)
{
	struct zsmalloc_bin *bin = zsmalloc_bin(pool, cache, class);

	zp_lock(&cache->lock);
	unsigned int there = bin_count(bin), room = ZSMALLOC_KEPT_MAX - there;
	unsigned int moved = count < room ? count : room;
	memcpy(bin->kept + there, handle_slots, moved * sizeof *handle_slots);
	atomic_store_explicit(&bin->count, (uint8_t)(there + moved), memory_order_relaxed);
	zp_unlock(&cache->lock);
	/* Another thread shares the cache and has filled it meanwhile. */
	release_taken(pool, class, handle_slots + moved, count - moved, NULL);
}

bool zsmalloc_kept_steal(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_cache *cache)
{
	uint32_t taken[ZSMALLOC_KEPT_MAX + 1];
	unsigned int count = 0;

	for (struct zsmalloc_cache *other = zsmalloc_caches(pool); other && !count; other = other->next) {
		struct zsmalloc_bin *from = zsmalloc_bin(pool, other, class);

		if (other == cache || bin_count(from) == 0 || !zp_trylock(&other->lock))
			continue;
		count = bin_take(from, taken, (bin_count(from) + 1) / 2);
		zp_unlock(&other->lock);
	}
	if (!count)
		return false;
	zsmalloc_kept_store(pool, class, cache, taken, count);
	return true;
}

void zsmalloc_kept_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t handle_slot,
		       uint32_t *emptied)
{
	const struct zsmalloc_home *home = zsmalloc_home(pool, zsmalloc_kept_zspage(pool, handle_slot));
	struct zsmalloc_cache *cache = zsmalloc_cache(pool);
	uint32_t taken[ZSMALLOC_KEPT_MAX];
	unsigned int count = 0;

	if (!cache || !zsmalloc_home_is_listed(home)) {
		release_taken(pool, class, &handle_slot, 1, emptied);
		return;
	}
	struct zsmalloc_bin *bin = zsmalloc_bin(pool, cache, class);
	zp_lock(&cache->lock);
	bin->max = zsmalloc_kept_max(class);
	if (bin_count(bin) >= bin->max)
		count = bin_take(bin, taken, bin_count(bin) - bin->max + ZSMALLOC_KEPT_FLUSH);
	bool kept = zsmalloc_bin_put(bin, handle_slot);
	zp_unlock(&cache->lock);
	release_taken(pool, class, taken, count, emptied);
	if (!kept)
		release_taken(pool, class, &handle_slot, 1, emptied);
}

void zsmalloc_kept_release(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *emptied)
{
	uint32_t taken[ZSMALLOC_KEPT_MAX + 1];

	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool); cache; cache = cache->next) {
		if (bin_count(zsmalloc_bin(pool, cache, class)) == 0 &&
		    atomic_load_explicit(&cache->fresh, memory_order_relaxed) == ZP_SLOT_NONE)
			continue;
		zp_lock(&cache->lock);
		unsigned int count = cache_take(pool, cache, class, taken);
		zp_unlock(&cache->lock);
		release_taken(pool, class, taken, count, emptied);
	}
}

/* The same of those that lie in one zspage of the class. */
static unsigned int cache_take_in(struct zsmalloc_pool *pool, struct zsmalloc_cache *cache,
				  const struct zsmalloc_class *class, uint32_t number, uint32_t *taken)
{
	struct zsmalloc_bin *bin = zsmalloc_bin(pool, cache, class);
	uint32_t fresh = atomic_load_explicit(&cache->fresh, memory_order_relaxed);
	unsigned int count = bin_count(bin), stay = 0, go = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint32_t handle_slot = bin->kept[i];

		if (zsmalloc_kept_zspage(pool, handle_slot) == number)
			taken[go++] = handle_slot;
		else
			bin->kept[stay++] = handle_slot;
	}
	atomic_store_explicit(&bin->count, (uint8_t)stay, memory_order_relaxed);
	if (fresh != ZP_SLOT_NONE && zsmalloc_kept_zspage(pool, fresh) == number)
		go += zsmalloc_fresh_get(pool, cache, class, &taken[go]);
	return go;
}

void zsmalloc_kept_release_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	uint32_t taken[ZSMALLOC_KEPT_MAX + 1];

	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool); cache; cache = cache->next) {
		/* Even if it looks empty: whoever is just putting a place there took the zspage for a listed one. */
		zp_lock(&cache->lock);
		unsigned int count = cache_take_in(pool, cache, class, number, taken);
		zp_unlock(&cache->lock);
		release_taken(pool, class, taken, count, NULL);
	}
}
