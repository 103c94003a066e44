/* SPDX-License-Identifier: MIT
 *
 * zblock - blocks of equal slots: quick, simple, and dense for objects that fit
 *
 * An object goes into a slot of the tightest size, and stays there until it is freed.  Nothing is moved or evicted,
 * so there is little to keep in step: for each size one lock, three lists of blocks and the slots that threads cache,
 * and for each block a bitmap.
 *
 * A block
 *
 *     | 32 | slot 0 | slot 1 | ...          | slot n-1 | tail |
 *     page 0     page 1     ...           page 2^order - 1
 *
 * is a run of 1, 2, 4 or 8 pages, cut into n equal slots of ((4096 << order) - 32) / n bytes, rounded down to 8.  The
 * 29 pairs of order and n (zblock_type.c) are the block types, and their slots the sizes that there are, from 120 to
 * 4672 bytes, 7 to 12 % apart where compressed pages lie.  A size belongs to the type with the smallest slot that
 * holds it; one that is exactly a slot's belongs to that slot's type.
 *
 * What a block is about (free slots, links, pages) stands in a record of 32 bytes outside of it.  The model keeps its
 * header at the beginning of the block, where an overrun of the block before could write, and everything would be
 * believed.  Its place stays empty here.  It could be given to the slots, which would make 12 of the 29 sizes 8 bytes
 * larger; but then they, and what an object costs, would no longer be the model's, for a gain of 0.2 % of footprint
 * on compressed pages.  Objects of 128, 512, 1024 or 2048 bytes would gain more: for those zsmalloc is the better
 * choice.
 *
 * Memory comes late and goes early.  A block is address space at first.  Slots are taken lowest first, and a page
 * gets memory when the first object lies on it; so a type with one object costs a page, or two for the largest.  Trim
 * takes the memory of pages on which no object lies from blocks that are half used; a later object gets it back.
 *
 * Lists.  A type has three lists of blocks: those with room, those with room that also have an idle page (a page that
 * has memory and no object on it), and those without room.  An object goes into the first block with room, which is the
 * one that got its room last, and whose slots are the likeliest to be in the processor's cache: a new block, or a full
 * one of which an object was freed.  Blocks with an idle page come after the others, so that idle pages can go back;
 * but they come before a block whose free slots have no memory.  (Trim leaves such blocks, and puts them last.)  A list
 * for each fullness, the fullest taken first, was simulated on compressed pages: it leaves 0.1 % less waste after four
 * replacements an object, and costs links at every call.  A block's bitmaps decide which list it is in; both change
 * together, under the lock, so that no room is ever lost from sight, and a trim finds what it can give back without
 * looking at any other block.
 *
 * A block that becomes empty goes back at once, save one for each type, if it has at most two pages of memory: where
 * all other blocks are full, a program that stores and frees one object would have the page allocator in its loop and
 * take ten times as long.  The spare block counts like any other, and trim gives it back.  Each malloc that finds no
 * memory does what trim does before it fails: what one type keeps is room for the others.
 *
 * Handles are the shared table's; the location is the number of the block's record and the slot.  Map pins the
 * handle's word and computes the address from the record, without a lock.  A type keeps up to eight handle slots that
 * its frees left.
 *
 * Thread caches (support/magazine.h).  A free leaves slot and handle slot together in its thread's cache, and the
 * thread's next malloc of that type takes them from there: neither touches the type, its lock, its lists or the block's
 * bitmaps, and the pair executes one locked instruction, the one that makes sure that an object is freed once.  The
 * slot that was freed last is the cache's pending one.  The next malloc takes it first, so that a program that stores
 * and frees one object gets the same slot again; the next free moves it into the magazine of its type.
 *
 * In its block, a cached slot counts as used.  That keeps the memory of a block from being given back, so a thread
 * caches no more than 1 slot and a 128th of the type's used slots, at most 14, and of a type with less than 3 only the
 * pending one.  Of a full magazine the oldest slots go back to their type, four at a time; an empty one gets three free
 * slots that have memory, where it may hold more than three.  Code that must know what is free (trim, a malloc that
 * finds no memory, the walk over types, the last free of a type, a thread that ends) stops the caches and takes
 * the slots that it needs out of them.
 *
 * Locks: a type's lock guards its blocks, their slots and lists; a thread that has an object of a block pinned, or one
 * of its slots cached, reads the constant part of the record without it.  After it come record_lock, then caches.lock,
 * then the locks of the handle table and of the page allocator.  The page source is called under a type's lock where a
 * block's next page gets memory or trim takes it, for one block at a time.
 *
 * ZPOOL_GFP_NOWAIT: a slot that the thread caches, else a free slot with memory in one of the first 8 blocks with room
 * or the spare one, else a block from the reserve; a kept handle slot, else one of a committed group; every lock is
 * only tried.
 *
 * Source: the kernel's zblock as it was proposed, for block types, lists and their order, the largest object and the
 * error codes.  There a handle is block, type and slot themselves, blocks have all their memory from the start, and two
 * things went wrong: a block could drop out of the list of those with room, and an object of exactly a slot's size went
 * one size up.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "create.h"
#include "zblock.h"

enum { ZBLOCK_PARAM_RESERVE, ZBLOCK_PARAMS };

static const struct zpool_param zblock_params[ZBLOCK_PARAMS] = {
	[ZBLOCK_PARAM_RESERVE] = {
		.key = "reserve",
		.help = "free pages to keep for new blocks; by default 1/128 of what the pool holds, at least 256K",
		.min = 0,
		.max = UINT64_C(1) << 42,
		.type = ZPOOL_PARAM_SIZE,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

/* ------------------------------------------------------------------------------------------------------------------
 * A pool's life
 */

