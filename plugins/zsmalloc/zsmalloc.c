/* SPDX-License-Identifier: MIT
 *
 * zsmalloc - a dense driver: objects of one size class are packed into zspages, which compaction keeps full
 *
 * Sizes.  Each size belongs to a size class.  Classes are 16 bytes apart up to a page, and a sixty-fourth of their size
 * apart above it.  Classes whose zspages would have the same number of slots are merged.
 *
 * A zspage
 *
 *     | back pointers | slot 0 | slot 1 | ...          | slot n-1 | tail |
 *     page 0               page 1         page 2  ...           page p-1
 *
 * is a run of up to 32 contiguous pages (the chain) that is cut into equal slots.  The number of pages is chosen so
 * that the tail is small.  Slots may cross page boundaries: the addresses are contiguous, so map returns a pointer and
 * copies nothing.  Objects have no headers.  In front of slot 0 are the back pointers, four bytes for each slot: the
 * number of its handle slot (its slot of the handle table), because compaction and eviction need the way back from an
 * object to its handle.  A zspage of up to four slots has its back pointers in its record, so that objects of whole
 * pages fit whole pages.  A write past the end of the zspage before may damage back pointers, so each is verified in
 * the handle table before it is used.  The bitmap of used slots is in the record, which no object borders on.
 *
 * Memory is committed late and released early.  At first, a run of pages is only address space.  Slots are taken in
 * rising order, and a page is committed when the first object lies on it, so a class with one object costs a page or
 * two, however long its chain is.  Compaction releases idle pages of zspages that stay partly used.
 *
 * A slot is used or free.  A free slot that was used before is a hole.  It is still bound to its handle slot, which is
 * dead and keeps the slot's location, so a malloc that fills a hole only makes that handle slot live again.  A slot is
 * bound when its first object is stored, and unbound when its memory is released.
 *
 * Placement (zsmalloc_slots.c).  A malloc takes a slot of the fullest zspage of its class that has room (by tenths), so
 * that the emptiest zspages become empty.  If no free slot of the class has memory, it takes a hole of one of the next
 * eight classes, and only then new memory.  So a program that replaces objects fills the holes that it makes, and
 * compaction has almost nothing to do.  An empty zspage is destroyed; but a class keeps one with up to two pages.
 *
 * Handles are those of the shared table (support/handles.h): a word with generation, state and location, where the
 * location is the number of the zspage and of the slot.  map pins the word and computes the address from the zspage
 * header, without a lock.  A zspage header is the sixteen bytes about a zspage that free and map need.  It is in a
 * table of its own, so that the headers of a large pool stay in the processor's cache.
 *
 * Thread caches (support/magazine.h).  free leaves a slot with its handle slot in the thread's cache, where the slot
 * still counts as used in its zspage.  A cache holds up to fourteen slots of a class, and no more than a thirty-second
 * of the class's used slots.  The thread's next malloc of the class takes the slot that was freed last, without the
 * class's lock, bitmaps and rings.  A pair of malloc and free executes one locked instruction, in begin_free, which
 * ends the life of the handle at once, so that an object is freed only once.
 *
 * The slot that was freed last is the cache's pending slot, which is not yet in a magazine.  What remains to be done
 * for it depends on the handle's word, which is usually a cache miss when an object is freed.  So the thread's next
 * free does it, when the word has arrived: it puts the slot into the magazine of its class, and prefetches the slot's
 * first bytes, where the program will write next.  A malloc that finds its magazine empty takes the pending slot
 * instead, if that belongs to its class or to one from which it may borrow, and makes the handle slot live again with
 * one store.
 *
 * A full magazine returns its oldest slots to the class, and an empty one gets a few holes of the class.  Code that
 * must know which slots are free (compaction, eviction, trim, the walk over classes, a class that becomes empty, a
 * thread that ends) stops the caches and takes the slots that it needs out of them.
 *
 * Exclusive pins.  In a process with several threads, an object that is mapped with ZPOOL_MM_WO is pinned exclusively,
 * and unmap ends the pin with a plain store inside the cache's biased lock (see "Exclusive pins" in support/handles.h).
 * A thread that maps such an object, too, stops the caches and makes the pin an ordinary one.
 *
 * Compaction (zsmalloc_compact.c) runs on request (zsmalloc_round.c) or automatically (zsmalloc_auto.c): if a pool
 * wastes too much, each free moves up to 64 KiB of objects in the classes that waste most, into slots that have memory.
 * A malloc that finds no memory compacts wherever that wins a page.  A whole compaction also moves last pages, records
 * and lonely zspages (zsmalloc_settle.c).
 *
 * Eviction (zsmalloc_reclaim.c) empties whole zspages, the one that an object was stored in longest ago first.  A
 * zspage under reclaim is in a ring of its own with the thread that empties it, because in the child of a fork no other
 * thread completes that.
 *
 * Locks.  A class's lock guards its zspages, their slots and rings.  A thread that has an object pinned reads its
 * zspage header without that lock.  After a class's lock come the lock of a larger class, which a malloc only
 * tries, then records.lock and caches.lock, then the locks of the handle table and the page allocator.  No lock is held
 * while the owner is asked to evict.  Compaction copies at most 32 KiB while it holds a lock, or a whole zspage where
 * it moves one.
 *
 * ZPOOL_GFP_NOWAIT.  A malloc takes a cached slot, a free slot that has memory, or a zspage from the reserve.  For a
 * slot that was never used, it takes a handle slot of a committed group.  It only tries locks.
 *
 * Sources: the kernel's zsmalloc, for size classes, zspages and the choice of the fullest zspage.  There, the pages of
 * a zspage are not contiguous, objects have headers, and whole zspages are committed at once.
 */
