/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_cache.c - the places of freed objects that threads keep for their next ones
 *
 * A thread gets a cache when it first stores or frees an object in a class that has some: one whose thread has ended,
 * or a new one.  On its way out the thread empties it, and it is there for the next thread; trim and compaction give
 * caches without a thread back.  Everything that must know which slots are free empties caches too, class by class.
 *
 * The table is probed from a thread's index on, and a thread takes the first seat without an owner.  Where a few in a
 * row have one, the thread goes without a cache and takes the classes' locks.
 *
 * How much is kept follows the class: a bin learns its bound whenever its thread comes by the class's lock, and of its
 * places the oldest go first.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zsmalloc.h"

enum { PROBES = 8 };          /* seats of the table that may be a thread's */
enum { KEPT_FROM_SLOTS = 3 }; /* a class of fewer slots in use keeps none, lest it keep more than it holds */

/* ------------------------------------------------------------------------------------------------------------------
 * A cache's life
 */

static size_t cache_bytes(const struct zsmalloc_pool *pool)
{
	size_t bytes = sizeof(struct zsmalloc_cache) + pool->class_count * sizeof(struct zsmalloc_bin);

	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
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
	class->frees += count;
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
	/* From here on the cache is another thread's, or gone. */
	atomic_store_explicit(&cache->seat->owner, ZSMALLOC_NOBODY, memory_order_release);
}

static struct zsmalloc_seat *seat_at(struct zsmalloc_pool *pool, unsigned int index)
{
	return &pool->seats[index % ZSMALLOC_SEATS];
}

static uintptr_t owner_of(struct zsmalloc_seat *seat)
{
	return atomic_load_explicit(&seat->owner, memory_order_acquire);
}

struct zsmalloc_cache *zsmalloc_cache_find(struct zsmalloc_pool *pool, uintptr_t thread)
{
	unsigned int first = zsmalloc_seat_index(thread);

	for (unsigned int i = 0; i < PROBES; i++) {
		struct zsmalloc_seat *seat = seat_at(pool, first + i);

		if (owner_of(seat) == thread)
			return atomic_load_explicit(&seat->cache, memory_order_acquire);
	}
	return NULL;
}

/* The first seat without an owner, or NULL. */
static struct zsmalloc_seat *vacant_seat(struct zsmalloc_pool *pool, uintptr_t thread)
{
	unsigned int first = zsmalloc_seat_index(thread);

	for (unsigned int i = 0; i < PROBES; i++)
		if (owner_of(seat_at(pool, first + i)) <= ZSMALLOC_NOBODY)
			return seat_at(pool, first + i);
	return NULL;
}

/* A cache without an owner leaves its seat.  NULL: there is none.  With record_lock held. */
static struct zsmalloc_cache *take_vacant(struct zsmalloc_pool *pool)
{
	for (unsigned int i = 0; i < ZSMALLOC_SEATS; i++) {
		struct zsmalloc_seat *seat = seat_at(pool, i);
		struct zsmalloc_cache *cache = atomic_load_explicit(&seat->cache, memory_order_relaxed);

		if (!cache || owner_of(seat) != ZSMALLOC_NOBODY)
			continue;
		atomic_store_explicit(&seat->cache, NULL, memory_order_relaxed);
		return cache;
	}
	return NULL;
}

/* Gives the thread the seat, with the cache that is there, another one without an owner, or a new one. */
static struct zsmalloc_cache *take_seat(struct zsmalloc_pool *pool, struct zsmalloc_seat *seat, uintptr_t thread)
{
	struct zsmalloc_cache *cache = atomic_load_explicit(&seat->cache, memory_order_relaxed);

	if (!cache)
		cache = take_vacant(pool);
	if (!cache)
		cache = make(pool);
	atomic_store_explicit(&pool->cache_refused, !cache, memory_order_relaxed);
	if (!cache)
		return NULL;
	cache->seat = seat;
	atomic_store_explicit(&seat->cache, cache, memory_order_release);
	atomic_store_explicit(&seat->owner, thread, memory_order_release);
	return cache;
}

