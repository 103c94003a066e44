/* SPDX-License-Identifier: MIT
 *
 * zbud.h - what the files of the zbud driver share; zbud.c describes the design
 */
#ifndef ZBUD_H
#define ZBUD_H

#include <zpool-driver.h>

#include "counts.h"
#include "handles.h"
#include "list.h"
#include "magazine.h"
#include "pages.h"

enum {
	ZBUD_CHUNK_SHIFT = 6,
	ZBUD_CHUNK_BYTES = 1 << ZBUD_CHUNK_SHIFT,
	ZBUD_PAGE_CHUNKS = 4096 / ZBUD_CHUNK_BYTES,
	ZBUD_ROOM_CHUNKS = ZBUD_PAGE_CHUNKS - 1, /* the whole page except the header */
	ZBUD_OBJECT_CHUNKS_MAX = ZBUD_ROOM_CHUNKS - 1,
	ZBUD_OBJECT_BYTES_MAX = ZBUD_OBJECT_CHUNKS_MAX * ZBUD_CHUNK_BYTES, /* 3968 */
	/* A thread's cache has a magazine for each number of chunks, from the unused 0 on, and fills a page. */
	ZBUD_MAGAZINES = ZBUD_OBJECT_CHUNKS_MAX + 1,
	ZBUD_RECLAIM_TRIES = 8
};

/*
 * A thread caches at most this many slots of a size plus a share of the size's used slots, and no more than
 * ZP_MAGAZINE_ITEMS.  Of a size with fewer than CACHED_FROM_SLOTS used slots it caches only the slot that it freed
 * last.
 */
enum {
	ZBUD_CACHED_MIN = 1,
	ZBUD_CACHED_SHARE = 128,
	ZBUD_CACHED_FROM_SLOTS = 3,
	ZBUD_FLUSH_SLOTS = 4 /* When a magazine is full, this many of its oldest slots are freed together. */
};

_Static_assert(sizeof(struct zp_cache) + ZBUD_MAGAZINES * sizeof(struct zp_magazine) == 4096,
	       "a thread's cache is one page");

enum zbud_buddy { ZBUD_FIRST, ZBUD_LAST, ZBUD_BUDDIES };

/*
 * The first chunk of a page.  The pool's lock guards it, with one exception: a thread that is freeing an object, or
 * that caches its slot, reads that slot's number of chunks without the lock.  A used slot holds an object or is cached.
 */
struct zbud_page {
	/* Links the page in pool->unbuddied while it has one object and is not under reclaim. */
	struct zp_list unbuddied;
	struct zp_list lru; /* links the page in pool->lru, or in pool->reclaiming while it is under reclaim */
	uint32_t handle_slots[ZBUD_BUDDIES]; /* ZP_SLOT_NONE where there is no object */
	uint32_t pgno;
	uint8_t chunks[ZBUD_BUDDIES]; /* 0 if the slot is free */
	/* While it is set, free() only clears the object, and the reclaiming thread releases the page. */
	uint8_t under_reclaim;
	uintptr_t reclaimer; /* pthread_self() of that thread */
};

_Static_assert(sizeof(struct zbud_page) <= ZBUD_CHUNK_BYTES, "the header is one chunk");

/* The order in which a thread takes the locks. */
enum zbud_rank { ZBUD_RANK_ROOM = ZP_RANK_DRIVER, ZBUD_RANK_POOL };

struct zbud_pool {
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;

	/*
	 * Held from when slots are taken out of the thread caches until their pages and handle slots are given back, by
	 * a trim, by a malloc that found no memory, and by a thread that ends.  In between they are nowhere to be
	 * found, so a malloc may fail only after it has had this lock, and has waited for the frees and evictions that
	 * give pages or handle slots back, which do not take it.  NOWAIT calls make no room and do not take it.
	 */
	struct zp_lock room_lock;

	struct zp_lock lock;
	/* The lock guards the members from here on. */
	struct zp_list unbuddied[ZBUD_PAGE_CHUNKS]; /* [n] links the pages with one object and exactly n free chunks */
	uint64_t unbuddied_mask;                    /* bit n is set if unbuddied[n] is not empty */
	struct zp_list lru;                         /* starts with the page in which an object was stored last */
	struct zp_list reclaiming;                  /* the pages under reclaim */
	uint64_t lru_pages, reclaim_pages;
	bool is_child;                         /* of fork(), in which calls of other threads have not ended */
	uint32_t used_slots[ZBUD_PAGE_CHUNKS]; /* indexed by the number of chunks */
	uint64_t evictions, evict_refused;
	struct zp_flushes flushes; /* turned with room_lock held, too */
	/* True if threads may cache slots (in pools that evict).  It is a hint that is read without the lock. */
	_Atomic(bool) has_cached;
	/* A handle slot that a NOWAIT call took from the table and then did not need. */
	uint32_t spare_slot;

	struct zp_counts counts;
	struct zp_caches caches; /* the magazine index is the number of chunks */
};

/* Collects free slots and empty pages, which zbud_give_back() releases without the lock. */
struct zbud_freed {
	unsigned int slot_count, spent_count, page_count;
	bool is_flush; /* zbud_flush_begin() has counted it */
	unsigned int flush_round;
	uint32_t slots[ZP_MAGAZINE_ITEMS + 1];
	uint32_t spent[ZBUD_BUDDIES]; /* handle slots whose generations are used up */
	uint32_t pages[ZP_MAGAZINE_ITEMS + 1];
};

/*
 * The location that the handle table stores: the page number and the first chunk.  The first object of a page is always
 * the one at chunk 1, so mapping an object does not read its page.
 */
