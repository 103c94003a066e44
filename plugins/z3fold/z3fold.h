/* SPDX-License-Identifier: MIT
 *
 * z3fold.h - what the files of the z3fold driver share; z3fold.c tells the design
 */
#ifndef Z3FOLD_H
#define Z3FOLD_H

#include <zpool-driver.h>

#include "budget.h"
#include "counts.h"
#include "handles.h"
#include "lock.h"
#include "pages.h"

enum {
	Z3FOLD_CHUNK_SHIFT = 6,
	Z3FOLD_CHUNK_BYTES = 1 << Z3FOLD_CHUNK_SHIFT,
	Z3FOLD_PAGE_CHUNKS = 4096 / Z3FOLD_CHUNK_BYTES,
	Z3FOLD_OBJECT_BYTES_MAX = 4096,
	Z3FOLD_GAIN_CHUNKS = 3,   /* a free moves the middle object for no less */
	Z3FOLD_FIND_TRIES = 8,    /* pages that one search may find blocked by a mapped middle */
	Z3FOLD_RECLAIM_TRIES = 8, /* pages that shrink may fail to empty for each that it empties */
	Z3FOLD_UNIT_SHIFT = 9,    /* records of pages get memory by so many */
	Z3FOLD_BLOCK_SHIFT = 13,  /* and address space by so many and more */
	Z3FOLD_BLOCKS = ZP_PGNO_BITS - Z3FOLD_BLOCK_SHIFT + 1
};

enum z3fold_buddy { Z3FOLD_FIRST, Z3FOLD_MIDDLE, Z3FOLD_LAST, Z3FOLD_BUDDIES };

/* A page that is not ours is free; one under reclaim is on no ring, and a free only clears the object. */
enum z3fold_state { Z3FOLD_PAGE_FREE, Z3FOLD_PAGE_LISTED, Z3FOLD_PAGE_UNDER_RECLAIM };

/* Rings of pages: those with as much room, and all by the last time that an object was stored in them. */
enum z3fold_ring { Z3FOLD_BY_ROOM, Z3FOLD_BY_AGE, Z3FOLD_RINGS };

struct z3fold_link {
	uint32_t next, prev; /* page numbers; ZP_PGNO_NONE: on no ring */
};

/* The record of a page, found by its number.  Guarded by the pool's lock. */
struct z3fold_page {
	struct z3fold_link links[Z3FOLD_RINGS];
	uint64_t stamp;                 /* when an object was last stored; falls along the ring by age */
	uint32_t slots[Z3FOLD_BUDDIES]; /* of the handle table; ZP_SLOT_NONE: no object */
	uint8_t chunks[Z3FOLD_BUDDIES]; /* 0: no object */
	uint8_t middle_at : 6;          /* the middle object's first chunk; 0 without one */
	uint8_t state : 2;
};

_Static_assert(sizeof(struct z3fold_page) == 40, "a record costs a hundredth of its page");
_Static_assert(((sizeof(struct z3fold_page) << Z3FOLD_UNIT_SHIFT) & (ZP_PAGE_BYTES - 1)) == 0,
	       "a unit of records is whole pages");

/* A unit of records.  in_use may fall without a lock, and rises under record_lock. */
struct z3fold_unit {
	_Atomic(uint16_t) in_use; /* pages of it that are ours */
	uint8_t committed;        /* guarded by record_lock */
};

/* Units and records of the page numbers below 2^13, or from 2^(12+k) to 2^(13+k). */
struct z3fold_block {
	struct z3fold_unit *units; /* NULL: not reserved yet */
	size_t head_bytes;         /* the units, all committed; behind them the records */
	size_t bytes;
	uintptr_t base; /* address that the record of page 0 would have */
};

/*
 * Where a compaction by budgets stopped.  Of calls at the same time, which began at the same place, the one that got
 * further counts.  Zero: at the beginning.
 */
struct z3fold_round {
	uint64_t series;   /* compactions by budgets that came to their end before this one */
	uint64_t steps;    /* done in this one */
	unsigned int room; /* the ring that is being gone round; 0: the round begins */
	uint32_t left;     /* pages of that ring that are still to try */
	unsigned int rounds;
	bool gained;         /* this round has emptied a page */
	bool at_trim;        /* the rounds are over */
	uint32_t owed_pages; /* that were emptied, and lie in the reserve */
	uint32_t record_unit;
	struct zp_trim trim;
};

