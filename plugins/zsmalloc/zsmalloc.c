/* SPDX-License-Identifier: MIT
 *
 * zsmalloc - dense: objects of one size class packed into zspages, and packed again by compaction
 *
 * Sizes.  Every size belongs to a class, 16 bytes apart up to a page and a sixty-fourth of their size apart above it.
 * Classes whose zspages would hold the same number of objects are one.
 *
 * A zspage
 *
 *     | handles | slot 0 | slot 1 | ...          | slot n-1 | tail |
 *     page 0         page 1         page 2  ...          page p-1
 *
 * is a run of up to 32 contiguous pages (the chain) cut into equal slots, the length chosen so that little is left at
 * the end.  Slots cross pages as they fall: addresses are contiguous, so map is a pointer and copies nothing.  Objects
 * have no header.  In front stand the handle slots (slots of the handle table), four bytes a slot, because compaction
 * and eviction need the way back from an object to its handle; zspages of up to four slots have them in their record,
 * so that objects of whole pages fit whole pages.  What stands there is checked against the handle table before it is
 * believed, because an overrun of the zspage before may have written there.  Which slots are used is a bitmap in the
 * record, out of reach of any object.
 *
 * Memory comes late and goes early.  A run is address space at first.  Slots are taken lowest first, and a page gets
 * its memory when the first object lies on it; so a class with one object costs a page or two, however long its chain.
 * Compaction takes the memory of single pages back from zspages that stay half-used.
 *
 * A slot is used, or free.  A free slot that was used before is a hole: it is still bound to its handle slot, which is
 * dead and remembers where it belongs.  So a malloc that fills a hole only makes that handle slot live again.  A handle
 * slot is bound to a slot when the first object comes, and unbound when the slot's memory goes.
 *
 * Where an object goes (zsmalloc_slots.c): into the fullest zspage of its class that has room (by tenths), so that the
 * emptier ones run empty; if no free slot of the class has memory, into a hole of one of the next eight classes; only
 * then into new memory.  So a program that replaces objects refills what it frees, and next to nothing has to be
 * moved.  A zspage that is empty goes back, except that a class keeps one of two pages or less.
 *
 * Handles are the shared table's: a word with generation, state and location; the location is the number of the zspage
 * and of the slot.  Map pins the word and computes the address from the zspage's header, without a lock: what free and
 * map need of a zspage are sixteen bytes beside its record, so that those of a large pool stay in the processor's
 * cache.
 *
 * Thread caches (support/magazine.h).  A free leaves slot and handle slot together in its thread's cache, up to
 * fourteen a class and a thirty-second of what the class has in use: the slot still counts as used in its zspage.  The
 * thread's next malloc of the class takes the last of them, and touches neither the class, its bitmaps and lists nor
 * the back pointer. A pair of malloc and free executes one locked instruction, the one that makes sure that an object
 * is freed once.
 *
 * What a free waits for is its handle's word.  So it checks and claims that, leaves the slot as the cache's pending
 * one, and does for the slot that was pending before what depends on a word's content: it puts that in its magazine,
 * and asks the processor to fetch where the object began, because the program will write there next.
 *
 * A cache that has too many slots gives the oldest to their class; one that has none gets a few holes of the class: a
 * class is visited for some objects at a time.  Code that must know what is free (compaction, eviction, trim, the walk
 * over classes, a class that runs empty, a thread that ends) stops the caches and takes the slots that it needs out of
 * them.
 *
 * Compaction (zsmalloc_compact.c) is asked for (zsmalloc_round.c), or automatic (zsmalloc_auto.c): when a pool wastes
 * too much, frees move up to 64 KiB of objects each in the classes that waste most, into slots that have memory.  A
 * malloc that finds no memory does so wherever a page can be won.  A whole compaction also settles what stays
 * (zsmalloc_settle.c): last pages, records, page tables.
 *
 * Eviction (zsmalloc_reclaim.c) takes whole zspages, the one that was stored into longest ago first.
 *
 * Locks: a class's lock guards its zspages, their slots and lists; a thread that has an object pinned reads its
 * zspage's header without.  After a class's lock come the lock of a larger class, which malloc only tries, then
 * records.lock and caches.lock, then the handle table's and the page allocator's.  No lock is held while the owner is
 * asked to evict; copying under a lock is bounded to 32 KiB a hold, or, where a whole compaction moves one, to a
 * zspage.
 *
 * ZPOOL_GFP_NOWAIT: a cached slot, else a free slot that has memory, else a zspage from the reserve; for a slot that
 * was never used, a handle slot of a committed group; every lock is only tried.
 *
 * Sources: the kernel's zsmalloc for size classes, zspages and the choice of the fullest; there pages are not
 * contiguous, objects carry headers, and memory comes by whole zspages.
 */