void zsmalloc_cache_adopt(struct zsmalloc_pool *pool)
{
	uintptr_t thread = zsmalloc_thread();
	struct zsmalloc_cache *cache = NULL;

	/* Only a thread itself takes a seat for itself. */
	if (atomic_load_explicit(&pool->cache_refused, memory_order_relaxed) || zsmalloc_cache_find(pool, thread) ||
	    !vacant_seat(pool, thread))
		return;
	zp_lock(&pool->record_lock);
	struct zsmalloc_seat *seat = vacant_seat(pool, thread);
	if (seat)
		cache = take_seat(pool, seat, thread);
	zp_unlock(&pool->record_lock);
	if (!cache || !pool->host->thread_exit_add || pool->host->thread_exit_add(pool->core, empty, cache) == 0)
		return;
	/* Nobody would empty it: the thread does without. */
	atomic_store_explicit(&pool->cache_refused, true, memory_order_relaxed);
	atomic_store_explicit(&seat->owner, ZSMALLOC_NOBODY, memory_order_release);
}

static bool keeps_nothing(const struct zsmalloc_pool *pool, const struct zsmalloc_cache *cache)
{
	bool nothing = atomic_load_explicit(&cache->fresh, memory_order_relaxed) == ZP_SLOT_NONE;

	for (unsigned int i = 0; i < pool->class_count && nothing; i++)
		nothing = bin_count(&cache->bins[i]) == 0;
	return nothing;
}

/* Takes caches without an owner out of the table and the list.  With the locks of all classes and record_lock held. */
static struct zsmalloc_cache *unlink_vacant(struct zsmalloc_pool *pool)
{
	struct zsmalloc_cache *unlinked = NULL, *stay = NULL;

	for (struct zsmalloc_cache *cache = zsmalloc_caches(pool), *next; cache; cache = next) {
		bool vacant = owner_of(cache->seat) == ZSMALLOC_NOBODY && keeps_nothing(pool, cache);

		next = cache->next;
		if (vacant)
			atomic_store_explicit(&cache->seat->cache, NULL, memory_order_relaxed);
		cache->next = vacant ? unlinked : stay;
		*(vacant ? &unlinked : &stay) = cache;
	}
	atomic_store_explicit(&pool->cache_list, stay, memory_order_release);
	return unlinked;
}

static bool has_vacant(struct zsmalloc_pool *pool)
{
	for (unsigned int i = 0; i < ZSMALLOC_SEATS; i++) {
		struct zsmalloc_seat *seat = seat_at(pool, i);

		if (owner_of(seat) == ZSMALLOC_NOBODY && atomic_load_explicit(&seat->cache, memory_order_relaxed))
			return true;
	}
	return false;
}

void zsmalloc_caches_trim(struct zsmalloc_pool *pool)
{
	if (!has_vacant(pool))
		return;
	/* A thread that walks the list holds the lock of a class. */
	for (unsigned int i = 0; i < pool->class_count; i++)
		zp_lock(&pool->classes[i].lock);
	zp_lock(&pool->record_lock);
	struct zsmalloc_cache *unlinked = unlink_vacant(pool);
	zp_unlock(&pool->record_lock);
	for (unsigned int i = 0; i < pool->class_count; i++)
		zp_unlock(&pool->classes[i].lock);
	for (struct zsmalloc_cache *cache = unlinked, *next; cache; cache = next) {
		next = cache->next;
		zp_pages_meta_release(&pool->pages, cache, cache_bytes(pool), cache_bytes(pool));
	}
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
		if (child && owner_of(cache->seat) != thread)
			atomic_store_explicit(&cache->seat->owner, ZSMALLOC_NOBODY, memory_order_relaxed);
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
	/* Only its thread fills it, so there is room; if not, what is left over is free. */
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
