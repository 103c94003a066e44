/* SPDX-License-Identifier: MIT
 *
 * zblock.h - what the files of the zblock driver share; zblock.c describes the design
 */
#ifndef ZBLOCK_H
#define ZBLOCK_H

#include <zpool-driver.h>

#include "counts.h"
#include "handles.h"
#include "lock.h"
#include "magazine.h"
#include "pages.h"
#include "table.h"

enum {
	ZBLOCK_ALIGN_SHIFT = 3,
	ZBLOCK_ALIGN_BYTES = 1 << ZBLOCK_ALIGN_SHIFT,
	ZBLOCK_HEAD_BYTES = 32, /* stays empty in front of slot 0; the kernel's driver has its header there */
	ZBLOCK_OBJECT_BYTES_MAX = 4672,
	ZBLOCK_TYPES = 29,
	ZBLOCK_PAGES_MAX = 8,
	ZBLOCK_SLOT_BITS = 5,
	ZBLOCK_SLOTS_MAX = 1 << ZBLOCK_SLOT_BITS,
	ZBLOCK_SPARE_SLOTS = 8, /* A type keeps at most this many free handle slots. */
	ZBLOCK_SPARE_PAGES = 2, /* A type keeps an empty block if it has no more pages of memory than this. */
	ZBLOCK_NOWAIT_LOOKS = 8 /* A NOWAIT call examines at most this many blocks with room. */
};

/*
 * A thread caches at most this many slots of a type plus a share of the type's used slots, and no more than
 * ZP_MAGAZINE_ITEMS.  Of a type with fewer than CACHED_FROM_SLOTS used slots it caches only the slot that it freed
 * last.
 */
enum {
	ZBLOCK_CACHED_MIN = 1,
	ZBLOCK_CACHED_SHARE = 128,
	ZBLOCK_CACHED_FROM_SLOTS = 3,
	/* When a magazine is full, this many of its oldest slots return to their type together. */
	ZBLOCK_FLUSH_SLOTS = 4,
	ZBLOCK_REFILL_SLOTS = 3 /* A malloc that finds the magazine empty takes this many slots besides its own. */
};

#define ZBLOCK_NONE UINT32_C(0) /* Block numbers start at 1. */
#define ZBLOCK_NO_TYPE 0        /* Type numbers start at 1. */

enum { ZBLOCK_NUMBER_BITS = 30, ZBLOCK_RECORD_BYTES = 32 };

enum zblock_list { ZBLOCK_UNLISTED, ZBLOCK_ROOM, ZBLOCK_IDLE, ZBLOCK_FULL, ZBLOCK_SPARE };

/*
 * The record of a block.  record_lock guards `taken`, and also `next` while the record is free.  The type's lock guards
 * everything else while the block belongs to the type.  base and type do not change during that time, so a thread that
 * has an object of the block pinned reads them without the lock.
 */
struct zblock_block {
	_Alignas(ZBLOCK_RECORD_BYTES) char *base; /* the address of slot 0 */
	uint32_t pgno;
	uint32_t vacant;       /* a bit for each slot that is free */
	uint32_t backed;       /* a bit for each slot all of whose pages have memory */
	uint32_t next, prev;   /* link the blocks of one of the type's lists; next also links free records */
	_Atomic(uint8_t) type; /* ZBLOCK_NO_TYPE if it belongs to none */
	uint8_t committed;     /* a bit for each page that has memory */
	uint8_t list;          /* enum zblock_list */
	bool taken;            /* the record is in use */
};

_Static_assert(sizeof(struct zblock_block) == ZBLOCK_RECORD_BYTES, "a record is as long as the header in the kernel");
_Static_assert(ZBLOCK_NUMBER_BITS + ZBLOCK_SLOT_BITS <= ZP_LOCATION_BITS, "a location holds block and slot");
_Static_assert(UINT32_C(1) << ZBLOCK_NUMBER_BITS <= ZP_TABLE_ENTRIES_MAX, "the table holds all records");
_Static_assert(ZBLOCK_PAGES_MAX <= 8, "a block's pages fit a byte");

/* The order in which a thread takes the locks.  Several types' locks are taken in the order of the types' numbers. */
enum zblock_rank { ZBLOCK_RANK_ROOM = ZP_RANK_DRIVER, ZBLOCK_RANK_TYPE, ZBLOCK_RANK_RECORDS };

/* A block type: blocks of one geometry, which is constant.  The lock guards the members from `blocks` on. */
struct zblock_type {
	_Alignas(64) uint16_t slot_bytes;
	uint8_t slots;                             /* slots of a block */
	uint8_t pages;                             /* pages of a block */
	uint8_t first_pages;                       /* the number of pages that slot 0 lies on */
	uint32_t all_slots;                        /* a bit for each slot */
	uint32_t slots_touching[ZBLOCK_PAGES_MAX]; /* for each page, a bit for each slot of which a part lies on it */