#include <config.h>

#include <stdlib.h>

#include "zsmalloc.h"

enum { PARAM_CHAIN, PARAM_STEP, PARAM_MAX, PARAM_COMPACT, PARAMS };

static const struct zpool_param zsmalloc_params[PARAMS] = {
	[PARAM_CHAIN] = {
		.key = "chain",
		.help = "pages of a zspage at most; long chains pack large pools denser",
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
		.help = "compact by itself, inside free and malloc, where much is wasted",
		.default_value = "yes",
		.type = ZPOOL_PARAM_BOOL,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

/* ------------------------------------------------------------------------------------------------------------------
 * A pool's life
 */

static uint64_t value_of(const struct zpool_create_args *args, uint32_t index)
{
	const char *values = (const char *)args->values;

	return ((const struct zpool_value *)(const void *)(values + index * (size_t)args->value_size))->number;
}

static int pool_init(struct zsmalloc_pool *pool, const struct zpool_create_args *args)
{
	int err = zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes);
	if (err)
		return err;
	zsmalloc_records_init(&pool->records);
	zp_lock_rank(&pool->records.lock, ZSMALLOC_RANK_RECORDS, 0, &pool->pages);
	err = zp_pages_charge(&pool->pages, sizeof *pool, ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(&pool->handles, &pool->pages, 0, 0);
	if (err)
		goto fini_pages;
	err = zsmalloc_classes_init(pool, (unsigned int)value_of(args, PARAM_CHAIN),
				    (unsigned int)value_of(args, PARAM_STEP));
	if (!err) {
		zp_caches_init(&pool->caches, pool->class_count);
		return 0;
	}
	zp_handles_fini(&pool->handles);
fini_pages:
	zp_pages_fini(&pool->pages);
	return err;
}

static int zsmalloc_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zsmalloc_pool *pool = calloc(1, sizeof *pool);
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
	pool->object_bytes_max = value_of(args, PARAM_MAX);
	atomic_init(&pool->auto_compact, value_of(args, PARAM_COMPACT) != 0);
	int err = pool_init(pool, args);
	if (err) {
		free(pool);
		if (err == -ENOMEM && args->limit_bytes)
			args->host->error(args->core,
					  "A limit of %llu byte%s is too low for a zsmalloc pool; raise it.",
					  (unsigned long long)args->limit_bytes, ZPOOL_PLURAL(args->limit_bytes));
		return err;
	}
	out->pool = pool;
	out->max_object_bytes = pool->object_bytes_max;
	return 0;
}

static void zsmalloc_destroy(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;

	zp_caches_fini(&pool->caches);
	zsmalloc_classes_fini(pool);
	zsmalloc_records_fini(pool);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
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
	atomic_store_explicit(&pool->caches.refused, false, memory_order_relaxed);
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
	return 0;
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
	zp_unlock(&pool->records.lock);
	for (unsigned int i = 0; i < pool->class_count; i++)
		zp_unlock(&pool->classes[i].lock);
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
