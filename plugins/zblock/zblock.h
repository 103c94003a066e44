/* SPDX-License-Identifier: MIT
 *
 * zblock.h - what the files of the zblock driver share; zblock.c tells the design
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
	ZBLOCK_HEAD_BYTES = 32, /* in front of slot 0: where the model has its header */
	ZBLOCK_OBJECT_BYTES_MAX = 4672,
	ZBLOCK_TYPES = 29,
	ZBLOCK_PAGES_MAX = 8,
	ZBLOCK_SLOT_BITS = 5,
	ZBLOCK_SLOTS_MAX = 1 << ZBLOCK_SLOT_BITS,
	ZBLOCK_SPARE_SLOTS = 8, /* of the handle table, kept by a type */
	ZBLOCK_SPARE_PAGES = 2, /* an empty block with no more memory than this stays with its type */
	ZBLOCK_NOWAIT_LOOKS = 8 /* blocks with room that a NOWAIT call looks at */
};

/*
 * A thread caches these and a share of a type's used slots, up to ZP_MAGAZINE_ITEMS; of a type with fewer used slots
 * than CACHED_FROM_SLOTS only the slot that it freed last.
 */
enum {
	ZBLOCK_CACHED_MIN = 1,
	ZBLOCK_CACHED_SHARE = 128,
	ZBLOCK_CACHED_FROM_SLOTS = 3,
	ZBLOCK_FLUSH_SLOTS = 4, /* the oldest of a full magazine that go back to their type together */
	ZBLOCK_REFILL_SLOTS = 3 /* taken beside the slot that a malloc with an empty magazine wants */
};

#define ZBLOCK_NONE UINT32_C(0) /* no block has number 0 */
#define ZBLOCK_NO_TYPE 0        /* nor does a type */

enum { ZBLOCK_NUMBER_BITS = 30, ZBLOCK_RECORD_BYTES = 32 };

enum zblock_list { ZBLOCK_UNLISTED, ZBLOCK_ROOM, ZBLOCK_IDLE, ZBLOCK_FULL, ZBLOCK_SPARE };

/*
 * The record of a block.  `taken` is guarded by record_lock, `next` too while the record is free.  From joining its
 * type to leaving it everything else is guarded by the type's lock; base and type do not change meanwhile, so a thread
 * that has an object of it pinned reads them without the lock.
 */
struct zblock_block {
	_Alignas(ZBLOCK_RECORD_BYTES) char *base; /* of slot 0 */
	uint32_t pgno;
	uint32_t vacant;       /* a bit for each slot that is free */
	uint32_t backed;       /* a bit for each slot all of whose pages have memory */
	uint32_t next, prev;   /* of the same type's list, or of the list of free records */
	_Atomic(uint8_t) type; /* ZBLOCK_NO_TYPE: it belongs to none */
	uint8_t committed;     /* a bit for each page that has memory */
	uint8_t list;          /* enum zblock_list */
	bool taken;            /* the record is in use */
};

_Static_assert(sizeof(struct zblock_block) == ZBLOCK_RECORD_BYTES, "a record is as long as the model's header");
_Static_assert(ZBLOCK_NUMBER_BITS + ZBLOCK_SLOT_BITS <= ZP_LOCATION_BITS, "a location holds block and slot");
_Static_assert(UINT32_C(1) << ZBLOCK_NUMBER_BITS <= ZP_TABLE_ENTRIES_MAX, "the table holds all records");
_Static_assert(ZBLOCK_PAGES_MAX <= 8, "a block's pages fit a byte");

/* The locking order; the types among each other by their numbers. */
enum zblock_rank { ZBLOCK_RANK_TYPE = ZP_RANK_DRIVER, ZBLOCK_RANK_RECORDS };

/* A block type: blocks of one geometry, which is constant.  The rest, from `blocks` on, is guarded by lock. */
struct zblock_type {
	_Alignas(64) uint16_t slot_bytes;
	uint8_t slots;                             /* in a block */
	uint8_t pages;                             /* in a block */
	uint8_t first_pages;                       /* on which slot 0 lies */
	uint32_t all_slots;                        /* a bit for each slot */
	uint32_t slots_touching[ZBLOCK_PAGES_MAX]; /* for each page, a bit for each slot of which a part lies on it */

	uint32_t blocks; /* on the lists, and the spare */
	struct zp_lock lock;
	uint32_t room;         /* list of blocks with a free slot: the one that got its room last is first */
	uint32_t idle;         /* list of those with a free slot and an idle page, in the same order */
	uint32_t full;         /* list of the blocks without a free slot */
	uint32_t spare;        /* an empty block */
	uint32_t spare_record; /* one without pages: taken under NOWAIT, and then not needed */
	uint32_t spare_count;
	uint32_t spare_slots[ZBLOCK_SPARE_SLOTS];
	uint64_t used_slots; /* by objects, or cached */
	uint64_t committed_pages;
};

struct zblock_pool {
	/* Constant. */
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	uint16_t slot_bytes[ZBLOCK_TYPES + 1]; /* by type, away from the types' locks: map reads it */
	uint8_t type_of[ZBLOCK_OBJECT_BYTES_MAX / ZBLOCK_ALIGN_BYTES + 1]; /* by size in units of 8, rounded up */

	/* Records.  Any thread looks a record up without the lock. */
	struct zp_table records;
	struct zp_lock record_lock;
	uint32_t record_end;  /* below which each was handed out once */
	uint32_t record_free; /* first of the list of free records, which ends with ZBLOCK_NONE */

