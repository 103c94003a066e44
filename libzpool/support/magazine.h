/* SPDX-License-Identifier: MIT
 *
 * magazine.h - thread caches: free items of each size class that a thread keeps for its next mallocs
 *
 * An item is a 32-bit number; for the driver it stands for a free slot of one of its classes.  A thread's cache has a
 * magazine for each class: a stack of up to ZP_MAGAZINE_ITEMS items in one cache line, so that threads do not compete
 * for cache lines.  Only the owner uses its magazines, under a biased lock (biased.h), without a locked instruction:
 *
 *     struct zp_cache *cache = zp_caches_enter(caches);       NULL: there is none, or the owner is kept out
 *     ... zp_magazine_pop() and zp_magazine_push() on cache->magazines[class], and cache->pending ...
 *     zp_cache_leave(cache);
 *
 * pending is one more item, the one that the owner freed last.  What is still to be done for it depends on memory that
 * may not have arrived in the processor's cache yet; only the driver uses it.
 *
 * All other code of the driver that must know what is free, or wants it back, stops the caches: between
 * zp_caches_stop() and zp_caches_resume() no owner is inside and none can enter; zp_caches_enter() returns NULL, and
 * the driver takes its slow path.  The caller of stop may use every cache, through zp_caches_first() and
 * zp_cache_next().
 *
 * A barrier takes some 20 us where another thread runs.  Between zp_caches_hold() and zp_caches_release() the owners
 * stay out, too, and any number of threads may stop and resume the caches at no cost: for work on many classes, one
 * after the other, during which no lock is held.
 *
 * Owners find their cache in a hash table by thread.  A thread that found no seat, or no memory, works without a cache.
 * At the limit, the free pages of the reserve are for objects: a cache takes its memory there only after its thread has
 * stored an object, and only if they are many and at least a quarter of the pool's pages, or if all caches have at most
 * 1/256 of these.  After a refusal, no thread asks for memory before there may be some: the driver has changed the
 * limit, the number of pages in use has changed by the size of a cache, or a cache is waiting.  When a thread ends, the
 * driver's callback empties its cache, which then waits for another thread; zp_caches_trim() frees the waiting caches.
 *
 * Locks: zp_caches.lock guards the table and the list, and is held between stop and resume.  It comes after the
 * driver's locks of classes.
 *
 * Source: Bonwick, Adams, "Magazines and Vmem" (2001).
 */
#ifndef ZP_SUPPORT_MAGAZINE_H
#define ZP_SUPPORT_MAGAZINE_H

#include <errno.h>

#include <zpool-driver.h>

#include "biased.h"
#include "pages.h"

enum { ZP_MAGAZINE_ITEMS = 14, ZP_CACHE_SEATS_SHIFT = 7, ZP_CACHE_SEATS = 1 << ZP_CACHE_SEATS_SHIFT };

#define ZP_ITEM_NONE UINT32_C(0)

struct zp_magazine {
	_Alignas(64) _Atomic(uint8_t) count; /* other threads read it as a hint */
	uint8_t max; /* the number of items that the owner keeps; depends on the size of the class */
	uint32_t items[ZP_MAGAZINE_ITEMS];
};

_Static_assert(sizeof(struct zp_magazine) == 64, "a magazine fills one cache line");

struct zp_cache {
	_Alignas(64) struct zp_biased biased;
	_Atomic(uint32_t) pending;  /* ZP_ITEM_NONE: there is none; other threads read it as a hint */
	uint32_t pending_class;     /* the driver's, for its malloc */
	struct zp_cache_seat *seat; /* changed under caches->lock, and only while there is no owner */
	struct zp_cache *next;      /* link of the list of caches */
	struct zp_magazine magazines[];
};

/*
 * Frees and evictions that have not given back yet what became free.  A lock of the driver's guards the round, and a
 * flush begins with it held.  A thread that needs what is on its way turns the round
 * with the lock held, and waits without it: only for frees that have begun before, however many begin meanwhile.  One
 * thread at a time does that.
 */