#include <config.h>

#include <stdlib.h>

#include "create.h"
#include "zsmalloc.h"

enum { PARAM_CHAIN, PARAM_STEP, PARAM_MAX, PARAM_COMPACT, PARAMS };

static const struct zpool_param zsmalloc_params[PARAMS] = {
	[PARAM_CHAIN] = {
		.key = "chain",
		.help = "the most pages that a zspage may have; long chains pack large pools more densely",
		.default_value = "32",
		.min = 1,
		.max = ZSMALLOC_CHAIN_MAX,
		.type = ZPOOL_PARAM_UINT,
	},
	[PARAM_STEP] = {
		.key = "step",
		.help = "bytes between size classes, rounded up to a multiple of 16",
		.default_value = "16",
		.min = ZSMALLOC_ALIGN_BYTES,
		.max = 1024,
		.type = ZPOOL_PARAM_SIZE,
	},
	[PARAM_MAX] = {
		.key = "max",
		.help = "largest object in bytes",
		.default_value = "64K",
		.min = 1,
		.max = ZSMALLOC_OBJECT_BYTES_MAX,
		.type = ZPOOL_PARAM_SIZE,
	},
	[PARAM_COMPACT] = {
		.key = "compact",
		.help = "compact automatically, inside free and malloc, when much memory is wasted",
		.default_value = "yes",
		.type = ZPOOL_PARAM_BOOL,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

/* ------------------------------------------------------------------------------------------------------------------
 * A pool's life
 */

static uint64_t param_value(const struct zpool_create_args *args, uint32_t index)
{
	return zp_create_value(args, index)->number;
}

static int pool_init(struct zsmalloc_pool *pool, const struct zpool_create_args *args)
{
	int err = zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), 0, args);
	if (err)
		return err;
	zsmalloc_records_init(&pool->records);
	zp_lock_rank(&pool->records.lock, ZSMALLOC_RANK_RECORDS, 0, &pool->pages);
	err = zsmalloc_classes_init(pool, (unsigned int)param_value(args, PARAM_CHAIN),
				    (unsigned int)param_value(args, PARAM_STEP));
	if (err)
		zp_destroy_tables(&pool->pages, &pool->handles);
	else
		zp_caches_init(&pool->caches, pool->class_count);
	return err;
}

