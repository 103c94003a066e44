/* SPDX-License-Identifier: MIT
 *
 * zsmalloc.h - what the files of the zsmalloc driver share; zsmalloc.c tells the design
 */
#ifndef ZSMALLOC_H
#define ZSMALLOC_H

#include <zpool-driver.h>

#include "budget.h"
#include "counts.h"
#include "handles.h"
#include "lock.h"
#include "pages.h"

enum {
	ZSMALLOC_ALIGN_SHIFT = 4,
	ZSMALLOC_ALIGN_BYTES = 1 << ZSMALLOC_ALIGN_SHIFT,
	ZSMALLOC_OBJECT_BYTES_MAX = 65536,
	ZSMALLOC_CHAIN_MAX = 64,  /* the pages of a zspage fit one word */
	ZSMALLOC_SLOTS_MAX = 256, /* so do the slots of a zspage four words */
	ZSMALLOC_SLOT_BITS = 8,
	ZSMALLOC_INLINE_SLOTS = 4, /* zspages of so few slots keep their handles in the record */
	ZSMALLOC_GROUPS = 11,      /* by tenths of fullness; the last is for full ones */
	ZSMALLOC_FULL = ZSMALLOC_GROUPS - 1,
	ZSMALLOC_BARE_MAX = 8,   /* slots of the handle table that a class keeps */
	ZSMALLOC_BARE_BATCH = 4, /* and takes at once */
	ZSMALLOC_SEATS = 128,    /* for so many threads at a time a cache each; a power of two */
	ZSMALLOC_SEAT_SHIFT = 7,
	ZSMALLOC_KEPT_MAX = 14,      /* places of freed objects that a cache keeps for each class */
	ZSMALLOC_KEPT_SHARE = 16,    /* but no more than one, and a share of the class's slots in use */
	ZSMALLOC_KEPT_FLUSH = 3,     /* given back at once where that is too many */
	ZSMALLOC_KEPT_REFILL = 2,    /* taken besides where there is none */
	ZSMALLOC_LODGE_CLASSES = 16, /* how many classes up, */
	ZSMALLOC_LODGE_SHARE = 4,    /* and by what share of its size, an object may be lodged */
	ZSMALLOC_SPARE_PAGES = 2     /* an empty zspage with no more memory than this stays with its class */
};

#define ZSMALLOC_NONE UINT32_C(0) /* no zspage has number 0 */
#define ZSMALLOC_NO_CLASS UINT16_MAX

/* Tables come in blocks of growing size, so that their entries' addresses never change and map needs no lock. */
enum { ZSMALLOC_BLOCK_SHIFT = 10, ZSMALLOC_BLOCKS = 15 };
#define ZSMALLOC_RECORDS_MAX (UINT32_C(1) << (ZSMALLOC_BLOCK_SHIFT + ZSMALLOC_BLOCKS - 1))

struct zsmalloc_table {
	uintptr_t base[ZSMALLOC_BLOCKS]; /* address that entry 0 would have if the block began with it */
	void *blocks[ZSMALLOC_BLOCKS];
	uint32_t ready; /* committed entries */
	uint32_t entry_bytes;
};

/*
 * Where a zspage is and whose: all of it that free and map need as a rule.  Apart from the record and small, so that
 * those of a large pool stay in the processor's cache, where the records would not.  base, slot_bytes and class_index
 * are constant while an object in the zspage is live, so whoever has one pinned reads them without a lock.
 */
struct zsmalloc_home {
	char *base; /* of slot 0 */
	uint32_t slot_bytes;
	_Atomic(uint16_t) class_index; /* ZSMALLOC_NO_CLASS: the record is free; read by anybody at any time */
	_Atomic(bool) listed;          /* false: empty and kept as spare, or under reclaim; likewise */
};

/* A zspage: a run of pages, cut into slots.  Guarded by its class's lock. */
struct zsmalloc_zspage {
	struct zsmalloc_home *home; /* constant while the record is in use */
	uint32_t pgno;
	uint16_t used_slots; /* by objects, and by places that are kept */
	uint8_t group;
	uint64_t committed;                     /* a bit for each page that has memory */
	uint64_t stamp;                         /* when an object was last stored; only kept in pools that evict */
	uint32_t next, prev;                    /* zspages of the same class and group */
	uint32_t newer, older;                  /* zspages of the same class, by stamp */
	uint64_t passed;                        /* the last compaction that could not empty it */
	uint64_t used[ZSMALLOC_SLOTS_MAX / 64]; /* of few slots only the first word, and in the others the handles */
};

/*
 * A size class: zspages of one geometry.  slot_bytes and head_bytes to pages are constant, the rest is guarded by lock.
 */
