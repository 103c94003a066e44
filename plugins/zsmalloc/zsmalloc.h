/* SPDX-License-Identifier: MIT
 *
 * zsmalloc.h - pools and size classes of the zsmalloc driver; zsmalloc.c describes the design
 */
#ifndef ZSMALLOC_H
#define ZSMALLOC_H

#include <zpool-driver.h>

#include "counts.h"
#include "handles.h"
#include "lock.h"
#include "magazine.h"
#include "pages.h"
#include "zsmalloc_compact.h"
#include "zsmalloc_tuning.h"
#include "zsmalloc_zspage.h"

enum {
	ZSMALLOC_ALIGN_SHIFT = 4,
	ZSMALLOC_ALIGN_BYTES = 1 << ZSMALLOC_ALIGN_SHIFT,
	ZSMALLOC_OBJECT_BYTES_MAX = 65536,
	ZSMALLOC_CLASSES_MAX = 1024, /* with step=16 there are some 500 */
	ZSMALLOC_HOLE_WORDS = ZSMALLOC_CLASSES_MAX / 64
};

#define ZSMALLOC_NO_CLASS UINT16_MAX

/* What is constant of a class. */
struct zsmalloc_geometry {
	uint32_t slot_bytes;
	uint16_t slots;      /* in a zspage */
	uint16_t pages;      /* in a zspage */
	uint16_t borrow_end; /* behind the last class that a malloc of this one may take a hole of */
};

/*
 * A size class: zspages of one geometry.  Guarded by its lock.  All members are zero until the first object comes, for
 * a small pool uses few classes and should not have memory for all; so the constant ones are copied from the pool's
 * table of geometries by zsmalloc_class_prepare().
 */
struct zsmalloc_class {
	_Alignas(64) struct zp_lock lock;
	uint32_t slot_bytes;
	bool is_compacting;    /* automatic compaction has begun and not reached its end */
	bool is_draining;      /* compaction is at work: no thread caches slots of the class */
	_Atomic(bool) is_used; /* the constants are there; read without the lock */
	uint16_t head_bytes;   /* in front of slot 0: the handle slots */
	uint16_t slots;
	uint16_t pages;
	uint32_t used_slots; /* by objects, and cached */
	uint32_t holes;      /* bound slots that are not used, in zspages that are listed */
	uint32_t committed_pages;
	uint32_t zspages;
	uint32_t groups[ZSMALLOC_GROUPS]; /* first of each group's ring */
	uint32_t group_mask;              /* groups that are not empty */
	uint32_t newest;                  /* the ring by stamp; its `newer` is the oldest */
	uint32_t spare;                   /* an empty zspage */
	uint32_t emptied;                 /* zspages that zsmalloc_class_unlock() destroys, linked through next */
	uint32_t source;                  /* the zspage that compaction empties */
	uint32_t spare_record;            /* one without pages: a NOWAIT malloc took it and then found no pages */
	uint32_t check_at_frees;          /* the pool's waste is added up again then */
	uint64_t frees;
};

/* The locking order; the classes among each other by their numbers. */
enum zsmalloc_rank { ZSMALLOC_RANK_CLASS = ZP_RANK_DRIVER, ZSMALLOC_RANK_RECORDS };

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
	uint16_t *class_of; /* by size in units of ZSMALLOC_ALIGN_BYTES, rounded up */
	struct zsmalloc_geometry *geometries;
	struct zsmalloc_class *classes; /* smallest first */
	void *tables;                   /* the three of them, in one range */
	size_t table_bytes;
	_Atomic(bool) auto_compact;

	struct zsmalloc_records records;
	struct zp_caches caches;

	/* Classes with holes, a bit each; a class's bit is written under its lock. */
	_Atomic(uint64_t) classes_with_holes[ZSMALLOC_HOLE_WORDS];

	/* The zspage that an object was stored in last, in pools that evict, and when. */
	_Atomic(uint64_t) clock;
	_Atomic(uint32_t) newest;

	_Atomic(bool) is_compacting;      /* a thread compacts inside free or malloc */
	_Atomic(uint32_t) next_class;     /* for compaction inside malloc */
	_Atomic(uint64_t) retry_at_frees; /* a malloc at the limit does not compact the whole pool again before */

	struct zsmalloc_round round; /* guarded by records.lock */

	_Atomic(uint32_t) compaction_id; /* the last run's */
	_Atomic(uint64_t) compactions;
	_Atomic(uint64_t) moved_bytes, released_bytes;
	_Atomic(uint64_t) evictions, evict_refused;
	struct zp_counts counts;
};

/* ---- where things are ---- */

static inline struct zsmalloc_header *zsmalloc_header(const struct zsmalloc_pool *pool, uint32_t number)
{
	return zp_table_at(&pool->records.headers, number, sizeof(struct zsmalloc_header));
}

static inline struct zsmalloc_zspage *zsmalloc_zspage(const struct zsmalloc_pool *pool, uint32_t number)
{
	return zp_table_at(&pool->records.records, number, sizeof(struct zsmalloc_zspage));
}

static inline struct zsmalloc_class *zsmalloc_class(const struct zsmalloc_pool *pool,
						    const struct zsmalloc_header *header)
{
	return &pool->classes[atomic_load_explicit(&header->class_index, memory_order_relaxed)];
}

static inline char *zsmalloc_address(const struct zsmalloc_pool *pool, uint64_t location)
{
	const struct zsmalloc_header *header = zsmalloc_header(pool, zsmalloc_location_zspage(location));

	return zsmalloc_slot_address(header, zsmalloc_location_slot(location));
}