	uint32_t blocks; /* includes the spare block */
	struct zp_lock lock;
	/* Lists the blocks with a free slot; it starts with the block that was full until recently. */
	uint32_t room;
	uint32_t idle;  /* lists the blocks with a free slot and an idle page, in the same order */
	uint32_t full;  /* lists the blocks without a free slot */
	uint32_t spare; /* an empty block, or ZBLOCK_NONE */
	/* A record without pages, which a NOWAIT call took and then did not need. */
	uint32_t spare_record;
	uint32_t spare_count;
	uint32_t spare_slots[ZBLOCK_SPARE_SLOTS];
	uint64_t used_slots; /* slots that hold an object or are cached */
	uint64_t committed_pages;
};

struct zblock_pool {
	/* These members are constant. */
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	/* Indexed by type.  map reads it, so it is not on the cache lines of the types' locks. */
	uint16_t slot_bytes[ZBLOCK_TYPES + 1];
	/* Indexed by the size in units of 8 bytes, rounded up. */
	uint8_t type_of[ZBLOCK_OBJECT_BYTES_MAX / ZBLOCK_ALIGN_BYTES + 1];

	/* The records.  Any thread reads the table without record_lock. */
	struct zp_table records;
	struct zp_lock record_lock;
	uint32_t record_end;  /* records below this number were handed out at least once */
	uint32_t record_free; /* starts the list of free records, which ends with ZBLOCK_NONE */

	struct zp_counts counts;
	struct zp_caches caches; /* the magazine index is the number of the type */

	/*
	 * Held from when slots are taken out of the thread caches until the blocks that become empty are given back, by
	 * a trim, by a malloc that found no memory, by the walk over types, and by a thread that ends.  In between the
	 * memory is nowhere to be found, so a malloc may fail only after it has had this lock, and has waited for the
	 * frees that empty a block, which do not take it.  NOWAIT calls make no room and do not take it.
	 */
	_Alignas(64) struct zp_lock room_lock;
	struct zp_flushes flushes[ZBLOCK_TYPES + 1]; /* guarded by the type's lock; turned with room_lock held, too */

	struct zblock_type types[ZBLOCK_TYPES + 1]; /* start at index 1, smallest slots first */
};

/* ---- numbers ---- */

/* The location that the handle table stores: the numbers of the block and of the slot. */
static inline uint64_t zblock_location(uint32_t number, unsigned int slot)
{
	return (uint64_t)number << ZBLOCK_SLOT_BITS | slot;
}

static inline uint32_t zblock_location_block(uint64_t location)
{
	return (uint32_t)(location >> ZBLOCK_SLOT_BITS);
}

static inline unsigned int zblock_location_slot(uint64_t location)
{
	return (unsigned int)location & (ZBLOCK_SLOTS_MAX - 1);
}

static inline struct zblock_block *zblock_block(const struct zblock_pool *pool, uint32_t number)
{
	return zp_table_at(&pool->records, number, sizeof(struct zblock_block));
}

static inline unsigned int zblock_type_index(const struct zblock_block *block)
{
	return atomic_load_explicit(&block->type, memory_order_relaxed);
}

/* Returns the type of a bound slot.  The caller has bound its handle slot or begun to free it. */
static inline unsigned int zblock_type_of_bound(struct zblock_pool *pool, uint32_t handle_slot)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);

	return zblock_type_index(zblock_block(pool, zblock_location_block(location)));
}

static inline unsigned int zblock_used_slots(const struct zblock_type *type, const struct zblock_block *block)
{
	return type->slots - (unsigned int)__builtin_popcount(block->vacant);
}

/* Returns the pages that a slot lies on, as a mask like block->committed. */
static inline unsigned int zblock_slot_pages(const struct zblock_type *type, unsigned int slot)
{
	unsigned int from = ZBLOCK_HEAD_BYTES + slot * type->slot_bytes;
	unsigned int first = from >> ZP_PAGE_SHIFT, last = (from + type->slot_bytes - 1) >> ZP_PAGE_SHIFT;

	return ((2u << (last - first)) - 1) << first;
}

/* Returns the slots that lie wholly on these pages. */
static inline uint32_t zblock_slots_on(const struct zblock_type *type, unsigned int pages)
{
	uint32_t slots = 0;

	for (unsigned int slot = 0; slot < type->slots; slot++)
		if (!(zblock_slot_pages(type, slot) & ~pages))
			slots |= UINT32_C(1) << slot;
	return slots;
}