struct zsmalloc_class {
	_Alignas(64) struct zp_lock lock;
	uint32_t slot_bytes;
	uint16_t head_bytes; /* in front of slot 0: the handles */
	uint16_t slots;      /* in a zspage */
	uint16_t pages;      /* in a zspage */
	uint16_t bare_count;
	uint32_t used_slots;              /* by objects, and by places that are kept */
	uint32_t bare[ZSMALLOC_BARE_MAX]; /* slots of the handle table without a place */

	uint32_t committed_pages;
	uint32_t groups[ZSMALLOC_GROUPS]; /* first of each group's ring */
	uint32_t group_mask;              /* groups that are not empty */
	uint32_t newest;                  /* the ring by stamp; its `newer` is the oldest */
	uint32_t spare;                   /* an empty zspage */
	uint32_t spare_record;            /* one without pages: taken under NOWAIT, and then not needed */
	uint32_t zspages;
	uint64_t frees;
};

/*
 * What a cache keeps for one class: slots of the handle table of objects that were freed and still know their place, a
 * stack.  A line of the processor's cache.
 */
struct zsmalloc_bin {
	_Alignas(64) _Atomic(uint8_t) count; /* read without the lock, for a hint */
	uint8_t max;                         /* of its class's size when it was last looked at */
	uint32_t kept[ZSMALLOC_KEPT_MAX];
};

_Static_assert(sizeof(struct zsmalloc_bin) == 64, "a malloc and a free have one line of a cache to themselves");

/*
 * What a thread keeps: all that its mallocs and frees touch as a rule, so that threads take no line of the processor's
 * cache from each other.  Guarded by lock, which comes behind those of classes.
 *
 * fresh is the slot of the handle table of the object that was freed last, as zp_handles_begin_free() leaves it: a kept
 * place, too, which the thread's next free puts into its bin.  A handle's word comes from far, and until then the
 * processor has something else to go on with.
 */
struct zsmalloc_cache {
	_Alignas(64) struct zp_lock lock;
	_Atomic(uint32_t) fresh; /* ZP_SLOT_NONE: there is none; read without the lock, for a hint */
	struct zsmalloc_pool *pool;
	struct zsmalloc_seat
		*seat; /* where it stands in the table; changed under record_lock, and only without an owner */
	struct zsmalloc_cache *next; /* of the list; changed under the locks of all classes */
	_Alignas(64) struct zsmalloc_bin bins[];
};

/*
 * An entry of the table of caches.  Only the owner follows its pointer without a lock; so where there is no owner, the
 * cache may be taken away.
 */
struct zsmalloc_seat {
	_Atomic(uintptr_t) owner; /* the thread; ZSMALLOC_NOBODY: it has ended; 0: there was none yet */
	_Atomic(struct zsmalloc_cache *) cache;
};

#define ZSMALLOC_NOBODY ((uintptr_t)1)

/*
 * Where a compaction by budgets stopped.  Of calls at the same time, which began at the same place, the one that got
 * further counts.  Zero: at the beginning.
 */
struct zsmalloc_round {
	uint64_t series; /* compactions by budgets that came to their end before this one */
	uint64_t steps;  /* done in this one */
	uint64_t id;     /* of the marks of zspages that could not be emptied in this round */
	uint32_t
		classes_left; /* the classes 0 to classes_left - 1, of which the last is current; 0: the round begins */
	uint32_t steps_left;  /* that the current class may still take; 0: it has not begun */
	bool at_tail;         /* only its last page is left to do */
	bool gained;          /* this round has won a page */
	bool at_trim;         /* the rounds are over */
	uint8_t rounds;
	uint32_t owed_pages; /* that were emptied, and lie in the reserve */
	struct zp_trim trim;
};

struct zsmalloc_pool {
	/* Constant. */
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	size_t object_bytes_max;
	unsigned int class_count;
	uint16_t *class_of;             /* by size in units of ZSMALLOC_ALIGN_BYTES, rounded up */
	struct zsmalloc_class *classes; /* smallest first */
	void *tables;                   /* both of them, in one range */
	size_t table_bytes;
	_Atomic(bool) auto_compact;

	/* Zspages' homes and records, by number; the blocks' addresses are read without the lock. */
	struct zsmalloc_table home_table, record_table;
	struct zp_lock record_lock;
	uint32_t records_max;  /* constant; tests have less */
	uint32_t records;      /* handed out once */
	uint32_t records_live; /* of these not free */
	uint32_t record_free;  /* list through next */

