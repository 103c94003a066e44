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

#define ZSMALLOC_NO_CLASS UINT16_MAX           /* the record is free */
#define ZSMALLOC_FUTURE_CLASS (UINT16_MAX - 1) /* the record was taken for a zspage that is not there yet */

/* The constants of a class. */
struct zsmalloc_geometry {
	uint32_t slot_bytes;
	uint16_t slots;      /* in a zspage */
	uint16_t pages;      /* in a zspage */
	uint16_t borrow_end; /* mallocs may borrow holes from the classes below this index */
};

/*
 * A size class, which is a set of zspages with the same geometry.  Guarded by its lock.  All members are zero until the
 * first malloc, because a small pool uses few classes and the others should need no memory.  So
 * zsmalloc_class_prepare() copies the constants from the pool's table of geometries.
 */
struct zsmalloc_class {
	_Alignas(64) struct zp_lock lock;
	uint32_t slot_bytes;
	bool is_compacting;    /* automatic compaction has begun and is not complete */
	bool is_draining;      /* compaction is at work, so no thread caches slots of the class */
	_Atomic(bool) is_used; /* the constants are set; read without the lock */
	uint16_t head_bytes;   /* of the back pointers in front of slot 0 */
	uint16_t slots;
	uint16_t pages;
	uint32_t used_slots; /* slots with objects, and cached slots */
	uint32_t holes;      /* free slots that are bound, in listed zspages */
	uint32_t committed_pages;
	uint32_t zspages;
	uint32_t groups[ZSMALLOC_GROUPS]; /* the first zspage of each group */
	uint32_t group_mask;              /* the groups that have zspages */
	uint32_t newest;                  /* the first of the ring by age; the one before it is the oldest */
	uint32_t reclaiming;              /* the first of the ring of zspages under reclaim, linked like that one */
	uint32_t spare;                   /* an empty zspage that is kept for the next objects */
	uint32_t emptied;                 /* list of the zspages that zsmalloc_class_unlock() destroys */
	uint32_t source;                  /* the zspage that compaction is emptying */
	uint32_t spare_record;            /* of a NOWAIT malloc that got a record but no pages */
	uint64_t frees;
	uint64_t check_at_frees; /* the number of frees at which the pool's waste is computed again */
};

#ifndef ZPOOL_DEBUG_CHECKS
_Static_assert(sizeof(struct zsmalloc_class) == 128 || sizeof(void *) < 8, "a class fills two cache lines");
#endif

/* The ranks of locks in the locking order.  The locks of classes are ordered by the indices of the classes. */
enum zsmalloc_rank { ZSMALLOC_RANK_CLASS = ZP_RANK_DRIVER, ZSMALLOC_RANK_RECORDS };

struct zsmalloc_pool {
	/* These are constant. */
	struct zp_handles handles;
	struct zp_pages pages;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	size_t object_bytes_max;
	unsigned int class_count;
	uint16_t *class_of; /* index of a class by size, in units of ZSMALLOC_ALIGN_BYTES */
	struct zsmalloc_geometry *geometries;
	struct zsmalloc_class *classes; /* the smallest first */
	/*
	 * By class, and guarded by its lock: the run that the next compaction inside free or malloc continues; 0: it
	 * gets a new number.
	 */
	uint64_t *run_ids;
	void *tables; /* the memory of these four */
	size_t table_bytes;
	_Atomic(bool) auto_compact;

	struct zsmalloc_records records;
	struct zp_caches caches;

	/* A bit for each class says whether it has holes.  It is written under the class's lock. */
	_Atomic(uint64_t) classes_with_holes[ZSMALLOC_HOLE_WORDS];

	/* In pools that evict: the last stamp, and the zspage that has it. */
	_Atomic(uint64_t) clock;
	_Atomic(uint32_t) newest;

	bool is_child;                /* of fork(), in which calls of other threads have not ended */
	_Atomic(bool) found_damage;   /* in back pointers; zsmalloc_report_damage() logs it */
	_Atomic(bool) is_compacting;  /* a thread is compacting inside free or malloc */
	_Atomic(uint32_t) next_class; /* the next class to compact inside malloc */
	/*
	 * A malloc at the limit may compact the whole pool again after this many frees, or while this is the number of
	 * mallocs that have failed at the limit.
	 */
	_Atomic(uint64_t) retry_at_frees, retry_at_failures;
	_Atomic(uint64_t) seen_evictions; /* the number of evictions at the last such compaction */

	struct zsmalloc_round round; /* guarded by records.lock */

	_Atomic(uint64_t) compaction_id; /* of the last run */
	_Atomic(uint64_t) compactions;
	_Atomic(uint64_t) moved_bytes, released_bytes;
	_Atomic(uint64_t) evictions, evict_refused;
	struct zp_counts counts;
};

/* ---- finding zspages, classes and slots ---- */

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