static int pool_init(struct zblock_pool *pool, const struct zpool_create_args *args)
{
	pool->host = args->host;
	pool->core = args->core;
	pool->caches = (struct zp_caches){ .pages = &pool->pages,
					   .host = args->host,
					   .core = args->core,
					   .driver = pool,
					   .empty = zblock_cache_empty };
	zp_caches_init(&pool->caches, ZBLOCK_TYPES + 1);
	zblock_types_init(pool);
	zblock_records_init(pool);
	return zp_create_tables(&pool->pages, &pool->handles, sizeof *pool, 0, args);
}

static int zblock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	/* Aligned, so that no two types' locks share a cache line. */
	struct zblock_pool *pool = aligned_alloc(_Alignof(struct zblock_pool), sizeof *pool);
	int err = -ENOMEM;

	if (pool) {
		memset(pool, 0, sizeof *pool);
		err = pool_init(pool, args);
	}
	if (err) {
		free(pool);
		return zp_create_failed(args, "zblock", err);
	}
	zp_create_reserve(&pool->pages, args, ZBLOCK_PARAM_RESERVE);
	out->pool = pool;
	return 0;
}

static void zblock_destroy(void *pool_)
{
	struct zblock_pool *pool = pool_;

	zp_caches_fini(&pool->caches);
	zblock_records_fini(pool);
	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool as a whole
 */

static uint64_t zblock_total_size(void *pool_)
{
	struct zblock_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static int zblock_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct zblock_pool *pool = pool_;

	if (index != ZBLOCK_PARAM_RESERVE)
		return -EINVAL;
	zp_pages_set_reserve(&pool->pages, value->number);
	return 0;
}

static int zblock_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct zblock_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	atomic_store_explicit(&pool->caches.refused, false, memory_order_relaxed);
	return 0;
}

static int zblock_trim(void *pool_, uint64_t *released)
{
	struct zblock_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after, ignored;

	(void)zblock_make_room(pool);
	zblock_records_sort(pool);
	zp_pages_trim(&pool->pages, &ignored);
	after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	return 0;
}

static void zblock_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct zblock_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
			zp_lock(&pool->types[i].lock);
		zp_lock(&pool->record_lock);
		zp_caches_fork(&pool->caches, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
		return;
	}
	zp_pages_fork(&pool->pages, phase);
	zp_handles_fork(&pool->handles, phase);
	zp_caches_fork(&pool->caches, phase);
	zp_unlock(&pool->record_lock);
	for (unsigned int i = ZBLOCK_TYPES; i >= 1; i--)
		zp_unlock(&pool->types[i].lock);
}

ZPOOL_DRIVER_DEFINE(zblock, ZPOOL_VERSION, "blocks of equal slots, quick, without compaction or eviction",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT, .params = zblock_params,
		    .param_count = ZBLOCK_PARAMS, .max_object_bytes = ZBLOCK_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZBLOCK_ALIGN_BYTES, .create = zblock_create, .destroy = zblock_destroy,
		    .malloc = zblock_malloc, .free = zblock_free, .total_size = zblock_total_size, .map = zblock_map,
		    .unmap = zblock_unmap, .obj_size = zblock_obj_size, .stats = zblock_stats,
		    .each_class = zblock_each_class, .each_object = zblock_each_object, .set = zblock_set,
		    .set_limit = zblock_set_limit, .trim = zblock_trim, .fork = zblock_fork, .verify = zblock_verify)