	/* A hash table of caches by thread, in which threads take seats under record_lock; and all caches as a list. */
	struct zsmalloc_seat seats[ZSMALLOC_SEATS];
	_Atomic(struct zsmalloc_cache *) cache_list;
	_Atomic(bool) cache_refused; /* there was no memory for one */

	/* The zspage that an object was stored in last, in pools that evict, and when. */
	_Atomic(uint64_t) clock;
	_Atomic(uint32_t) newest;

	_Atomic(uint32_t) next_class;     /* for compaction inside malloc */
	_Atomic(uint64_t) retry_at_frees; /* a malloc at the limit does not compact the whole pool again before */

	struct zsmalloc_round round; /* guarded by record_lock */

	_Atomic(uint64_t) compaction_id; /* the last run's */
	_Atomic(uint64_t) compactions;
	_Atomic(uint64_t) moved_bytes, released_bytes;
	_Atomic(uint64_t) evictions, evict_refused;
	struct zp_counts counts;
};

/* ---- numbers ---- */

/* Where an object is, as the handle table keeps it: zspage and slot. */
_Static_assert(ZSMALLOC_SLOTS_MAX <= 1 << ZSMALLOC_SLOT_BITS, "a slot's number fits its bits");

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

static inline unsigned int zsmalloc_record_block(uint32_t number)
{
	return (unsigned int)(31 - ZSMALLOC_BLOCK_SHIFT + 1) -
	       (unsigned int)__builtin_clz(number | ((1u << ZSMALLOC_BLOCK_SHIFT) - 1));
}

static inline struct zsmalloc_home *zsmalloc_home(const struct zsmalloc_pool *pool, uint32_t number)
{
	uintptr_t base = pool->home_table.base[zsmalloc_record_block(number)];

	return (struct zsmalloc_home *)(base + (uintptr_t)number * sizeof(struct zsmalloc_home));
}

static inline struct zsmalloc_zspage *zsmalloc_zspage(const struct zsmalloc_pool *pool, uint32_t number)
{
	uintptr_t base = pool->record_table.base[zsmalloc_record_block(number)];

	return (struct zsmalloc_zspage *)(base + (uintptr_t)number * sizeof(struct zsmalloc_zspage));
}

static inline unsigned int zsmalloc_class_index(const struct zsmalloc_pool *pool, size_t size)
{
	return pool->class_of[(size + ZSMALLOC_ALIGN_BYTES - 1) >> ZSMALLOC_ALIGN_SHIFT];
}

static inline struct zsmalloc_class *zsmalloc_class_of(const struct zsmalloc_pool *pool, size_t size)
{
	return &pool->classes[zsmalloc_class_index(pool, size)];
}

static inline struct zsmalloc_class *zsmalloc_class(const struct zsmalloc_pool *pool, const struct zsmalloc_home *home)
{
	return &pool->classes[atomic_load_explicit(&home->class_index, memory_order_relaxed)];
}

/* May objects of a class lie in slots of that larger one?  It may be the one behind the last. */
static inline bool zsmalloc_may_lodge(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class,
				      const struct zsmalloc_class *larger)
{
	return larger < pool->classes + pool->class_count && larger <= class + ZSMALLOC_LODGE_CLASSES &&
	       larger->slot_bytes <= class->slot_bytes + class->slot_bytes / ZSMALLOC_LODGE_SHARE;
}

static inline char *zsmalloc_slot_address(const struct zsmalloc_home *home, unsigned int slot)
{
	return home->base + (size_t)slot * home->slot_bytes;
}

static inline bool zsmalloc_home_is_listed(const struct zsmalloc_home *home)
{
	return atomic_load_explicit(&home->listed, memory_order_relaxed);
}

/*
 * The handle table's slot of each object; where a slot is free, of the one that was there.  They stand in front of slot
 * 0, or in the record; there an overrun of the zspage before may have written, so whoever follows one checks that it
 * leads back.
 */
static inline uint32_t *zsmalloc_handles(const struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	return class->head_bytes ? (uint32_t *)(void *)(zspage->home->base - class->head_bytes)
				 : (uint32_t *)(void *)&zspage->used[1];
}

/* The pages that a slot lies on, as a mask like zspage->committed. */
static inline uint64_t zsmalloc_slot_pages(const struct zsmalloc_class *class, unsigned int slot)
{
	size_t from = class->head_bytes + (size_t)slot * class->slot_bytes;
	unsigned int first = (unsigned int)(from >> ZP_PAGE_SHIFT);
	unsigned int last = (unsigned int)((from + class->slot_bytes - 1) >> ZP_PAGE_SHIFT);

	return (UINT64_MAX >> (63 - (last - first))) << first;
}

