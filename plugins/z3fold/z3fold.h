/* SPDX-License-Identifier: MIT
 *
 * z3fold.h - what the files of the z3fold driver share; z3fold.c describes the design
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
	Z3FOLD_GAIN_CHUNKS = 3,   /* a free moves the middle object only if that gains this many chunks */
	Z3FOLD_FIND_TRIES = 8,    /* a search stops after this many pages whose mapped middle object blocks it */
	Z3FOLD_RECLAIM_TRIES = 8, /* shrink stops after this many consecutive pages that it could not empty */
	Z3FOLD_UNIT_SHIFT = 9,    /* records are committed 2^9 at a time */
	Z3FOLD_BLOCK_SHIFT = 13,  /* address space is reserved for at least 2^13 records at a time */
	Z3FOLD_BLOCKS = ZP_PGNO_BITS - Z3FOLD_BLOCK_SHIFT + 1
};

enum z3fold_buddy { Z3FOLD_FIRST, Z3FOLD_MIDDLE, Z3FOLD_LAST, Z3FOLD_BUDDIES };

/*
 * A free page does not belong to the driver.  A page under reclaim is on a ring of its own, and a free only clears its
 * object.
 */
enum z3fold_state { Z3FOLD_PAGE_FREE, Z3FOLD_PAGE_LISTED, Z3FOLD_PAGE_UNDER_RECLAIM };

/* Rings of pages: one for each amount of room, and one of all pages, by the time of the last store into them. */
enum z3fold_ring { Z3FOLD_BY_ROOM, Z3FOLD_BY_AGE, Z3FOLD_RINGS };

struct z3fold_link {
	uint32_t next, prev; /* page numbers; ZP_PGNO_NONE if the page is on no ring */
};

/* The record of a page, which is found by the page's number.  The pool's lock guards it. */
struct z3fold_page {
	struct z3fold_link links[Z3FOLD_RINGS];
	/* The time of the last store, which decreases along the ring by age; or pthread_self() of who reclaims it. */
	uint64_t stamp;
	uint32_t handle_slots[Z3FOLD_BUDDIES]; /* of the handle table; ZP_SLOT_NONE if there is no object */
	uint8_t chunks[Z3FOLD_BUDDIES];        /* 0 if there is no object */
	uint8_t middle_at : 6;                 /* the middle object's first chunk; 0 if there is none */
	uint8_t state : 2;
};

_Static_assert(sizeof(struct z3fold_page) == 40, "a record is a hundredth of its page in size");
_Static_assert(((sizeof(struct z3fold_page) << Z3FOLD_UNIT_SHIFT) & (ZP_PAGE_BYTES - 1)) == 0,
	       "a unit of records must be a number of whole pages");

/* A unit of records.  in_use may decrease without a lock, but increases only under record_lock. */
struct z3fold_unit {
	_Atomic(uint16_t) in_use; /* pages of this unit that the driver uses */
	uint8_t committed;        /* guarded by record_lock */
};

/* The units and records of the page numbers below 2^13, or from 2^(12+k) to 2^(13+k). */
struct z3fold_block {
	struct z3fold_unit *units; /* NULL if the block is not reserved yet */
	/* size of the array of units, which is committed as a whole; the records follow it */
	size_t head_bytes;
	size_t bytes;
	uintptr_t base; /* the address that the record of page 0 would have */
};

/*
 * The position where a compaction with a budget stopped.  If several calls began at the same position and ran at the
 * same time, the pool keeps the position of the call that made the most steps.  All zero means the beginning.
 */
struct z3fold_round {
	uint64_t series;   /* number of earlier compactions with a budget that ran to their end */
	uint64_t steps;    /* steps made in this one */
	unsigned int room; /* the ring that the current round has reached; 0 if the round has not begun */
	uint32_t left;     /* pages of that ring that the round still has to try */
	unsigned int rounds;
	bool gained;               /* this round has emptied at least one page */
	bool at_trim;              /* the rounds are finished, and the trim has begun */
	uint32_t unreleased_pages; /* pages that this compaction emptied and that are still in the reserve */
	uint32_t record_unit;
	struct zp_trim trim;
};

/* The locking order. */
enum z3fold_rank { Z3FOLD_RANK_POOL = ZP_RANK_DRIVER, Z3FOLD_RANK_RECORDS };

struct z3fold_pool {
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;

	struct zp_lock lock;
	/* The lock guards the following members: */
	uint32_t by_room[Z3FOLD_PAGE_CHUNKS];    /* [n]: pages that can take an object of n chunks but no larger one */
	uint32_t room_pages[Z3FOLD_PAGE_CHUNKS]; /* number of pages in each ring */
	uint64_t room_mask;                      /* bit n is set if by_room[n] is not empty */
	uint32_t newest;                         /* head of the ring by age; its prev is the oldest page */
	uint32_t reclaiming;                     /* head of the ring of the pages under reclaim, linked like that one */
	uint64_t clock;
	uint64_t listed_pages, reclaim_pages;
	bool is_child; /* of fork(), in which calls of other threads have not ended */
	uint64_t objects, stored_chunks;
	uint64_t open_slots; /* number of objects that the pages in by_room could still take */
	uint64_t moved_bytes, released_bytes, compactions;
	uint64_t evictions, evict_refused;
	/*
	 * A slot of the handle table, and a page that may not have a record yet: a NOWAIT call got them but did not use
	 * them.
	 */
	uint32_t spare_handle_slot, spare_pgno;
	uint64_t frees;
	/*
	 * After a malloc at the limit has tried pages without success, no malloc tries again before this many frees
	 * were made in total.
	 */
	uint64_t retry_at_frees;
	struct z3fold_round round;