	struct zp_counts counts;
	struct zp_caches caches; /* the magazine of a type has the type's index */

	struct zblock_type types[ZBLOCK_TYPES + 1]; /* from 1, smallest first */
};

/* ---- numbers ---- */

/* Where an object is, as the handle table keeps it: block and slot. */
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

/* The type of a slot that has a handle slot, from a handle slot that the caller has bound or begun to free. */
static inline unsigned int zblock_type_of_bound(struct zblock_pool *pool, uint32_t handle_slot)
{
	uint64_t location = zp_handles_location(&pool->handles, handle_slot);

	return zblock_type_index(zblock_block(pool, zblock_location_block(location)));
}

static inline unsigned int zblock_used_slots(const struct zblock_type *type, const struct zblock_block *block)
{
	return type->slots - (unsigned int)__builtin_popcount(block->vacant);
}

/* The pages that a slot lies on, as a mask like block->committed. */
static inline unsigned int zblock_slot_pages(const struct zblock_type *type, unsigned int slot)
{
	unsigned int from = ZBLOCK_HEAD_BYTES + slot * type->slot_bytes;
	unsigned int first = from >> ZP_PAGE_SHIFT, last = (from + type->slot_bytes - 1) >> ZP_PAGE_SHIFT;

	return ((2u << (last - first)) - 1) << first;
}

/* The slots that lie wholly on these pages. */
static inline uint32_t zblock_slots_on(const struct zblock_type *type, unsigned int pages)
{
	uint32_t slots = 0;

	for (unsigned int slot = 0; slot < type->slots; slot++)
		if (!(zblock_slot_pages(type, slot) & ~pages))
			slots |= UINT32_C(1) << slot;
	return slots;
}

/* The pages with memory on which no object lies. */
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

/* ---- zblock_block.c: with the type's lock held where it does not say otherwise ---- */

/*
 * A block of the type, in no list, with memory for its first slot.  0 or -errno.  Without the type's lock; but with it
 * under NOWAIT.
 */
int zblock_block_create(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *number);

/* Without the lock: give blocks back that have left their type; first: of a list by `next`, or ZBLOCK_NONE. */
void zblock_blocks_destroy(struct zblock_pool *pool, const struct zblock_type *type, uint32_t first);

/* A new block becomes the type's, first in its list; and one that is in no list becomes nobody's. */
void zblock_block_join(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_leave(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);

/*
 * A block's slots and pages decide which list it belongs to.  Put a block that is in no list first in its list; take a
 * block off its list; move a block whose slots have changed, if it belongs to another list now.
 */
void zblock_block_list(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_unlist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);
void zblock_block_relist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number);

/* Memory for a slot that is not backed.  0 or -errno. */
int zblock_slot_back(struct zblock_pool *pool, struct zblock_type *type, struct zblock_block *block, unsigned int slot,
		     zpool_gfp_t gfp);

/*
 * Without locks: give back what types keep for their next object, and take memory from pages without an object; or do
 * both, and give the records and the handle table's memory back that nothing lies in.  true: there is more room.
 */
bool zblock_drop_spares(struct zblock_pool *pool);
bool zblock_thin(struct zblock_pool *pool);
bool zblock_make_room(struct zblock_pool *pool);

/* ---- zblock_slots.c: with the type's lock held ---- */

/*
 * Takes a free slot, which nobody else knows of then; its handle slot is bound to it.  The lock is released meanwhile,
 * but not under NOWAIT.  0 or -errno.
 */
int zblock_slot_get(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *handle_slot);

/* Takes up to `wanted` free slots that have memory, lowest first.  Returns how many. */
unsigned int zblock_slots_get_ready(struct zblock_pool *pool, struct zblock_type *type, uint32_t *handle_slots,
				    unsigned int wanted);

/*
 * Free slots that were got before: the handle slots' state is dead.  slot_free: of a handle slot that was retired.
 * Blocks that become empty and do not stay with the type are linked to *emptied, for zblock_blocks_destroy().
 */
void zblock_slots_put(struct zblock_pool *pool, struct zblock_type *type, const uint32_t *handle_slots,
		      unsigned int count, uint32_t *emptied);
void zblock_slot_free(struct zblock_pool *pool, struct zblock_type *type, uint64_t location, uint32_t *emptied);

/* How many slots of the type a thread caches, as the type is now. */
unsigned int zblock_cached_max(const struct zblock_type *type);

/* How many slots of the type all threads cache; exact while they do not call malloc or free. */
uint64_t zblock_cached_count(struct zblock_pool *pool, const struct zblock_type *type);

/* Frees the slots of the type that threads cache.  true: there were some. */
bool zblock_cached_put(struct zblock_pool *pool, struct zblock_type *type, uint32_t *emptied);

/* The callback of the thread caches, without locks: the thread that owns the cache ends. */
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
int zblock_record_get(struct zblock_pool *pool, zpool_gfp_t gfp, uint32_t *number); /* 0 or -errno */
void zblock_record_put(struct zblock_pool *pool, uint32_t number);
bool zblock_records_trim(struct zblock_pool *pool); /* true: memory went back */
void zblock_records_sort(struct zblock_pool *pool); /* so that the lowest are taken first */

/* ---- zblock_stats.c ---- */

int zblock_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int zblock_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
		      void *user);

/* ---- zblock_verify.c ---- */

int zblock_verify(void *pool);

#endif