/* Words of zspage->used that are about slots. */
static inline unsigned int zsmalloc_used_words(const struct zsmalloc_class *class)
{
	return (class->slots + 63u) / 64;
}

static inline bool zsmalloc_slot_is_used(const struct zsmalloc_zspage *zspage, unsigned int slot)
{
	return zspage->used[slot / 64] >> (slot % 64) & 1;
}

/* A slot of the handle table that the class keeps, or no longer.  false: there is no room, or there is none. */
static inline bool zsmalloc_bare_put(struct zsmalloc_class *class, uint32_t handle_slot)
{
	if (class->bare_count == ZSMALLOC_BARE_MAX)
		return false;
	class->bare[class->bare_count++] = handle_slot;
	return true;
}

static inline bool zsmalloc_bare_get(struct zsmalloc_class *class, uint32_t *handle_slot)
{
	if (class->bare_count == 0)
		return false;
	*handle_slot = class->bare[--class->bare_count];
	return true;
}

/* Bytes with memory behind them that no slot in use takes; what the class's tails and heads take included. */
static inline uint64_t zsmalloc_class_waste(const struct zsmalloc_class *class)
{
	return class->committed_pages * ZP_PAGE_BYTES - (uint64_t) class->used_slots * class->slot_bytes;
}

/* ---- zsmalloc_class.c: the geometry ---- */

/* 0 or -ENOMEM.  chain: pages of a zspage at most; step: bytes between classes at least. */
int zsmalloc_classes_init(struct zsmalloc_pool *pool, unsigned int chain, unsigned int step);
void zsmalloc_classes_fini(struct zsmalloc_pool *pool);

/* ---- zsmalloc_records.c: the table of records; without a class's lock, but with NOWAIT ---- */

void zsmalloc_records_init(struct zsmalloc_pool *pool);
void zsmalloc_records_fini(struct zsmalloc_pool *pool);

/* Put the free ones in order, lowest first, and give memory behind the last one in use back. */
void zsmalloc_records_trim(struct zsmalloc_pool *pool);

/* 0 and *number, -ENOMEM, or (NOWAIT) -EAGAIN. */
int zsmalloc_record_get(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number);
void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number);

/* Has the pool as many zspages as there can be? */
bool zsmalloc_records_are_full(struct zsmalloc_pool *pool);

/* As put, but it is not given out again before zsmalloc_records_trim() has put the free ones in order. */
void zsmalloc_record_abandon(struct zsmalloc_pool *pool, uint32_t number);

/* ---- zsmalloc_zspage.c: zspages and their slots; with the class's lock held but where it says otherwise ---- */

/*
 * A zspage of the class, on no list, with memory for its first slot.  0 or -errno.  Without the class's lock; but with
 * it under NOWAIT.
 */
int zsmalloc_zspage_create(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number);

/* Without the lock: give an empty zspage that is on no list back. */
void zsmalloc_zspage_destroy(struct zsmalloc_pool *pool, uint32_t number);

/* Count a zspage among its class's, or no longer. */
void zsmalloc_zspage_join(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);
void zsmalloc_zspage_leave(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Put a zspage on the lists of its class's groups and age, there as the youngest, or take it off. */
void zsmalloc_zspage_list(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);
void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* The fullest zspage that has room, or ZSMALLOC_NONE. */
uint32_t zsmalloc_fullest(const struct zsmalloc_class *class);

/* The lowest free slot, or -1; with nowait, one that has memory. */
int zsmalloc_slot_find(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage, bool nowait);

/* Take a free slot for an object, commit its pages, and have it filed by its new fullness.  0 or -errno. */
int zsmalloc_slot_take(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int slot,
		       uint32_t handle_slot, zpool_gfp_t gfp);
void zsmalloc_slot_release(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
			   unsigned int slot);

/* An empty zspage leaves its class, for the chain, or to be its spare. */
void zsmalloc_zspage_retire(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
			    uint32_t *emptied);
void zsmalloc_zspages_destroy(struct zsmalloc_pool *pool, uint32_t emptied);

/* Take memory from pages on which no object lies, save the first `spared` of them.  Returns how many. */
unsigned int zsmalloc_zspage_thin(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
				  unsigned int spared);

/* Mark the zspage as the one stored into last. */
void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Make `heir` as young as an older sister that gave it an object. */
void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from);

/*
 * Another record for a zspage that is on its lists: the lowest free one, if zsmalloc_records_trim() goes before; and it
 * must follow, for the record that it had to be used again.  Its objects must be the caller's, for their locations
 * change with it.  0 and *to, or -errno.
 */
int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to);