_Static_assert(ZP_PGNO_BITS + ZBUD_CHUNK_SHIFT <= ZP_LOCATION_BITS, "a location holds page and chunk");

static inline uint64_t zbud_location(uint32_t pgno, unsigned int chunk)
{
	return (uint64_t)pgno * ZBUD_PAGE_CHUNKS + chunk;
}

static inline uint32_t zbud_location_pgno(uint64_t location)
{
	return (uint32_t)(location / ZBUD_PAGE_CHUNKS);
}

static inline unsigned int zbud_location_chunk(uint64_t location)
{
	return (unsigned int)(location % ZBUD_PAGE_CHUNKS);
}

static inline enum zbud_buddy zbud_location_buddy(uint64_t location)
{
	return zbud_location_chunk(location) == 1 ? ZBUD_FIRST : ZBUD_LAST;
}

static inline struct zbud_page *zbud_page_at(struct zbud_pool *pool, uint32_t pgno)
{
	return zp_pages_address(&pool->pages, pgno);
}

static inline unsigned int zbud_first_chunk(enum zbud_buddy buddy, unsigned int chunks)
{
	return buddy == ZBUD_FIRST ? 1 : ZBUD_PAGE_CHUNKS - chunks;
}

static inline unsigned int zbud_free_chunks(const struct zbud_page *page)
{
	return ZBUD_ROOM_CHUNKS - page->chunks[ZBUD_FIRST] - page->chunks[ZBUD_LAST];
}

static inline bool zbud_page_is_empty(const struct zbud_page *page)
{
	return page->chunks[ZBUD_FIRST] == 0 && page->chunks[ZBUD_LAST] == 0;
}

/* Returns the chunks of a bound slot.  The slot must belong to the calling thread, or the caller holds the lock. */
static inline unsigned int zbud_chunks_of(struct zbud_pool *pool, uint32_t handle_slot)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);
	unsigned int chunk = zbud_location_chunk(location);

	return chunk == 1 ? zbud_page_at(pool, zbud_location_pgno(location))->chunks[ZBUD_FIRST]
			  : ZBUD_PAGE_CHUNKS - chunk;
}

/* zbud_page.c: the caller holds the lock, except for init. */
struct zbud_page *zbud_page_init(struct zbud_pool *pool, uint32_t pgno);
struct zbud_page *zbud_page_find(struct zbud_pool *pool, unsigned int chunks);
void zbud_page_put_object(struct zbud_pool *pool, struct zbud_page *page, unsigned int chunks, uint32_t slot);
/* Returns true if the page became empty; the caller must then release it. */
bool zbud_page_drop_object(struct zbud_pool *pool, uint64_t location);
/* Makes the page the youngest because an object was stored in it. */
void zbud_page_touch(struct zbud_pool *pool, struct zbud_page *page);
void zbud_page_leave_lists(struct zbud_pool *pool, struct zbud_page *page);
void zbud_page_enter_lists(struct zbud_pool *pool, struct zbud_page *page);

/* zbud_objects.c */
int zbud_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zbud_free(void *pool, unsigned long handle);
void *zbud_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
int zbud_unmap(void *pool, unsigned long handle);
/* Releases the memory that the pool keeps beyond its objects.  The caller holds no lock. */
void zbud_drop_kept(struct zbud_pool *pool);
int64_t zbud_obj_size(void *pool, unsigned long handle);
int zbud_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* zbud_slots.c: the caller holds the lock. */

/* Frees a slot whose object is gone; is_spent is true if the handle slot's generations are used up. */
void zbud_slot_put(struct zbud_pool *pool, uint32_t handle_slot, bool is_spent, struct zbud_freed *freed);

/*
 * In pools that evict: makes the slot that is being freed the calling thread's pending one.  Returns the slot that was
 * pending before (ZP_SLOT_NONE if there was none), or the same slot if the thread may not cache it.  The caller
 * completes the free of the slot that is returned.
 */
uint32_t zbud_slot_make_pending(struct zbud_pool *pool, uint32_t handle_slot);

/*
 * Puts the slot into the calling thread's cache, or frees it.  If the magazine is full, its oldest slots are freed as
 * well.
 */
void zbud_slot_cache(struct zbud_pool *pool, uint32_t handle_slot, struct zbud_freed *freed);

/* Returns how many slots of a size a thread may cache at present. */
unsigned int zbud_cached_max(const struct zbud_pool *pool, unsigned int chunks);

/* Counts the slots of each size that all threads cache.  The counts are exact while no thread calls malloc or free. */
void zbud_cached_counts(struct zbud_pool *pool, uint32_t counts[ZBUD_PAGE_CHUNKS]);

/* Frees those slots of a page that threads cache. */
void zbud_cached_put_in(struct zbud_pool *pool, const struct zbud_page *page, struct zbud_freed *freed);

/* The rest of zbud_slots.c: the caller does not hold the lock. */
/*
 * For callers without room_lock: counts what was collected, if anything, until zbud_give_back().  The pool's lock is
 * held.
 */
void zbud_flush_begin(struct zbud_pool *pool, struct zbud_freed *freed);
void zbud_give_back(struct zbud_pool *pool, const struct zbud_freed *freed);
/* Frees all slots that threads cache. */
void zbud_cached_put(struct zbud_pool *pool);
/* Called when the calling thread, which owns the cache, ends. */
void zbud_cache_empty(void *pool, struct zp_cache *cache);

/* zbud_reclaim.c */
int zbud_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);

/* In a forked child, with the lock held: ends the reclaims of other threads, which do not exist here. */
void zbud_reclaims_of_others_end(struct zbud_pool *pool);

/* zbud_verify.c */
int zbud_verify(void *pool);

#endif