static int zsmalloc_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zsmalloc_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	pool->caches = (struct zp_caches){ .pages = &pool->pages,
					   .host = args->host,
					   .core = args->core,
					   .driver = pool,
					   .empty = zsmalloc_cache_empty };
	pool->object_bytes_max = param_value(args, PARAM_MAX);
	atomic_init(&pool->auto_compact, param_value(args, PARAM_COMPACT) != 0);
	int err = pool_init(pool, args);
	if (err) {
		free(pool);
		return zp_create_failed(args, "zsmalloc", err);
	}
	out->pool = pool;
	out->max_object_bytes = pool->object_bytes_max;
	return 0;
}

static void zsmalloc_destroy(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;

	zsmalloc_report_damage(pool);
	zp_caches_fini(&pool->caches);
	zsmalloc_classes_fini(pool);
	zsmalloc_records_fini(pool);
	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool as a whole
 */

static uint64_t zsmalloc_total_size(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static int zsmalloc_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct zsmalloc_pool *pool = pool_;

	if (index != PARAM_COMPACT)
		return -EINVAL;
	atomic_store(&pool->auto_compact, value->number != 0);
	return 0;
}

static int zsmalloc_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct zsmalloc_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	zp_caches_forget_refusal(&pool->caches);
	return 0;
}

static int zsmalloc_trim(void *pool_, uint64_t *released)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;

	zsmalloc_drop_cached(pool);
	zp_caches_trim(&pool->caches);
	zsmalloc_records_trim(pool);
	zp_handles_trim(&pool->handles, &ignored);
	zp_pages_trim(&pool->pages, &ignored);
	uint64_t after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	zsmalloc_report_damage(pool);
	return 0;
}

/* In the child of a fork, the calls of the parent's other threads never end.  The locks are held. */
static void forget_other_threads(struct zsmalloc_pool *pool)
{
	for (unsigned int i = 0; i < pool->class_count; i++)
		if (pool->classes[i].is_draining)
			zsmalloc_class_end_draining(pool, &pool->classes[i]);
	atomic_store_explicit(&pool->is_compacting, false, memory_order_relaxed);
	pool->is_child = true;
}

static void zsmalloc_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct zsmalloc_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		for (unsigned int i = 0; i < pool->class_count; i++)
			zp_lock(&pool->classes[i].lock);
		zp_lock(&pool->records.lock);
		zp_caches_fork(&pool->caches, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
		return;
	}
	zp_pages_fork(&pool->pages, phase);
	zp_handles_fork(&pool->handles, phase);
	zp_caches_fork(&pool->caches, phase);
	if (phase == ZPOOL_FORK_CHILD)
		forget_other_threads(pool);
	zp_unlock(&pool->records.lock);
	for (unsigned int i = 0; i < pool->class_count; i++) {
		if (phase == ZPOOL_FORK_CHILD)
			zsmalloc_reclaims_of_others_end(pool, &pool->classes[i]);
		zsmalloc_class_unlock(pool, &pool->classes[i]);
	}
}

ZPOOL_DRIVER_DEFINE(zsmalloc, ZPOOL_VERSION, "size classes packed into zspages, compacted and evicted by zspage",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT | ZPOOL_DRIVER_MOVABLE,
		    .params = zsmalloc_params, .param_count = PARAMS, .max_object_bytes = ZSMALLOC_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZSMALLOC_ALIGN_BYTES, .create = zsmalloc_create, .destroy = zsmalloc_destroy,
		    .malloc = zsmalloc_malloc, .free = zsmalloc_free, .total_size = zsmalloc_total_size,
		    .map = zsmalloc_map, .unmap = zsmalloc_unmap, .shrink = zsmalloc_shrink,
		    .compact = zsmalloc_compact, .obj_size = zsmalloc_obj_size, .stats = zsmalloc_stats,
		    .each_class = zsmalloc_each_class, .each_object = zsmalloc_each_object, .set = zsmalloc_set,
		    .set_limit = zsmalloc_set_limit, .trim = zsmalloc_trim, .fork = zsmalloc_fork,
		    .verify = zsmalloc_verify)
