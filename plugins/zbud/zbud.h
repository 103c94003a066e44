/* SPDX-License-Identifier: MIT
 *
 * zbud.h - what the files of the zbud driver share; zbud.c tells the design
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
	ZBUD_ROOM_CHUNKS = ZBUD_PAGE_CHUNKS - 1, /* all but the header */
	ZBUD_OBJECT_CHUNKS_MAX = ZBUD_ROOM_CHUNKS - 1,
	ZBUD_OBJECT_BYTES_MAX = ZBUD_OBJECT_CHUNKS_MAX * ZBUD_CHUNK_BYTES, /* 3968 */
	ZBUD_RECLAIM_TRIES = 8
};

/*
 * A thread caches these and a share of the slots of a size, up to ZP_MAGAZINE_ITEMS; of a size with fewer slots than
 * CACHED_FROM_SLOTS only the slot that it freed last.
 */
enum {
	ZBUD_CACHED_MIN = 1,
	ZBUD_CACHED_SHARE = 128,
	ZBUD_CACHED_FROM_SLOTS = 3,
	ZBUD_FLUSH_SLOTS = 4 /* the oldest of a full magazine that are given up together */
};

enum zbud_buddy { ZBUD_FIRST, ZBUD_LAST, ZBUD_BUDDIES };

/*
 * The first chunk of a page.  Guarded by the pool's lock; but a thread that is freeing an object, or caches its slot,
 * reads that slot's number of chunks without it.  A slot is used by an object, or cached.
 */
struct zbud_page {
	struct zp_list unbuddied; /* in pool->unbuddied, while it has exactly one object and is not under reclaim */
	struct zp_list lru;       /* in pool->lru, while it is not under reclaim */
	uint32_t handle_slots[ZBUD_BUDDIES]; /* ZP_SLOT_NONE: none */
	uint32_t pgno;
	uint8_t chunks[ZBUD_BUDDIES]; /* 0: the slot is free */
	uint8_t under_reclaim;        /* free() clears the object, and reclaim gives the page back */
};

_Static_assert(sizeof(struct zbud_page) <= ZBUD_CHUNK_BYTES, "the header is one chunk");

/* The locking order. */
enum zbud_rank { ZBUD_RANK_POOL = ZP_RANK_DRIVER };

struct zbud_pool {
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;

	struct zp_lock lock;
	/* Guarded by it: */
	struct zp_list unbuddied[ZBUD_PAGE_CHUNKS]; /* [n]: pages with exactly n free chunks and room for an object */
	uint64_t unbuddied_mask;                    /* which of these are not empty */
	struct zp_list lru;                         /* the page that an object was stored in last is first */
	uint64_t lru_pages, reclaim_pages;
	uint32_t used_slots[ZBUD_PAGE_CHUNKS]; /* by their number of chunks */
	uint64_t evictions, evict_refused;
	_Atomic(bool) has_cached; /* in pools that evict: threads may cache slots; read without the lock as a hint */
	uint32_t spare_slot;      /* of the handle table: taken under NOWAIT, and then not needed */

	struct zp_counts counts;
	struct zp_caches caches; /* the magazine of a size has its number of chunks */
};

/* Slots that are free, and pages that are empty, for zbud_give_back() without the lock. */
struct zbud_freed {
	unsigned int slot_count, spent_count, page_count;
	uint32_t slots[ZP_MAGAZINE_ITEMS + 1];
	uint32_t spent[ZBUD_BUDDIES]; /* those whose generations are used up */
	uint32_t pages[ZP_MAGAZINE_ITEMS + 1];
};

/*
 * A location, as the handle table keeps it: page number and first chunk.  The left-justified object is the one at chunk
 * 1, so that mapping an object needs no look at its page.
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

/* The chunks of a bound slot, for a thread to which it belongs, or with the lock held. */
static inline unsigned int zbud_chunks_of(struct zbud_pool *pool, uint32_t handle_slot)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);
	unsigned int chunk = zbud_location_chunk(location);

	return chunk == 1 ? zbud_page_at(pool, zbud_location_pgno(location))->chunks[ZBUD_FIRST]
			  : ZBUD_PAGE_CHUNKS - chunk;
}

/* zbud_page.c; all but init with the lock held. */
struct zbud_page *zbud_page_init(struct zbud_pool *pool, uint32_t pgno);
struct zbud_page *zbud_page_find(struct zbud_pool *pool, unsigned int chunks);
void zbud_page_put_object(struct zbud_pool *pool, struct zbud_page *page, unsigned int chunks, uint32_t slot);
bool zbud_page_drop_object(struct zbud_pool *pool,
			   uint64_t location); /* true: the page is now the caller's to give back */
void zbud_page_touch(struct zbud_pool *pool, struct zbud_page *page); /* an object was stored in it last */
void zbud_page_leave_lists(struct zbud_pool *pool, struct zbud_page *page);
void zbud_page_enter_lists(struct zbud_pool *pool, struct zbud_page *page);

/* zbud_objects.c */
int zbud_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zbud_free(void *pool, unsigned long handle);
void *zbud_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
int zbud_unmap(void *pool, unsigned long handle);
/* Gives back what is kept beside the objects.  true: the pool holds less than before. */
bool zbud_drop_kept(struct zbud_pool *pool);
int64_t zbud_obj_size(void *pool, unsigned long handle);
int zbud_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* zbud_slots.c; with the lock held. */

/* Frees a slot whose object is gone; is_spent: its handle has no other life. */
void zbud_slot_put(struct zbud_pool *pool, uint32_t handle_slot, bool is_spent, struct zbud_freed *freed);

/*
 * In pools that evict: a slot that is being freed becomes the calling thread's pending one.  Returns the slot that was
 * pending before (ZP_SLOT_NONE: there was none), or the same one if the thread may not cache it.  The caller ends the
 * free of the slot that is returned.
 */
uint32_t zbud_slot_make_pending(struct zbud_pool *pool, uint32_t handle_slot);

/* The calling thread caches the slot, or it is free; as are the oldest of a full magazine. */
void zbud_slot_cache(struct zbud_pool *pool, uint32_t handle_slot, struct zbud_freed *freed);

/* How many slots of a size a thread caches, as the pool is now. */
unsigned int zbud_cached_max(const struct zbud_pool *pool, unsigned int chunks);

/* How many slots of each size all threads cache; exact while they do not call malloc or free. */
void zbud_cached_counts(struct zbud_pool *pool, uint32_t counts[ZBUD_PAGE_CHUNKS]);

/* Frees the slots of a page that threads cache. */
void zbud_cached_put_in(struct zbud_pool *pool, const struct zbud_page *page, struct zbud_freed *freed);

/* The others of zbud_slots.c, without the lock. */
void zbud_give_back(struct zbud_pool *pool, const struct zbud_freed *freed);
bool zbud_cached_put(struct zbud_pool *pool); /* frees all slots that threads cache; true: there were some */
void zbud_cache_empty(void *pool, struct zp_cache *cache); /* the owner of the cache, the calling thread, ends */

/* zbud_reclaim.c */
int zbud_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);

/* zbud_verify.c */
int zbud_verify(void *pool);

#endif
