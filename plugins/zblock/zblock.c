/* SPDX-License-Identifier: MIT
 *
 * zblock - blocks of equal slots: quick, simple, and dense for objects that fit
 *
 * An object goes into a slot of the smallest size that holds it, and stays there until it is freed.  The driver never
 * moves or evicts an object, so it needs little state: for each size one lock, three lists of blocks and the slots that
 * threads cache, and for each block a bitmap.
 *
 * A block
 *
 *     | 32 | slot 0 | slot 1 | ...          | slot n-1 | tail |
 *     page 0     page 1     ...           page 2^order - 1
 *
 * is a run of 1, 2, 4 or 8 pages, cut into n equal slots of ((4096 << order) - 32) / n bytes, rounded down to 8.  The
 * 29 pairs of order and n (zblock_type.c) are the block types.  Their slot sizes range from 120 to 4672 bytes, and are
 * 7 to 12 % apart in the range of compressed pages.  A size belongs to the type with the smallest slot that holds it;
 * one that is exactly a slot's belongs to that slot's type.
 *
 * The metadata of a block (free slots, links, pages) is in a record of 32 bytes outside of the block.  The kernel's
 * driver keeps it in a header at the beginning of the block, where an overrun of the preceding block could corrupt it
 * undetected.  Here the header's 32 bytes stay empty.  Giving them to the slots would make 12 of the 29 sizes 8 bytes
 * larger and save 0.2 % of the footprint on compressed pages, but the sizes would then differ from the kernel's.
 * Objects of 128, 512, 1024 or 2048 bytes would gain more: for those zsmalloc is the better choice.
 *
 * The driver commits memory late and decommits it early.  A new block is only address space.  malloc takes the lowest
 * slot first, and a page gets memory when the first object is put on it; so a type with one object costs one page, or
 * two for the largest types.  Trim decommits the pages without an object in partly used blocks; a later malloc commits
 * them again.
 *
 * Lists.  A type has three lists of blocks: those with room, those with room that also have an idle page (a page that
 * has memory and no object on it), and those without room.  An object goes into the first block with room.  This is a
 * new block or the block that was full until recently, whose slots are the most likely to be in the processor's cache.
 * Blocks with an idle page come after the others, so that trim can decommit idle pages; but they come before a block
 * whose free slots have no memory.  (Trim creates such blocks, and puts them last.)  We simulated one list for each
 * fullness, with the fullest block taken first, on compressed pages: it saves 0.1 % of memory after each object was
 * replaced four times, but must update links in every call.  A block's bitmaps decide which list it is in; both change
 * together, under the lock, so that every block with room is always on a list, and trim finds the idle pages without a
 * look at any other block.
 *
 * A block that becomes empty is released at once, except that each type keeps one spare block with at most two pages of
 * memory.  Without the spare block, a program that stores and frees one object while all other blocks are full would
 * call the page allocator each time and take ten times as long.  The spare block counts like any other, and trim gives
 * it back.  A malloc that finds no memory trims the pool before it fails, so that the memory one type keeps is
 * available to the others.
 *
 * Handles come from the shared handle table; a location is the number of the block's record and the slot.  Map pins the
 * handle's table entry and computes the address from the record, without a lock.  A type keeps up to eight free handle
 * slots for its next mallocs.
 *
 * Thread caches (support/magazine.h).  A free leaves the slot and its handle slot in the calling thread's cache, and
 * the thread's next malloc of that type takes them from there: neither touches the type, its lock, its lists or the
 * block's bitmaps, and the pair executes one locked instruction, the one that makes sure that an object is freed once.
 * The slot that was freed last is the cache's pending one.  The next malloc takes it first, so that a program that
 * stores and frees one object gets the same slot again; the next free moves it into the magazine of its type.
 *
 * The block counts a cached slot as used.  This keeps the block's memory from being released, so a thread caches at
 * most 1 slot plus a 128th of the type's used slots, and never more than 14; of a type with fewer than 3 used slots it
 * caches only the pending slot.  When a magazine is full, its four oldest slots return to their type; an empty magazine
 * that may hold more than three slots is refilled with three free slots that have memory.  Code that must know which
 * slots are free (trim, a malloc that finds no memory, the walk over types, the last free of a type, a thread that
 * ends) stops the caches and takes the slots that it needs out of them.
 *
 * Locks: a type's lock guards its blocks, their slots and lists; a thread that has an object of a block pinned, or one
 * of its slots cached, reads the constant part of the record without the lock.  room_lock is held while slots are taken
 * out of the caches and the blocks that become empty are given back, so that other threads wait for that, instead of
 * failing for want of what is on its way.  The locking order is: room_lock, a type's lock, record_lock, caches.lock,
 * then the locks of the handle table and of the page allocator.  The driver holds a type's lock while it commits or
 * decommits pages of a block, for one block at a time.
 *
 * ZPOOL_GFP_NOWAIT: the call takes a slot that the thread caches; otherwise a free slot with memory in one of the first
 * 8 blocks with room or in the spare block; otherwise a block from the reserve.  The handle slot is one that the type
 * keeps, or one from a committed group.  The call only tries each lock.
 *
 * The block types, the lists and their order, the largest object and the error codes follow zblock as it was proposed
 * for the kernel.  There a handle encodes the block, the type and the slot directly, and blocks have all their memory
 * from the start.  It had two faults that this driver avoids: a block with room could be missing from the list of
 * blocks with room, and an object of exactly a slot's size went into the next larger size.
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
	zp_lock_init(&pool->room_lock);
	zp_lock_rank(&pool->room_lock, ZBLOCK_RANK_ROOM, 0, &pool->pages);
	zp_caches_init(&pool->caches, ZBLOCK_TYPES + 1);
	zblock_types_init(pool);
	zblock_records_init(pool);
	return zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), 0, args);
}

static int zblock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	/* Aligned, so that no two types' locks share a cache line. */
	struct zblock_pool *pool = aligned_alloc(_Alignof(struct zblock_pool), sizeof(*pool));
	int err = -ENOMEM;

	if (pool) {
		memset(pool, 0, sizeof(*pool));
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
	zp_caches_forget_refusal(&pool->caches);
	return 0;
}

static int zblock_trim(void *pool_, uint64_t *released)
{
	struct zblock_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after, ignored;

	zblock_make_room(pool);
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
		zp_lock(&pool->room_lock);
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
	for (unsigned int i = ZBLOCK_TYPES; i >= 1; i--) {
		if (phase == ZPOOL_FORK_CHILD)
			zp_flushes_forget(&pool->flushes[i]);
		zp_unlock(&pool->types[i].lock);
	}
	zp_unlock(&pool->room_lock);
}

ZPOOL_DRIVER_DEFINE(zblock, ZPOOL_VERSION, "blocks of equal slots, quick, without compaction or eviction",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT, .params = zblock_params,
		    .param_count = ZBLOCK_PARAMS, .max_object_bytes = ZBLOCK_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZBLOCK_ALIGN_BYTES, .create = zblock_create, .destroy = zblock_destroy,
		    .malloc = zblock_malloc, .free = zblock_free, .total_size = zblock_total_size, .map = zblock_map,
		    .unmap = zblock_unmap, .obj_size = zblock_obj_size, .stats = zblock_stats,
		    .each_class = zblock_each_class, .each_object = zblock_each_object, .set = zblock_set,
		    .set_limit = zblock_set_limit, .trim = zblock_trim, .fork = zblock_fork, .verify = zblock_verify)