	/*
	 * Guards the blocks and which parts of them are committed.  The user of a page may read its record without this
	 * lock.
	 */
	struct zp_lock record_lock;
	struct z3fold_block blocks[Z3FOLD_BLOCKS];

	struct zp_counts counts;
};

/*
 * A location, as stored in the handle table, has the page number and the first chunk.  So mapping an object does not
 * need the page's record.
 */
_Static_assert(ZP_PGNO_BITS + Z3FOLD_CHUNK_SHIFT == ZP_LOCATION_BITS, "a location holds page and chunk, and no more");

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

/* Returns the record of a page that the driver uses. */
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

/* Returns the size in chunks of the largest object that the page can take after its middle object has moved. */
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

/* Returns the object that begins at this chunk.  A middle object never begins at chunk 0. */
static inline enum z3fold_buddy z3fold_buddy_at(const struct z3fold_page *page, unsigned int chunk)
{
	if (chunk == 0)
		return Z3FOLD_FIRST;
	return page->chunks[Z3FOLD_MIDDLE] && chunk == page->middle_at ? Z3FOLD_MIDDLE : Z3FOLD_LAST;
}

/* The slot that an object is stored in or moved to. */
struct z3fold_slot {
	uint32_t pgno;
	enum z3fold_buddy buddy;
	unsigned int chunk;
};

/* ---- z3fold_page.c: pages and their slots; the caller holds the lock, except for init ---- */

void z3fold_page_init(struct z3fold_pool *pool, uint32_t pgno);

/* Puts a page on both rings, as the youngest page; or takes it off. */
void z3fold_page_enter_rings(struct z3fold_pool *pool, uint32_t pgno);
void z3fold_page_leave_rings(struct z3fold_pool *pool, uint32_t pgno);

/* Puts a page that is on no ring under reclaim by the calling thread, or ends that. */
void z3fold_reclaim_begin(struct z3fold_pool *pool, uint32_t pgno);
void z3fold_reclaim_end(struct z3fold_pool *pool, uint32_t pgno);

/* In a forked child: ends the reclaims of other threads, which do not exist here. */
void z3fold_reclaims_of_others_end(struct z3fold_pool *pool);

/* Finds a slot of this many chunks in the page with the least room that suffices.  Returns false if there is none. */
bool z3fold_find_slot(struct z3fold_pool *pool, unsigned int chunks, struct z3fold_slot *slot);

/* Returns the first slot of an empty page that is on no ring. */
struct z3fold_slot z3fold_slot_in_new_page(uint32_t pgno);

/* Stores a new object in the slot and returns its handle.  The page becomes the youngest. */
unsigned long z3fold_store(struct z3fold_pool *pool, const struct z3fold_slot *slot, unsigned int chunks,
			   uint32_t handle_slot, bool zero);

/*
 * Takes a freed object out of its page.  If the page becomes empty, returns it for the caller to put, else
 * ZP_PGNO_NONE.
 */
uint32_t z3fold_drop(struct z3fold_pool *pool, uint64_t location);

/* ---- z3fold_move.c: the caller holds the lock ---- */

/*
 * Moves the middle object next to its neighbour, or to the beginning of the page if it is alone, provided that this
 * gains at least gain_chunks.  Returns false if the object did not move.
 */
bool z3fold_shift_middle(struct z3fold_pool *pool, uint32_t pgno, unsigned int gain_chunks);

/*
 * Moves all objects of a page into the room of other pages, or none of them.  Returns true if the page is empty and on
 * no ring; the caller must then put it.
 */
bool z3fold_empty_page(struct z3fold_pool *pool, uint32_t pgno);

/* The functions of z3fold_page.c that moves need: fill and clear a slot, and list the page by its room. */
void z3fold_fill(struct z3fold_pool *pool, const struct z3fold_slot *slot, unsigned int chunks, uint32_t handle_slot);
void z3fold_clear(struct z3fold_pool *pool, uint32_t pgno, enum z3fold_buddy buddy);
void z3fold_room_enter(struct z3fold_pool *pool, uint32_t pgno);
void z3fold_room_leave(struct z3fold_pool *pool, uint32_t pgno);

/* Makes page `to` as young as page `from`, if it is older. */
void z3fold_page_inherit(struct z3fold_pool *pool, uint32_t to, uint32_t from);

/*
 * ---- z3fold_record.c: the table of records; the caller does not hold the pool's lock, except for get with NOWAIT ----
 */

/* Commits the record of a page that the caller just got.  Returns 0 or -errno. */
int z3fold_record_get(struct z3fold_pool *pool, uint32_t pgno, zpool_gfp_t gfp);

/* Returns an empty page that is on no ring, and its record. */
void z3fold_page_put(struct z3fold_pool *pool, uint32_t pgno);

/* Returns true if the record of this page number can be read; used by verify. */
bool z3fold_record_is_ready(struct z3fold_pool *pool, uint32_t pgno);

/*
 * Decommits the records that no page uses in a few units, from number *unit on, which is 0 for the first call.  Returns
 * false after the last unit.
 */
bool z3fold_records_trim(struct z3fold_pool *pool, uint32_t *unit);
void z3fold_records_fini(struct z3fold_pool *pool);

/* ---- z3fold_compact.c, z3fold_reclaim.c, z3fold_stats.c ---- */

int z3fold_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);
int z3fold_trim(void *pool, uint64_t *released);

/*
 * Makes room for a malloc that found no memory: returns cached memory, or else moves the objects of a few pages into
 * others.  Returns true if another try is worthwhile.  The caller does not hold the lock.
 */
bool z3fold_make_room(struct z3fold_pool *pool);
int z3fold_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);
int z3fold_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int z3fold_verify(void *pool);

#endif
