/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "magazine.h"

#include <string.h>

enum { PROBES = 8 }; /* number of table entries that a thread may use */

/*
 * After a malloc, a cache may take its memory from a reserve with room for this many caches and with this share of the
 * pool's pages, or if all caches together then have at most CACHES_SHARE of the pool's pages.
 */
enum { RESERVE_CACHES = 8, RESERVE_SHARE = 4, CACHES_SHARE = 256 };

static size_t cache_bytes(const struct zp_caches *caches)
{
	size_t bytes = sizeof(struct zp_cache) + caches->class_count * sizeof(struct zp_magazine);

	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

void zp_caches_init(struct zp_caches *caches, unsigned int class_count)
{
	zp_biased_setup();
	zp_lock_init(&caches->lock);
	zp_lock_rank(&caches->lock, ZP_RANK_CACHES, 0, caches->pages);
	caches->class_count = class_count;
}

unsigned int zp_magazine_take(struct zp_magazine *magazine, uint32_t *items, unsigned int wanted)
{
	unsigned int count = zp_magazine_count(magazine);

	if (wanted > count)
		wanted = count;
	memcpy(items, magazine->items, wanted * sizeof(*items));
	memmove(magazine->items, magazine->items + wanted, (count - wanted) * sizeof(*items));
	zp_magazine_set_count(magazine, count - wanted);
	return wanted;
}

void zp_flushes_wait(struct zp_flushes *flushes, unsigned int round)
{
	struct zp_backoff backoff = { 0 };

	while (atomic_load_explicit(&flushes->counts[round], memory_order_acquire) != 0)
		zp_backoff_wait(&backoff);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Seats
 */

static struct zp_cache_seat *seat_at(struct zp_caches *caches, unsigned int index)
{
	return &caches->seats[index % ZP_CACHE_SEATS];
}

static uintptr_t owner_of(struct zp_cache_seat *seat)
{
	return atomic_load_explicit(&seat->owner, memory_order_acquire);
}

static struct zp_cache *cache_of(struct zp_cache_seat *seat)
{
	return atomic_load_explicit(&seat->cache, memory_order_relaxed);
}

struct zp_cache *zp_caches_find(struct zp_caches *caches, uintptr_t thread)
{
	unsigned int first = zp_cache_seat_index(thread);

	for (unsigned int i = 0; i < PROBES; i++) {
		struct zp_cache_seat *seat = seat_at(caches, first + i);

		if (owner_of(seat) == thread)
			return cache_of(seat);
	}
	return NULL;
}

/* Returns the first seat without an owner, or NULL. */
static struct zp_cache_seat *vacant_seat(struct zp_caches *caches, uintptr_t thread)
{
	unsigned int first = zp_cache_seat_index(thread);

	for (unsigned int i = 0; i < PROBES; i++)
		if (owner_of(seat_at(caches, first + i)) <= ZP_CACHE_NOBODY)
			return seat_at(caches, first + i);
	return NULL;
}

/*
 * Returns true if memory for a cache was refused, and the pool has neither lost nor got as much since then.  A small
 * pool cannot lose so much, so a half is enough.
 */
static bool is_refused(struct zp_caches *caches, enum zp_adopt_after after)
{
	uint64_t refused_at = atomic_load_explicit(&caches->refused_at[after], memory_order_relaxed);

	if (refused_at == 0)
		return false;
	uint64_t then = refused_at - 1, now = zp_pages_handed_out(caches->pages);
	uint64_t enough = cache_bytes(caches) / ZP_PAGE_BYTES;
	return now < then ? then - now < enough && now > then / 2 : now - then < enough;
}

static void note_refusal(struct zp_caches *caches, enum zp_adopt_after after)
{
	atomic_store_explicit(&caches->refused_at[after], zp_pages_handed_out(caches->pages) + 1, memory_order_relaxed);
}

/* Returns true if objects will hardly miss the pages that a cache takes from the reserve.  The lock is held. */
static bool may_use_reserve(const struct zp_caches *caches)
{
	uint64_t bytes = cache_bytes(caches), all_bytes = bytes;
	uint64_t reserved = zp_pages_reserved(caches->pages);
	uint64_t pages = reserved + zp_pages_handed_out(caches->pages);

	for (const struct zp_cache *cache = caches->first; cache; cache = cache->next)
		all_bytes += bytes;
	if (all_bytes * CACHES_SHARE <= pages * ZP_PAGE_BYTES)
		return true;
	return reserved * ZP_PAGE_BYTES >= bytes * RESERVE_CACHES && reserved * RESERVE_SHARE >= pages;
}

/*
 * At the limit, objects should get the space that a free has just made, so a cache takes no memory from the reserve.
 * There are two exceptions: a small pool keeps in its reserve all that is freed, so if much of the pool is there, a
 * cache may have a little of it; and a large pool, which may be at its limit all the time, can spare a few pages for
 * threads that would be slow without a cache.  Both are for a thread that has just stored an object.  After a free, the
 * thread's next object may need all of the reserve.
 */
static bool charge_cache(struct zp_caches *caches, enum zp_adopt_after after)
{
	uint64_t bytes = cache_bytes(caches);

	return zp_account_charge(&caches->pages->account, bytes) ||
	       (after == ZP_ADOPT_AFTER_MALLOC && may_use_reserve(caches) &&
		zp_pages_charge(caches->pages, bytes, ZPOOL_GFP_KERNEL) == 0);
}

/* The lock is held. */
static struct zp_cache *make_cache(struct zp_caches *caches, enum zp_adopt_after after)
{
	struct zp_pages *pages = caches->pages;
	size_t bytes = cache_bytes(caches);
	struct zp_cache *cache;

	if (!charge_cache(caches, after))
		return NULL;
	cache = zp_pages_meta_reserve(pages, bytes);
	if (!cache) {
		zp_pages_refund(pages, bytes);
		return NULL;
	}
	if (pages->source->commit(pages->source->context, cache, bytes)) {
		zp_pages_meta_release(pages, cache, bytes, bytes);
		return NULL;
	}
	if (caches->keepers)
		zp_biased_revoke(&cache->biased);
	cache->next = caches->first;
	caches->first = cache;
	return cache;
}

/* Removes a cache without an owner from its seat.  Returns NULL if there is none.  The lock is held. */
static struct zp_cache *take_vacant_cache(struct zp_caches *caches)
{
	for (unsigned int i = 0; i < ZP_CACHE_SEATS; i++) {
		struct zp_cache_seat *seat = seat_at(caches, i);
		struct zp_cache *cache = cache_of(seat);

		if (!cache || owner_of(seat) != ZP_CACHE_NOBODY)
			continue;
		atomic_store_explicit(&seat->cache, NULL, memory_order_relaxed);
		return cache;
	}
	return NULL;
}

/* Gives the thread the seat, with the cache that is there, another one without an owner, or a new one. */
static struct zp_cache *take_seat(struct zp_caches *caches, struct zp_cache_seat *seat, uintptr_t thread,
				  enum zp_adopt_after after)
{
	struct zp_cache *cache = cache_of(seat);

	if (!cache)
		cache = take_vacant_cache(caches);
	if (!cache)
		cache = make_cache(caches, after);
	if (!cache) {
		note_refusal(caches, after);
		return NULL;
	}
	zp_caches_forget_refusal(caches);
	cache->seat = seat;
	atomic_store_explicit(&seat->cache, cache, memory_order_release);
	zp_yield_point();
	atomic_store_explicit(&seat->owner, thread, memory_order_release);
	return cache;
}

/*
 * Runs when a thread that has a cache ends.  Its argument is not the cache, because zp_caches_trim() may free that one
 * before this function has returned, and zp_caches_fini() would not know that it must still wait for it.
 */
static void leave_seat(void *caches_)
{
	struct zp_caches *caches = caches_;
	struct zp_cache *cache = zp_caches_find(caches, zp_cache_thread());

	if (!cache)
		return;
	caches->empty(caches->driver, cache);
	zp_yield_point();
	/* With the lock held, because a thread that is refused after this must see the cache that is waiting. */
	zp_lock(&caches->lock);
	zp_caches_forget_refusal(caches);
	atomic_store_explicit(&cache->seat->owner, ZP_CACHE_NOBODY, memory_order_release);
	/* When the lock is released, the cache may soon belong to another thread or be freed, and so may the pool. */
	zp_unlock(&caches->lock);
}

void zp_caches_adopt(struct zp_caches *caches, enum zp_adopt_after after)
{
	uintptr_t thread = zp_cache_thread();
	struct zp_cache *cache = NULL;

	/* This check needs no lock, because no other thread takes a seat for this one. */
	if (is_refused(caches, after) || zp_caches_find(caches, thread) || !vacant_seat(caches, thread))
		return;
	zp_lock(&caches->lock);
	/* Another thread may have been refused while this one waited for the lock. */
	struct zp_cache_seat *seat = is_refused(caches, after) ? NULL : vacant_seat(caches, thread);
	if (seat)
		cache = take_seat(caches, seat, thread, after);
	zp_unlock(&caches->lock);
	if (!cache || !caches->host->thread_exit_add ||
	    caches->host->thread_exit_add(caches->core, leave_seat, caches) == 0)
		return;
	/* Without this, nothing would empty the cache when the thread ends, so the thread works without a cache. */
	note_refusal(caches, after);
	atomic_store_explicit(&seat->owner, ZP_CACHE_NOBODY, memory_order_release);
}

/* ------------------------------------------------------------------------------------------------------------------
 * All caches
 */

/* With the lock held. */
static void keep_owners_out(struct zp_caches *caches)
{
	uintptr_t thread = zp_cache_thread();
	bool others = false;

	if (caches->keepers++)
		return;
	for (struct zp_cache *cache = caches->first; cache; cache = cache->next) {
		zp_biased_revoke(&cache->biased);
		others |= owner_of(cache->seat) > ZP_CACHE_NOBODY && owner_of(cache->seat) != thread;
	}
	if (!others)
		return;
	zp_yield_point();
	zp_biased_barrier();
	for (struct zp_cache *cache = caches->first; cache; cache = cache->next)
		zp_biased_wait(&cache->biased);
}

static void let_owners_in(struct zp_caches *caches)
{
	/* None: a child of fork() ends what its parent's thread began. */
	if (caches->keepers == 0 || --caches->keepers)
		return;
	for (struct zp_cache *cache = caches->first; cache; cache = cache->next)
		zp_biased_restore(&cache->biased);
}

void zp_caches_stop(struct zp_caches *caches)
{
	zp_lock(&caches->lock);
	keep_owners_out(caches);
}

void zp_caches_resume(struct zp_caches *caches)
{
	let_owners_in(caches);
	zp_unlock(&caches->lock);
}

void zp_caches_hold(struct zp_caches *caches)
{
	zp_caches_stop(caches);
	zp_unlock(&caches->lock);
}

void zp_caches_release(struct zp_caches *caches)
{
	zp_lock(&caches->lock);
	zp_caches_resume(caches);
}

static bool is_empty(const struct zp_caches *caches, struct zp_cache *cache)
{
	bool empty = zp_cache_pending(cache) == ZP_ITEM_NONE;

	for (unsigned int i = 0; i < caches->class_count && empty; i++)
		empty = zp_magazine_count(&cache->magazines[i]) == 0;
	return empty;
}

void zp_caches_trim(struct zp_caches *caches)
{
	struct zp_cache *unlinked = NULL, **link = &caches->first;

	zp_lock(&caches->lock);
	while (*link) {
		struct zp_cache *cache = *link;

		if (owner_of(cache->seat) != ZP_CACHE_NOBODY || !is_empty(caches, cache)) {
			link = &cache->next;
			continue;
		}
		atomic_store_explicit(&cache->seat->cache, NULL, memory_order_relaxed);
		*link = cache->next;
		cache->next = unlinked;
		unlinked = cache;
	}
	zp_unlock(&caches->lock);
	for (struct zp_cache *cache = unlinked, *next; cache; cache = next) {
		next = cache->next;
		zp_pages_meta_release(caches->pages, cache, cache_bytes(caches), cache_bytes(caches));
	}
}

void zp_caches_fini(struct zp_caches *caches)
{
	if (caches->host->thread_exit_cancel)
		caches->host->thread_exit_cancel(caches->core, leave_seat, caches);
	for (struct zp_cache *cache = caches->first, *next; cache; cache = next) {
		next = cache->next;
		zp_pages_meta_release(caches->pages, cache, cache_bytes(caches), cache_bytes(caches));
	}
	caches->first = NULL;
}

void zp_caches_fork(struct zp_caches *caches, enum zpool_fork_phase phase)
{
	uintptr_t thread = zp_cache_thread();

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_caches_stop(caches);
		return;
	}
	for (struct zp_cache *cache = caches->first; cache && phase == ZPOOL_FORK_CHILD; cache = cache->next) {
		if (owner_of(cache->seat) == thread)
			continue;
		atomic_store_explicit(&cache->seat->owner, ZP_CACHE_NOBODY, memory_order_relaxed);
		/* Its owner may have been at the start of zp_biased_enter(), about to see that it is kept out. */
		atomic_store_explicit(&cache->biased.busy, false, memory_order_relaxed);
	}
	/* The other threads that kept owners out are not there. */
	if (phase == ZPOOL_FORK_CHILD)
		caches->keepers = 1;
	zp_caches_resume(caches);
}