struct zp_flushes {
	unsigned int round; /* the index of the count for frees that begin now */
	_Atomic(uint32_t) counts[2];
};

/* An entry of the table.  Only the owner follows its pointer without the lock. */
struct zp_cache_seat {
	_Atomic(uintptr_t) owner; /* the thread; ZP_CACHE_NOBODY: it has ended; 0: the seat was never used */
	_Atomic(struct zp_cache *) cache;
};

#define ZP_CACHE_NOBODY ((uintptr_t)1)

/* Which call of the driver gives its thread a cache: a free, or a malloc that has succeeded. */
enum zp_adopt_after { ZP_ADOPT_AFTER_FREE, ZP_ADOPT_AFTER_MALLOC, ZP_ADOPT_CALLS };

struct zp_caches {
	/* Constant. */
	struct zp_pages *pages;
	const struct zpool_host *host;
	void *core;
	void *driver;
	void (*empty)(void *driver, struct zp_cache *cache); /* called by its owner, which is about to end; may wait */
	unsigned int class_count;

	struct zp_lock lock;
	unsigned int keepers; /* threads that keep the owners out */
	struct zp_cache *first;
	/*
	 * The pages in use when memory for a cache was refused, plus 1; 0: it was not.  One for each call, because a
	 * cache gets memory after a malloc that it does not get after a free.
	 */
	_Atomic(uint64_t) refused_at[ZP_ADOPT_CALLS];
	struct zp_cache_seat seats[ZP_CACHE_SEATS];
};

void zp_caches_init(struct zp_caches *caches, unsigned int class_count);
void zp_caches_fini(struct zp_caches *caches);

/* Gives the calling thread a cache, if it has none and there are memory and a seat for one.  Called without a lock. */
void zp_caches_adopt(struct zp_caches *caches, enum zp_adopt_after after);

/* Lets threads ask for a cache again after a refusal, because the limit has changed. */
static inline void zp_caches_forget_refusal(struct zp_caches *caches)
{
	for (unsigned int after = 0; after < ZP_ADOPT_CALLS; after++)
		atomic_store_explicit(&caches->refused_at[after], 0, memory_order_relaxed);
}

/* Frees the caches of threads that have ended, if they are empty. */
void zp_caches_trim(struct zp_caches *caches);

void zp_caches_stop(struct zp_caches *caches);
void zp_caches_resume(struct zp_caches *caches);
void zp_caches_hold(struct zp_caches *caches);
void zp_caches_release(struct zp_caches *caches);

/* Called around fork(); in the child, only the calling thread still owns a cache. */
void zp_caches_fork(struct zp_caches *caches, enum zpool_fork_phase phase);

/* Takes items from a stopped cache, or from the owner's: up to `wanted`, those that it has kept longest. */
unsigned int zp_magazine_take(struct zp_magazine *magazine, uint32_t *items, unsigned int wanted);

/* Begins a flush.  Returns the round, for its end.  The caller holds the driver's lock. */
static inline unsigned int zp_flush_begin(struct zp_flushes *flushes)
{
	atomic_fetch_add_explicit(&flushes->counts[flushes->round], 1, memory_order_relaxed);
	return flushes->round;
}

static inline void zp_flush_end(struct zp_flushes *flushes, unsigned int round)
{
	atomic_fetch_sub_explicit(&flushes->counts[round], 1, memory_order_release);
}

/* Returns the round of the flushes to wait for.  The caller holds the driver's lock. */
static inline unsigned int zp_flushes_turn(struct zp_flushes *flushes)
{
	unsigned int round = flushes->round;

	flushes->round = !round;
	return round;
}

/* Waits for the flushes of a round that is over.  Called without the driver's lock. */
void zp_flushes_wait(struct zp_flushes *flushes, unsigned int round);

