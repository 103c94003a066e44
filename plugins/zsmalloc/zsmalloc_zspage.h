/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_zspage.h - zspages, their records, and where an object is
 */
#ifndef ZSMALLOC_ZSPAGE_H
#define ZSMALLOC_ZSPAGE_H

#include "table.h"

enum {
	ZSMALLOC_CHAIN_MAX = 64,  /* the pages of a zspage fit one word */
	ZSMALLOC_SLOTS_MAX = 256, /* and its slots four */
	ZSMALLOC_SLOT_BITS = 8,
	ZSMALLOC_INLINE_SLOTS = 4, /* zspages of so few slots keep their handle slots in the record */
	ZSMALLOC_GROUPS = 11,      /* by tenths of fullness; the last is for full ones */
	ZSMALLOC_FULL = ZSMALLOC_GROUPS - 1,
	ZSMALLOC_NUMBERS = 1 << 24 /* of zspages, with ZSMALLOC_NONE */
};

#define ZSMALLOC_NONE UINT32_C(0) /* no zspage has number 0 */

_Static_assert(ZSMALLOC_SLOTS_MAX <= 1 << ZSMALLOC_SLOT_BITS, "a slot's number fits its bits");

struct zsmalloc_pool;
struct zsmalloc_class;

/*
 * What free and map need of a zspage.  Apart from the record and small, so that the headers of a large pool stay in the
 * processor's cache, where the records would not.  base, slot_bytes and class_index are constant while an object in the
 * zspage is live, so a thread that has one pinned reads them without a lock.
 */
struct zsmalloc_header {
	char *base; /* of slot 0 */
	uint32_t slot_bytes;
	_Atomic(uint16_t) class_index; /* ZSMALLOC_NO_CLASS: the record is free; anybody reads it at any time */
	_Atomic(bool) listed;          /* on its class's lists; likewise */
	_Atomic(bool) cacheable;       /* threads may cache its slots: it is listed, and not being emptied; likewise */
};

/* The rings of a class's zspages.  The first link also serves the lists of free records and of emptied zspages. */
enum zsmalloc_ring {
	ZSMALLOC_BY_FULLNESS, /* one ring for each group */
	ZSMALLOC_BY_AGE,      /* by stamp, the newest first; only kept in pools that evict */
	ZSMALLOC_RINGS
};

struct zsmalloc_link {
	uint32_t next, prev;
};

/*
 * A zspage: a run of pages, cut into slots.  Guarded by its class's lock.
 *
 * A slot is used (by an object, or cached by a thread), or free.  A free slot that was used before is still bound to
 * its slot of the handle table, and is called a hole; a hole's pages have memory.
 */
struct zsmalloc_zspage {
	struct zsmalloc_header *header; /* constant while the record is in use */
	uint32_t pgno;
	uint16_t used_slots;
	uint16_t holes;
	uint64_t committed; /* a bit for each page that has memory */
	uint64_t stamp;     /* when an object was last stored; only kept in pools that evict */
	struct zsmalloc_link links[ZSMALLOC_RINGS];
	uint32_t passed; /* the last compaction that could not empty it */
	uint8_t group;
	uint64_t used[ZSMALLOC_SLOTS_MAX /
		      64]; /* of few slots only the first word, and in the others the handle slots */
};

/* The tables of headers and records, by number, and a list of those that are free. */
struct zsmalloc_records {
	struct zp_table headers, records;
	struct zp_lock lock;
	uint32_t max;        /* constant; tests have less */
	uint32_t end;        /* handed out once: all numbers below */
	uint32_t live;       /* of these not free */
	uint32_t first_free; /* list through next */
};

/* ---- numbers ---- */

/* Where an object is, as the handle table keeps it: zspage and slot. */
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

/* ---- zsmalloc_records.c: numbers of zspages; without a class's lock, but with it under NOWAIT ---- */

void zsmalloc_records_init(struct zsmalloc_records *records);
void zsmalloc_records_fini(struct zsmalloc_pool *pool);

/* Puts the free records in order, lowest first, and gives the memory behind the last one in use back. */
void zsmalloc_records_trim(struct zsmalloc_pool *pool);

/* 0 and *number, -ENOMEM, or (NOWAIT) -EAGAIN. */
int zsmalloc_record_get(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number);
void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number, bool reusable);

/* Has the pool as many zspages as there can be? */
bool zsmalloc_records_are_full(struct zsmalloc_pool *pool);

/*
 * ---- zsmalloc_zspage.c: zspages and their slots; with the class's lock held, but where a comment says otherwise ----
 */

/*
 * A zspage of the class, on no list, with memory for its first slot.  0 or -errno.  Without the class's lock; but with
 * it under NOWAIT.
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

/* Counts a zspage among its class's. */
void zsmalloc_zspage_join(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Puts a zspage on the lists of its class's groups and age, there as the youngest, or takes it off. */
void zsmalloc_zspage_list(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);
void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Makes a listed zspage the one that compaction empties, or (ZSMALLOC_NONE) none. */
void zsmalloc_class_set_source(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Files a listed zspage by its new fullness. */
void zsmalloc_zspage_refile(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Holes that came to the class's listed zspages, or went. */
void zsmalloc_class_add_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, int count);

/* The fullest zspage that has room, or ZSMALLOC_NONE. */
uint32_t zsmalloc_fullest(const struct zsmalloc_class *class);

/* The lowest free slot, or -1; `ready`: one that has memory. */
int zsmalloc_slot_find(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage, bool ready);

/*
 * Takes a free slot: commits its pages, gives it to a handle slot, and files the zspage by its new fullness.  The
 * handle slot that the slot was bound to is the caller's: *hole, or ZP_SLOT_NONE.  0 or -errno.
 */
int zsmalloc_slot_take(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot, zpool_gfp_t gfp, uint32_t *hole);

/* Frees a slot.  It stays bound to `handle_slot`, which is dead and has its location; ZP_SLOT_NONE: to none. */
void zsmalloc_slot_free(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			uint32_t handle_slot);

/* Does the same, and retires the zspage if it is listed and has become empty. */
void zsmalloc_slot_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot);

/* The handle slot that a free slot is bound to, or ZP_SLOT_NONE. */
uint32_t zsmalloc_slot_hole(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint64_t location);

/* The highest slot in use below one, or -1. */
int zsmalloc_highest_used(const struct zsmalloc_zspage *zspage, int below);

/* How many pages have memory, and no object lies on them. */
unsigned int zsmalloc_zspage_idle_pages(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage);

/* Takes memory from pages on which no object lies, except for the first `spared` of them.  Returns how many. */
unsigned int zsmalloc_zspage_decommit_idle(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
					   unsigned int spared);

/* Marks the zspage as the one that an object was stored in last. */
void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Makes `heir` as young as an older zspage that gave it an object. */
void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from);

/*
 * Another record for a zspage that is on its lists: the lowest free one, if zsmalloc_records_trim() was called before;
 * it must be called again, for the record that becomes free.  The zspage's objects are isolated, for their locations
 * change with it.  0 and *to, or -errno.
 */
int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to);

/* The lowest pages that are free for a zspage whose objects are isolated.  false: there are none. */
bool zsmalloc_zspage_relocate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

#endif