struct z3fold_pool {
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;

	struct zp_lock lock;
	/* Guarded by it: */
	uint32_t by_room[Z3FOLD_PAGE_CHUNKS];    /* [n]: pages that can take an object of n chunks, and of no more */
	uint32_t room_pages[Z3FOLD_PAGE_CHUNKS]; /* how many stand there */
	uint64_t room_mask;                      /* which of these are not empty */
	uint32_t newest;                         /* of the ring by age; its prev is the oldest */
	uint64_t clock;
	uint64_t listed_pages, reclaim_pages;
	uint64_t objects, stored_chunks;
	uint64_t open_places; /* objects that the pages in by_room lack to three */
	uint64_t moved_bytes, released_bytes, compactions;
	uint64_t evictions, evict_refused;
	/* Taken under NOWAIT, and then not needed: a slot of the handle table, and a page that has no record yet. */
	uint32_t spare_slot, spare_pgno;
	uint64_t frees;
	/* A malloc at the limit tried so many pages in vain, and will not try again before so many frees. */
	uint64_t retry_at_frees;
	struct z3fold_round round;

	/* Guards the blocks and what of them is committed; a page's record may be used without by whose the page is. */
	struct zp_lock record_lock;
	struct z3fold_block blocks[Z3FOLD_BLOCKS];

	struct zp_counts counts;
};

/*
 * A location, as the handle table keeps it: page number and first chunk.  So mapping an object needs no look at its
 * page's record.
 */
_Static_assert(ZP_PGNO_BITS + Z3FOLD_CHUNK_SHIFT <= ZP_LOCATION_BITS, "a location holds page and chunk");

static inline uint64_t z3fold_location(uint32_t pgno, unsigned int chunk)
{
	return (uint64_t)pgno * Z3FOLD_PAGE_CHUNKS + chunk;
}

static inline uint32_t z3fold_location_pgno(uint64_t location)
{
	return (uint32_t)(location / Z3FOLD_PAGE_CHUNKS);
}

static inline unsigned int z3fold_location_chunk(uint64_t location)
{
	return (unsigned int)(location % Z3FOLD_PAGE_CHUNKS);
}

static inline char *z3fold_address(struct z3fold_pool *pool, uint64_t location)
{
	return (char *)zp_pages_address(&pool->pages, z3fold_location_pgno(location)) +
	       (size_t)z3fold_location_chunk(location) * Z3FOLD_CHUNK_BYTES;
}

static inline unsigned int z3fold_block_of(uint32_t pgno)
{
	return (unsigned int)(32 - Z3FOLD_BLOCK_SHIFT) -
	       (unsigned int)__builtin_clz(pgno | ((1u << Z3FOLD_BLOCK_SHIFT) - 1));
}

/* The record of a page that is ours. */
static inline struct z3fold_page *z3fold_page_at(const struct z3fold_pool *pool, uint32_t pgno)
{
	uintptr_t base = pool->blocks[z3fold_block_of(pgno)].base;

	return (struct z3fold_page *)(base + (uintptr_t)pgno * sizeof(struct z3fold_page));
}

/* ---- a page's geometry ---- */

static inline unsigned int z3fold_page_objects(const struct z3fold_page *page)
{
	return (page->chunks[Z3FOLD_FIRST] != 0) + (page->chunks[Z3FOLD_MIDDLE] != 0) +
	       (page->chunks[Z3FOLD_LAST] != 0);
}

static inline unsigned int z3fold_page_used_chunks(const struct z3fold_page *page)
{
	return page->chunks[Z3FOLD_FIRST] + page->chunks[Z3FOLD_MIDDLE] + page->chunks[Z3FOLD_LAST];
}

/* The largest object, in chunks, that the page can take, once its middle object has moved out of the way. */
static inline unsigned int z3fold_page_room(const struct z3fold_page *page)
{
	return z3fold_page_objects(page) == Z3FOLD_BUDDIES ? 0 : Z3FOLD_PAGE_CHUNKS - z3fold_page_used_chunks(page);
}

static inline unsigned int z3fold_first_chunk(const struct z3fold_page *page, enum z3fold_buddy buddy)
{
	if (buddy == Z3FOLD_FIRST)
		return 0;
	return buddy == Z3FOLD_MIDDLE ? page->middle_at : Z3FOLD_PAGE_CHUNKS - page->chunks[Z3FOLD_LAST];
}

