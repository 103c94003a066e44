/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_zspage.h - zspages, their headers and records, and the locations of objects
 */
#ifndef ZSMALLOC_ZSPAGE_H
#define ZSMALLOC_ZSPAGE_H

#include "table.h"

enum {
	ZSMALLOC_CHAIN_MAX = 64,  /* so a mask of the pages of a zspage is one word */
	ZSMALLOC_SLOTS_MAX = 256, /* so its bitmap of slots is four words */
	ZSMALLOC_SLOT_BITS = 8,
	ZSMALLOC_INLINE_SLOTS = 4, /* zspages with no more slots keep their handle slots in the record */
	ZSMALLOC_GROUPS = 11,      /* by tenths of fullness; the last one is for full zspages */
	ZSMALLOC_FULL = ZSMALLOC_GROUPS - 1,
	ZSMALLOC_NUMBERS = 1 << 24, /* the number of zspages, including ZSMALLOC_NONE */
	ZSMALLOC_RUN_BITS = 56      /* of the number of a run of compaction: enough for millennia */
};

#define ZSMALLOC_NONE UINT32_C(0) /* no zspage has number 0 */

_Static_assert(ZSMALLOC_SLOTS_MAX <= 1 << ZSMALLOC_SLOT_BITS, "a slot's number fits its bits");

struct zsmalloc_pool;
struct zsmalloc_class;

/*
 * A zspage header: what free and map need of a zspage.  It is separate from the record and small, so that the headers
 * of a large pool stay in the processor's cache.  base, slot_bytes and class_index are constant while the zspage has a
 * live object, so a thread that has one pinned reads them without a lock.  Any thread may read the atomic members at
 * any time.
 */
struct zsmalloc_header {
	char *base; /* the address of slot 0 */
	uint32_t slot_bytes;
	_Atomic(uint16_t) class_index; /* of the class, or ZSMALLOC_NO_CLASS or ZSMALLOC_FUTURE_CLASS */
	_Atomic(bool) listed;          /* the zspage is in the rings of its class */
	_Atomic(bool) cacheable;       /* threads may cache its slots: it is listed and not being emptied */
};

/* The rings of a class's zspages.  The first link also links free records and emptied zspages. */
enum zsmalloc_ring {
	ZSMALLOC_BY_FULLNESS, /* one ring for each group */
	ZSMALLOC_BY_AGE,      /* by stamp, the newest first; only kept in pools that evict */
	ZSMALLOC_RINGS
};

struct zsmalloc_link {
	uint32_t next, prev;
};

/*
 * The record of a zspage, which is a run of pages that is cut into slots.  Guarded by its class's lock.
 *
 * A slot is used, by an object or in a thread's cache, or free.  A free slot that was used before is still bound to its
 * handle slot and is called a hole.  The pages of a hole have memory.
 */
struct zsmalloc_zspage {
	struct zsmalloc_header *header; /* constant while the record is in use */
	uint32_t pgno;
	uint16_t used_slots;
	uint16_t holes;
	uint64_t committed; /* bitmap of the pages that have memory */
	uint64_t stamp;     /* when an object was last stored, in pools that evict; or the thread that reclaims it */
	struct zsmalloc_link links[ZSMALLOC_RINGS];
	/* The last compaction that could not empty it.  These bits and those of the group share one word. */
	uint64_t passed : ZSMALLOC_RUN_BITS;
	uint64_t group : 64 - ZSMALLOC_RUN_BITS;
	/* A bitmap of the slots.  If there are few, it is one word, and their handle slots are in the other words. */
	uint64_t used[ZSMALLOC_SLOTS_MAX / 64];
};

_Static_assert(sizeof(struct zsmalloc_zspage) == 88 || sizeof(void *) < 8, "a record has no padding");

/* The tables of headers and records, by number, and a list of the free ones. */
struct zsmalloc_records {
	struct zp_table headers, records;
	struct zp_lock lock;
	uint32_t max;        /* constant; tests set a smaller one */
	uint32_t end;        /* all lower numbers were handed out at least once */
	uint32_t live;       /* records that are not free */
	uint32_t first_free; /* head of the list of free records */
};

/* ---- locations ---- */

/* Returns the location of an object, as the handle table stores it. */
static inline uint64_t zsmalloc_location(uint32_t zspage, unsigned int slot)
{
	return (uint64_t)zspage << ZSMALLOC_SLOT_BITS | slot;
}

static inline uint32_t zsmalloc_location_zspage(uint64_t location)
{
	return (uint32_t)(location >> ZSMALLOC_SLOT_BITS);
}

static inline unsigned int zsmalloc_location_slot(uint64_t location)
{
	return (unsigned int)location & ((1u << ZSMALLOC_SLOT_BITS) - 1);
}

static inline char *zsmalloc_slot_address(const struct zsmalloc_header *header, unsigned int slot)
{
	return header->base + (size_t)slot * header->slot_bytes;
}

static inline bool zsmalloc_is_listed(const struct zsmalloc_header *header)
{
	return atomic_load_explicit(&header->listed, memory_order_relaxed);
}