/* Returns the zspage of a bound slot that is free or cached. */
static inline uint32_t zsmalloc_bound_zspage(struct zsmalloc_pool *pool, uint32_t handle_slot)
{
	return zsmalloc_location_zspage(zp_handles_location(&pool->handles, handle_slot));
}

/*
 * Returns the handle slots of a zspage's slots; that of a slot that was never used is ZP_SLOT_NONE.  They are in
 * front of slot 0, or in the record if there are few.  A write past the end of the zspage before may have damaged them,
 * so they are verified before they are used.
 */
static inline uint32_t *zsmalloc_handle_slots(const struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	return class->head_bytes ? (uint32_t *)(void *)(zspage->header->base - class->head_bytes)
				 : (uint32_t *)(void *)&zspage->used[1];
}

/* Returns the pages that a slot lies on, as a mask like zspage->committed. */
static inline uint64_t zsmalloc_slot_pages(const struct zsmalloc_class *class, unsigned int slot)
{
	size_t from = class->head_bytes + (size_t)slot * class->slot_bytes;
	unsigned int first = (unsigned int)(from >> ZP_PAGE_SHIFT);
	unsigned int last = (unsigned int)((from + class->slot_bytes - 1) >> ZP_PAGE_SHIFT);

	return (UINT64_MAX >> (63 - (last - first))) << first;
}

/* Returns how many words of zspage->used are bitmaps of slots. */
static inline unsigned int zsmalloc_used_words(const struct zsmalloc_class *class)
{
	return (class->slots + 63u) / 64;
}

/* Returns the groups whose zspages have free slots, as a mask. */
static inline uint32_t zsmalloc_groups_with_room(const struct zsmalloc_class *class)
{
	return class->group_mask & ((1u << ZSMALLOC_FULL) - 1);
}

/*
 * Returns true if a whole compaction may move objects of a class to a larger one.  `larger` may point behind the last
 * class.
 */
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

/*
 * Creates the classes of a pool.  chain: the largest number of pages of a zspage; step: the smallest number of bytes
 * between classes.  Returns 0 or -ENOMEM.
 */
int zsmalloc_classes_init(struct zsmalloc_pool *pool, unsigned int chain, unsigned int step);
void zsmalloc_classes_fini(struct zsmalloc_pool *pool);

/* Sets the constants of a class before its first malloc.  Called with the lock held. */
void zsmalloc_class_prepare(const struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/*
 * Returns true if the class had a malloc.  Without the class's lock, the first malloc of the class may be missed while
 * it runs.
 */
static inline bool zsmalloc_class_is_used(const struct zsmalloc_class *class)
{
	return atomic_load_explicit(&class->is_used, memory_order_acquire);
}

/* Returns the next used class after one, or the first one after NULL, or NULL if there are no more. */
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

/* ---- zsmalloc_slots.c: free slots of a class; called with its lock held, unless a comment says otherwise ---- */

/*
 * Takes a slot for an object of the class, perhaps in a larger class, and binds it to a handle slot.  *grew says
 * whether the pool got another zspage.  Without NOWAIT, the lock is released while the pool grows.  Returns 0 or
 * -errno.
 */
int zsmalloc_slot_get(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *handle_slot,
		      bool *grew);

/* Takes up to `wanted` free slots that have memory.  Returns how many. */
unsigned int zsmalloc_slots_get_ready(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slots,
				      unsigned int wanted);

/*
 * Takes a free slot with memory in one of the larger classes to which a whole compaction would move objects, for a
 * malloc at the limit.  Called without a lock.  Returns 0 or -ENOMEM.
 */
int zsmalloc_slot_migrate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t *handle_slot);

/* Makes bound slots of the class free, and retires zspages that become empty. */
void zsmalloc_slots_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, const uint32_t *handle_slots,
			unsigned int count);

/* Returns how many slots of the class a thread may cache. */
unsigned int zsmalloc_cached_max(const struct zsmalloc_class *class);

/* Returns how many slots of the class all threads cache. */
uint32_t zsmalloc_cached_count(struct zsmalloc_pool *pool, const struct zsmalloc_class *class);

/*
 * cached_put makes the cached slots of the class free; cached_put_in only those in zspage `number`, unless it is
 * ZSMALLOC_NONE.  begin_draining does the same, and keeps threads from caching slots of the class until end_draining.
 */
void zsmalloc_class_begin_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_class_end_draining(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_cached_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_cached_put_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number);

/* Releases the cached slots, the spare zspage and the spare record of the class.  Returns the number of pages. */
uint64_t zsmalloc_class_drop_cached(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Does the same in all classes.  Called without a lock. */
void zsmalloc_drop_cached(struct zsmalloc_pool *pool);

/* The callback `empty` of the thread caches: makes the slots in a cache free when its thread ends. */
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