/* Returns the pages with memory on which no object lies. */
static inline unsigned int zblock_idle_pages(const struct zblock_type *type, const struct zblock_block *block)
{
	uint32_t used = type->all_slots & ~block->vacant;
	unsigned int idle = 0;

	for (unsigned int page = 0; page < type->pages; page++)
		if (!(used & type->slots_touching[page]))
			idle |= 1u << page;
	return block->committed & idle;
}

/* ---- zblock_type.c ---- */

void zblock_types_init(struct zblock_pool *pool);

/* ---- zblock_block.c: the caller holds the type's lock unless the comment says otherwise ---- */

/*
 * Creates a block of the type, on no list, with memory for its first slot.  Returns 0 or -errno.  The caller holds the
 * type's lock only if the call is NOWAIT.
 */
int zblock_block_create(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *number);

/*
 * Releases blocks that have left their type; `first` starts a list that `next` links, or is ZBLOCK_NONE.  The caller
 * does not hold the lock.
 */
void zblock_blocks_destroy(struct zblock_pool *pool, const struct zblock_type *type, uint32_t first);

/*
 * join adds a new block to the type and puts it first in its list; leave removes a block that is on no list from the
 * type.
 */
void zblock_block_join(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_leave(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);

/*
 * A block's slots and pages decide which list it belongs to.  list puts a block that is on no list first in its list;
 * unlist takes a block off its list; relist moves a block whose slots have changed, if it belongs to another list now.
 */
void zblock_block_list(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_unlist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_relist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);

/* Commits memory for a slot that has none.  Returns 0 or -errno. */
int zblock_slot_back(struct zblock_pool *pool, struct zblock_type *type, struct zblock_block *block, unsigned int slot,
		     zpool_gfp_t gfp);

/*
 * Releases the blocks and handle slots that types keep for their next objects, the pages without an object, and unused
 * memory of the records and of the handle table.  The caller holds no lock.
 */
void zblock_make_room(struct zblock_pool *pool);

/* ---- zblock_slots.c: the caller holds the type's lock ---- */

/*
 * Takes a free slot and binds a handle slot to it; no other thread can see the slot then.  Unless the call is NOWAIT,
 * the lock is released and taken again.  Returns 0 or -errno.
 */
int zblock_slot_get(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *handle_slot);

/* Takes up to `wanted` free slots that have memory, the lowest first.  Returns how many it took. */
unsigned int zblock_slots_get_ready(struct zblock_pool *pool, struct zblock_type *type, uint32_t *handle_slots,
				    unsigned int wanted);

/*
 * zblock_slots_put frees slots whose handle slots' state is dead; zblock_slot_free frees a slot whose handle slot was
 * retired.  Both link the blocks that become empty and do not stay with the type to *emptied, for
 * zblock_blocks_destroy().
 */
void zblock_slots_put(struct zblock_pool *pool, struct zblock_type *type, const uint32_t *handle_slots,
		      unsigned int count, uint32_t *emptied);
void zblock_slot_free(struct zblock_pool *pool, struct zblock_type *type, uint64_t location, uint32_t *emptied);

/* Returns how many slots of the type a thread may cache at present. */
unsigned int zblock_cached_max(const struct zblock_type *type);

/* Counts the slots of the type that all threads cache.  The count is exact while no thread calls malloc or free. */
uint64_t zblock_cached_count(struct zblock_pool *pool, const struct zblock_type *type);

/* Frees the slots of the type that threads cache. */
void zblock_cached_put(struct zblock_pool *pool, struct zblock_type *type, uint32_t *emptied);

/* The thread caches call this without locks when the calling thread, which owns the cache, ends. */
void zblock_cache_empty(void *pool, struct zp_cache *cache);

/* ---- zblock_objects.c: the driver's callbacks ---- */

int zblock_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zblock_free(void *pool, unsigned long handle);
void *zblock_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
int zblock_unmap(void *pool, unsigned long handle);
int64_t zblock_obj_size(void *pool, unsigned long handle);
int zblock_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* ---- zblock_records.c ---- */

void zblock_records_init(struct zblock_pool *pool);
void zblock_records_fini(struct zblock_pool *pool);
int zblock_record_get(struct zblock_pool *pool, zpool_gfp_t gfp, uint32_t *number); /* returns 0 or -errno */
void zblock_record_put(struct zblock_pool *pool, uint32_t number);
void zblock_records_trim(struct zblock_pool *pool);
void zblock_records_sort(struct zblock_pool *pool); /* makes malloc take the lowest numbers first */

/* ---- zblock_stats.c ---- */

int zblock_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int zblock_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
		      void *user);

/* ---- zblock_verify.c ---- */

int zblock_verify(void *pool);

#endif