static inline bool zsmalloc_is_cacheable(const struct zsmalloc_header *header)
{
	return atomic_load_explicit(&header->cacheable, memory_order_relaxed);
}

static inline void zsmalloc_set_cacheable(struct zsmalloc_header *header, bool cacheable)
{
	atomic_store_explicit(&header->cacheable, cacheable, memory_order_relaxed);
}

static inline bool zsmalloc_slot_is_used(const struct zsmalloc_zspage *zspage, unsigned int slot)
{
	return zspage->used[slot / 64] >> (slot % 64) & 1;
}

/* ---- zsmalloc_records.c: called without a class's lock, except under NOWAIT ---- */

void zsmalloc_records_init(struct zsmalloc_records *records);
void zsmalloc_records_fini(struct zsmalloc_pool *pool);

/* Sorts the list of free records, the lowest first, and releases the memory behind the last used one. */
void zsmalloc_records_trim(struct zsmalloc_pool *pool);

/*
 * record_get returns 0 with *number, -ENOMEM, or (NOWAIT) -EAGAIN.  A record that is put back without `reusable` is not
 * handed out before the next zsmalloc_records_trim(), which sorts the free records.
 */
int zsmalloc_record_get(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number);
void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number, bool reusable);

/* Returns true if the pool has as many zspages as it can have. */
bool zsmalloc_records_are_full(struct zsmalloc_pool *pool);

/* ---- zsmalloc_zspage.c, zsmalloc_lists.c: called with the class's lock held, unless a comment says otherwise ---- */

/*
 * Creates a zspage of the class that is on no list and has memory for its first slot.  Called without the class's lock,
 * except under NOWAIT.  Returns 0 or -errno.
 */
int zsmalloc_zspage_create(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number);

/*
 * Removes an empty zspage that is on no list from its class.  zsmalloc_class_unlock() destroys it.  With `or_spare`, it
 * may stay as the class's spare zspage instead.
 */
void zsmalloc_zspage_retire(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, bool or_spare);

/*
 * Releases the class's lock, and then destroys the zspages that were retired under it, with the handle slots that their
 * slots are bound to.
 */
void zsmalloc_class_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Adds a zspage to the counts of its class. */
void zsmalloc_zspage_join(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Puts a zspage into the rings of its class, by age as the newest one, or takes it out. */
void zsmalloc_zspage_list(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);
void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Puts a zspage that is in no ring under reclaim by the calling thread, or ends that. */
void zsmalloc_reclaim_begin(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);
void zsmalloc_reclaim_end(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* In a forked child: ends the reclaims of other threads, which do not exist here. */
void zsmalloc_reclaims_of_others_end(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Sets the zspage that compaction is emptying.  With ZSMALLOC_NONE, there is none. */
void zsmalloc_class_set_source(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Makes a listed zspage the last of its group's ring. */
void zsmalloc_zspage_defer(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Moves a listed zspage to the group of its present fullness. */
void zsmalloc_zspage_refile(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Changes the class's count of holes in listed zspages; `count` may be negative. */
void zsmalloc_class_add_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, int count);

/* Returns a zspage of the fullest group that has free slots, or ZSMALLOC_NONE. */
uint32_t zsmalloc_fullest(const struct zsmalloc_class *class);

/* Returns the lowest free slot, or -1 if there is none; if `ready`, only one that has memory. */
int zsmalloc_slot_find(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage, bool ready);

/*
 * Takes a free slot: commits its pages and assigns it to a handle slot.  The handle slot that it was bound to before,
 * *hole, belongs to the caller then; ZP_SLOT_NONE: the slot was not bound.  Returns 0 or -errno.
 */
int zsmalloc_slot_take(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot, zpool_gfp_t gfp, uint32_t *hole);

/*
 * Frees a slot.  It stays bound to `handle_slot`, which is dead and has the slot's location, unless that is
 * ZP_SLOT_NONE.
 */
void zsmalloc_slot_free(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			uint32_t handle_slot);

/* Does the same, and retires the zspage if it is listed and has become empty. */
void zsmalloc_slot_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot);

/* Returns the handle slot that a free slot is bound to, or ZP_SLOT_NONE. */
uint32_t zsmalloc_slot_hole(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint64_t location);

/* Returns the highest used slot that is lower than `below`, or -1. */
int zsmalloc_highest_used(const struct zsmalloc_zspage *zspage, int below);

/* Returns how many pages have memory although no object lies on them. */
unsigned int zsmalloc_zspage_idle_pages(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage);

/* Releases the memory of idle pages, except for the first `spared` of them.  Returns how many were released. */
unsigned int zsmalloc_zspage_decommit_idle(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
					   unsigned int spared);

/* Makes the zspage the newest one, because an object is stored in it. */
void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Gives `heir` the age of zspage `from`, because an object moved from there. */
void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from);

/*
 * Moves a listed zspage, whose objects are isolated, to the lowest free record.  The locations of its objects change.
 * The records must have been trimmed before, and must be trimmed again afterwards.  Returns 0 with *to, or -errno.
 */
int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to);

/* Copies a zspage, whose objects are isolated, to the lowest free pages.  Without lower ones, or memory, it stays. */
void zsmalloc_zspage_relocate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

#endif