/* The lowest pages that are free for a zspage whose objects are the caller's.  false: none, and nothing changed. */
bool zsmalloc_zspage_resettle(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* ---- zsmalloc_move.c: objects change place; with the locks of the classes held ---- */

/*
 * The object in a slot becomes the caller's, as zp_handles_begin_move() says.  0, its slot of the handle table and its
 * location; -EBUSY: it is mapped, or in somebody's hands, or its zspage's handles are damaged.
 */
int zsmalloc_object_seize(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int slot,
			  uint32_t *handle_slot);

struct zsmalloc_place {
	struct zsmalloc_class *class;
	uint32_t zspage;
	unsigned int slot;
};

/* 0; -EBUSY: it cannot be moved now; -ENOMEM: its new place can get no memory. */
int zsmalloc_object_move(struct zsmalloc_pool *pool, struct zsmalloc_place from, struct zsmalloc_place to);

/* The highest slot in use below one, or -1. */
int zsmalloc_highest_used(const struct zsmalloc_zspage *zspage, int below);

/* ---- zsmalloc_settle.c: what a whole compaction does with packed classes ---- */

/*
 * The objects on the last page of a class go where a class a little larger has room with memory, page by page, as long
 * as a page is won.  With the class's lock held.  Returns the bytes moved; the object that reaches `budget` is the
 * last, and the next call continues behind it.  0: there is nothing to move.  Emptied zspages are added
 * to the chain.
 */
uint64_t zsmalloc_settle_tail(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t budget,
			      uint32_t *emptied);

/* Zspages with high record numbers, or nearly alone under a page table, move.  Without a lock. */
void zsmalloc_settle_zspages(struct zsmalloc_pool *pool);

/* ---- zsmalloc_objects.c ---- */

int zsmalloc_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zsmalloc_free(void *pool, unsigned long handle);
void *zsmalloc_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
int zsmalloc_unmap(void *pool, unsigned long handle);
int64_t zsmalloc_obj_size(void *pool, unsigned long handle);
int zsmalloc_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* ---- zsmalloc_compact.c ---- */

/* One run of compaction. */
struct zsmalloc_run {
	struct zsmalloc_pool *pool;
	struct zsmalloc_class *class;
	uint64_t id;
	uint64_t moved_bytes;
	int64_t released_pages;    /* less those that targets were given */
	unsigned int window;       /* mask of tenths of fullness that count as equal */
	unsigned int spared_pages; /* may stay idle in a zspage */
	unsigned int idle_steps;   /* may still move nothing; 0: any number */
	bool committed_only;       /* into slots that have memory, so that the pool does not grow meanwhile */
	bool until_bearable;       /* only while the class wastes too much */
};

enum { ZSMALLOC_STEP_BYTES = 32 << 10 }; /* moved under one hold of a lock */

/*
 * One hold of the class's lock: moves until `budget` bytes are moved by the run, but a step's worth at most.  true:
 * there is more to do in this class.  Emptied zspages are added to the chain.
 */
bool zsmalloc_compact_step(struct zsmalloc_run *run, uint64_t budget, uint32_t *emptied);

/*
 * Gives up what a class keeps for its next objects: places, slots of the handle table, an empty zspage.  With the lock
 * held; returns the pages that go.
 */
uint64_t zsmalloc_class_drop_kept(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *emptied);

/* The same of all classes, without a lock. */
void zsmalloc_drop_kept(struct zsmalloc_pool *pool);

uint64_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool);

/* ---- zsmalloc_round.c: compaction that is asked for ---- */

int zsmalloc_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);

/* ---- zsmalloc_compact.c: automatic compaction ---- */

/*
 * Automatic compaction, without a lock, and a little at a time: after a free, of a class that wastes too much; after a
 * malloc for which the pool grew, of the next such class.
 */
void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_compact_next(struct zsmalloc_pool *pool);

/* A malloc that found no memory.  What one try takes and the next gives back is no progress. */
struct zsmalloc_need {
	size_t bytes;
	uint64_t least_used_bytes; /* by all tries; UINT64_MAX to begin with */
	bool moved;                /* a try only moved objects */
};

/*
 * Gives back what the pool caches and, where automatic compaction is on, what a partial compaction frees, or else a
 * whole one.  true: it is worth another try.
 */
bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need);
bool zsmalloc_wants_compaction(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class);

/* ---- zsmalloc_reclaim.c ---- */

int zsmalloc_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);

/* ---- zsmalloc_stats.c ---- */

int zsmalloc_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int zsmalloc_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			void *user);
int zsmalloc_verify(void *pool);

#include "zsmalloc_cache.h"

#endif
