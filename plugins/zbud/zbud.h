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

enum zbud_buddy { ZBUD_FIRST, ZBUD_LAST, ZBUD_BUDDIES };

/* The first chunk of a page.  Guarded by the pool's lock. */
struct zbud_page {
	struct zp_list unbuddied; /* in pool->unbuddied, while it has exactly one object and is not under reclaim */
	struct zp_list lru;       /* in pool->lru, while it is not under reclaim */
	unsigned long handles[ZBUD_BUDDIES]; /* 0: none */
	uint32_t pgno;
	uint8_t chunks[ZBUD_BUDDIES]; /* 0: no object */
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
	uint64_t objects, stored_bytes;
	uint64_t evictions, evict_refused;
	uint32_t spare_slot; /* of the handle table: taken under NOWAIT, and then not needed */

	struct zp_counts counts;
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

/* zbud_page.c; all but init with the lock held. */
struct zbud_page *zbud_page_init(struct zbud_pool *pool, uint32_t pgno);
struct zbud_page *zbud_page_find(struct zbud_pool *pool, unsigned int chunks);
unsigned long zbud_page_put_object(struct zbud_pool *pool, struct zbud_page *page, unsigned int chunks, uint32_t slot,
				   bool zero);
bool zbud_page_drop_object(struct zbud_pool *pool,
			   uint64_t location); /* true: the page is now the caller's to give back */
void zbud_page_leave_lists(struct zbud_pool *pool, struct zbud_page *page);
void zbud_page_enter_lists(struct zbud_pool *pool, struct zbud_page *page);

/* zbud_reclaim.c */
int zbud_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);

/* zbud_verify.c */
int zbud_verify(void *pool);

#endif