/* Which object begins at that chunk.  A middle object never begins at chunk 0. */
static inline enum z3fold_buddy z3fold_buddy_at(const struct z3fold_page *page, unsigned int chunk)
{
	if (chunk == 0)
		return Z3FOLD_FIRST;
	return page->chunks[Z3FOLD_MIDDLE] && chunk == page->middle_at ? Z3FOLD_MIDDLE : Z3FOLD_LAST;
}

/* Where an object is to go. */
struct z3fold_place {
	uint32_t pgno;
	enum z3fold_buddy buddy;
	unsigned int chunk;
};

/* ---- z3fold_page.c: pages and what is in them; all with the lock held, but init ---- */

void z3fold_page_init(struct z3fold_pool *pool, uint32_t pgno);

/* Put a page on both rings, as the youngest, or take it off. */
void z3fold_page_enter_rings(struct z3fold_pool *pool, uint32_t pgno);
void z3fold_page_leave_rings(struct z3fold_pool *pool, uint32_t pgno);

/* A place for so many chunks: in the page with the least room that suffices.  false: there is none. */
bool z3fold_find_place(struct z3fold_pool *pool, unsigned int chunks, struct z3fold_place *place);

/* The place in an empty page that is on no ring. */
struct z3fold_place z3fold_place_in_new_page(uint32_t pgno);

/* Store a new object there, which makes the page the youngest; returns its handle. */
unsigned long z3fold_store(struct z3fold_pool *pool, const struct z3fold_place *place, unsigned int chunks,
			   uint32_t slot, bool zero);

/* Take a freed object out of its page.  Returns a page that this emptied, now the caller's, or ZP_PGNO_NONE. */
uint32_t z3fold_drop(struct z3fold_pool *pool, uint64_t location);

/* ---- z3fold_move.c; with the lock held ---- */

/* Move the middle object to where it wastes nothing, if that gains so many chunks.  false: it stays. */
bool z3fold_settle_middle(struct z3fold_pool *pool, uint32_t pgno, unsigned int gain_chunks);

/*
 * Move every object of a page into other pages' room, or none.  true: the page is empty, on no ring, and the caller's
 * to give back.
 */
bool z3fold_empty_page(struct z3fold_pool *pool, uint32_t pgno);

/* What moves need of z3fold_page.c: fill and clear a place, and file the page by the room that it has then. */
void z3fold_fill(struct z3fold_pool *pool, const struct z3fold_place *place, unsigned int chunks, uint32_t slot);
void z3fold_clear(struct z3fold_pool *pool, uint32_t pgno, enum z3fold_buddy buddy);
void z3fold_room_enter(struct z3fold_pool *pool, uint32_t pgno);
void z3fold_room_leave(struct z3fold_pool *pool, uint32_t pgno);

/* Make `heir` as young as `from`, if it is older. */
void z3fold_page_inherit(struct z3fold_pool *pool, uint32_t heir, uint32_t from);

/* ---- z3fold_record.c: the table of records; without the pool's lock, but get under NOWAIT ---- */

/* See to it that a page that was just taken has a record.  0 or -errno. */
int z3fold_record_get(struct z3fold_pool *pool, uint32_t pgno, zpool_gfp_t gfp);

/* Give an empty page that is on no ring back, with its record. */
void z3fold_page_put(struct z3fold_pool *pool, uint32_t pgno);

/* Has this number a record that may be read?  For checks. */
bool z3fold_record_is_ready(struct z3fold_pool *pool, uint32_t pgno);

/*
 * Give back the memory of records that no page uses: of a few units, from number *unit on (0 to begin with).  false:
 * that was the last one.
 */
bool z3fold_records_trim(struct z3fold_pool *pool, uint32_t *unit);
void z3fold_records_fini(struct z3fold_pool *pool);

/* ---- z3fold_compact.c, z3fold_reclaim.c, z3fold_stats.c ---- */

int z3fold_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);
int z3fold_trim(void *pool, uint64_t *released);

/*
 * For a malloc that found no memory: give back what is kept, or else empty a few pages into others.  true: there is
 * room, so it is worth another try.  Without the lock.
 */
bool z3fold_make_room(struct z3fold_pool *pool);
int z3fold_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);
int z3fold_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int z3fold_verify(void *pool);

#endif