/* For the child of a fork, in which no other thread ends what it began. */
static inline void zp_flushes_forget(struct zp_flushes *flushes)
{
	for (unsigned int round = 0; round < 2; round++)
		atomic_store_explicit(&flushes->counts[round], 0, memory_order_relaxed);
}

/* Returns an address that identifies the calling thread; a thread-local variable of a plugin would cost a call. */
static inline uintptr_t zp_cache_thread(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	return (uintptr_t)__builtin_thread_pointer();
#else
	return (uintptr_t)&errno;
#endif
}

/* The addresses of threads differ in few bits. */
static inline unsigned int zp_cache_seat_index(uintptr_t thread)
{
	return (unsigned int)((uint32_t)(thread >> 6) * UINT32_C(0x9e3779b1) >> (32 - ZP_CACHE_SEATS_SHIFT));
}

struct zp_cache *zp_caches_find(struct zp_caches *caches, uintptr_t thread);

/*
 * Returns the calling thread's cache, or NULL.  at_hand returns NULL also if another thread has the first seat, for
 * fast paths that leave the search to a function of their own.
 */
static inline struct zp_cache *zp_caches_own_at_hand(struct zp_caches *caches)
{
	uintptr_t thread = zp_cache_thread();
	struct zp_cache_seat *seat = &caches->seats[zp_cache_seat_index(thread)];

	return atomic_load_explicit(&seat->owner, memory_order_relaxed) == thread
		       ? atomic_load_explicit(&seat->cache, memory_order_relaxed)
		       : NULL;
}

static inline struct zp_cache *zp_caches_own(struct zp_caches *caches)
{
	struct zp_cache *cache = zp_caches_own_at_hand(caches);

	return cache ? cache : zp_caches_find(caches, zp_cache_thread());
}

static inline struct zp_cache *zp_caches_enter(struct zp_caches *caches)
{
	struct zp_cache *cache = zp_caches_own(caches);

	return cache && zp_biased_enter(&cache->biased) ? cache : NULL;
}

static inline void zp_cache_leave(struct zp_cache *cache)
{
	zp_biased_leave(&cache->biased);
}

/*
 * Returns true if no other thread can be inside this cache: it is the caller's own, or it has no owner.  The caller
 * holds caches->lock, so that no thread gets the cache.
 */
static inline bool zp_cache_is_at_rest(struct zp_cache *cache)
{
	uintptr_t owner = atomic_load_explicit(&cache->seat->owner, memory_order_acquire);

	return owner <= ZP_CACHE_NOBODY || owner == zp_cache_thread();
}

static inline unsigned int zp_magazine_count(const struct zp_magazine *magazine)
{
	return atomic_load_explicit(&magazine->count, memory_order_relaxed);
}

static inline void zp_magazine_set_count(struct zp_magazine *magazine, unsigned int count)
{
	atomic_store_explicit(&magazine->count, (uint8_t)count, memory_order_relaxed);
}

/* Returns the item that was pushed last, or ZP_ITEM_NONE. */
static inline uint32_t zp_magazine_pop(struct zp_magazine *magazine)
{
	unsigned int count = zp_magazine_count(magazine);

	if (count == 0)
		return ZP_ITEM_NONE;
	zp_magazine_set_count(magazine, count - 1);
	return magazine->items[count - 1];
}

/* Returns false if there are `max` items already. */
static inline bool zp_magazine_push(struct zp_magazine *magazine, uint32_t item)
{
	unsigned int count = zp_magazine_count(magazine);

	if (count >= magazine->max)
		return false;
	magazine->items[count] = item;
	zp_magazine_set_count(magazine, count + 1);
	return true;
}

static inline uint32_t zp_cache_pending(struct zp_cache *cache)
{
	return atomic_load_explicit(&cache->pending, memory_order_relaxed);
}

static inline void zp_cache_set_pending(struct zp_cache *cache, uint32_t item)
{
	atomic_store_explicit(&cache->pending, item, memory_order_relaxed);
}

#endif