/* The zspage of a bound slot that is free or cached. */
static inline uint32_t zsmalloc_bound_zspage(struct zsmalloc_pool *pool, uint32_t handle_slot)
{
	return zsmalloc_location_zspage(zp_handles_location(&pool->handles, handle_slot));
}

/*
 * The handle slot of each slot, ZP_SLOT_NONE: it has none.  They stand in front of slot 0, where an overrun of the
 * zspage before may write, or in the record; what is read there is checked before it is followed.
 */
static inline uint32_t *zsmalloc_handle_slots(const struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	return class->head_bytes ? (uint32_t *)(void *)(zspage->header->base - class->head_bytes)
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

/* The groups that have zspages with a free slot, as a mask. */
static inline uint32_t zsmalloc_groups_with_room(const struct zsmalloc_class *class)
{
	return class->group_mask & ((1u << ZSMALLOC_FULL) - 1);
}

/* May a whole compaction move objects of a class to that larger one?  It may be the one behind the last. */
static inline bool zsmalloc_may_migrate(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class,
					const struct zsmalloc_class *larger)
{
	size_t from = (size_t)(class - pool->classes), to = (size_t)(larger - pool->classes);
	const struct zsmalloc_geometry *geometries = pool->geometries;

	return to < pool->class_count && to <= from + ZSMALLOC_MIGRATE_CLASSES &&
	       geometries[to].slot_bytes <=
		       geometries[from].slot_bytes + geometries[from].slot_bytes / ZSMALLOC_MIGRATE_SHARE;
}

/* ---- zsmalloc_class.c ---- */

/* 0 or -ENOMEM.  chain: pages of a zspage at most; step: bytes between classes at least. */
int zsmalloc_classes_init(struct zsmalloc_pool *pool, unsigned int chain, unsigned int step);
void zsmalloc_classes_fini(struct zsmalloc_pool *pool);

/* Fills in what is constant, if that is still to be done.  With the lock held. */
void zsmalloc_class_prepare(const struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Did a malloc ever want the class?  Without the lock, too; a class that is wanted just now may be missed. */
static inline bool zsmalloc_class_is_used(const struct zsmalloc_class *class)
{
	return atomic_load_explicit(&class->is_used, memory_order_acquire);
}

/* Returns the next class that is used, the first one after NULL, or NULL.  Called with or without locks. */
static inline struct zsmalloc_class *zsmalloc_next_used(const struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	size_t index = class ? (size_t)(class - pool->classes) + 1 : 0;

	while (index < pool->class_count && !zsmalloc_class_is_used(&pool->classes[index]))
		index++;
	return index < pool->class_count ? &pool->classes[index] : NULL;
}

static inline unsigned int zsmalloc_class_index(const struct zsmalloc_pool *pool, size_t size)
{
	return pool->class_of[(size + ZSMALLOC_ALIGN_BYTES - 1) >> ZSMALLOC_ALIGN_SHIFT];
}

static inline struct zsmalloc_class *zsmalloc_class_of(const struct zsmalloc_pool *pool, size_t size)
{
	return &pool->classes[zsmalloc_class_index(pool, size)];
}

/* ---- zsmalloc_slots.c: free slots of a class; with its lock held, but where a comment says otherwise ---- */

/*
 * A slot for an object of the class, perhaps of a larger class, bound to a handle slot.  The lock is released, except
 * under NOWAIT, while the pool grows.  0 and *handle_slot and *grew; or -errno.
 */
int zsmalloc_slot_get(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *handle_slot,
		      bool *grew);

/* Up to `wanted` slots that have memory.  Returns how many. */
unsigned int zsmalloc_slots_get_ready(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slots,
				      unsigned int wanted);

/*
 * For a malloc at the limit: a free slot with memory in one of the larger classes that a whole compaction moves objects
 * to, for the room that these leave is the smaller class's as well.  Without a lock.  0 or -ENOMEM.
 */
int zsmalloc_slot_migrate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slot);

/* Makes bound slots of the class free, and retires zspages that become empty. */
void zsmalloc_slots_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, const uint32_t *handle_slots,
			unsigned int count);

/* How many slots a thread caches, as the class is now. */
unsigned int zsmalloc_cached_max(const struct zsmalloc_class *class);

/* How many slots of the class are cached, by all threads. */
uint32_t zsmalloc_cached_count(struct zsmalloc_pool *pool, const struct zsmalloc_class *class);

/*
 * The cached slots of the class, or those in one of its zspages, which stays even if it is empty then, are free.  While
 * the class is draining its threads cache no more; end_draining lets them again.
 */
void zsmalloc_class_begin_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_class_end_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_cached_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_cached_put_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Gives up all that the class keeps for its next objects.  Returns the pages that go. */
uint64_t zsmalloc_class_drop_cached(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* The same of all classes, without a lock. */
void zsmalloc_drop_cached(struct zsmalloc_pool *pool);

/* The callback of the thread caches: the thread that owns the cache ends. */
void zsmalloc_cache_empty(void *pool, struct zp_cache *cache);

/* ---- zsmalloc_objects.c ---- */

int zsmalloc_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zsmalloc_free(void *pool, unsigned long handle);
void *zsmalloc_map(void *pool, unsigned long handle, enum zpool_mapmode mode);
int zsmalloc_unmap(void *pool, unsigned long handle);
int64_t zsmalloc_obj_size(void *pool, unsigned long handle);
int zsmalloc_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* ---- zsmalloc_reclaim.c ---- */

int zsmalloc_shrink(void *pool, unsigned int pages, unsigned int *reclaimed);

/* ---- zsmalloc_stats.c ---- */

int zsmalloc_stats(void *pool, struct zpool_stats *stats, size_t stats_size);
int zsmalloc_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			void *user);
int zsmalloc_verify(void *pool);

#endif
