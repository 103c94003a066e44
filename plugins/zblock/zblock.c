/* SPDX-License-Identifier: MIT
 *
 * zblock - blocks of equal slots: quick, simple, and dense for objects that fit
 *
 * An object goes into a slot of the tightest size, and stays there until it is freed.  Nothing is moved or evicted,
 * so there is little to keep in step: one lock for each size, two lists, a bitmap a block.
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
 * handle's word and computes the address from the record, without a lock.  A type keeps up to eight slots of the
 * table that its frees left, so that malloc and free meet only their type's lock: three atomic operations a pair.
 *
 * Locks: a type's lock guards its blocks, their slots and lists; the constant part of a record is read without by who
 * has an object of the block pinned.  Behind it stand record_lock, the handle table's and the page allocator's.  The
 * page source is called under a type's lock where a block's next page gets memory or trim takes it, for one block at
 * a time.
 *
 * ZPOOL_GFP_NOWAIT: a free slot with memory in one of the first 8 blocks with room or the spare one, else a block
 * from the reserve; a kept slot of the handle table, else one of a committed group; every lock is only tried.
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
	int err;

	pool->host = args->host;
	pool->core = args->core;
	zblock_types_init(pool);
	zblock_records_init(pool);
	err = zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes);
	if (err)
		return err;
	err = zp_pages_charge(&pool->pages, sizeof *pool, ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(&pool->handles, &pool->pages, 0, 0);
	if (err)
		zp_pages_fini(&pool->pages);
	return err;
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
		if (err == -ENOMEM && args->limit_bytes)
			args->host->error(args->core, "A limit of %llu byte%s is too low for a zblock pool; raise it.",
					  (unsigned long long)args->limit_bytes, ZPOOL_PLURAL(args->limit_bytes));
		return err;
	}
	if (args->value_count > ZBLOCK_PARAM_RESERVE && args->values[ZBLOCK_PARAM_RESERVE].given)
		zp_pages_set_reserve(&pool->pages, args->values[ZBLOCK_PARAM_RESERVE].number);
	out->pool = pool;
	return 0;
}

static void zblock_destroy(void *pool_)
{
	struct zblock_pool *pool = pool_;

	zblock_records_fini(pool);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

/* A slot of the handle table, and a place: what an object needs, taken but not yet published. */
struct place {
	uint32_t handle_slot;
	uint32_t number; /* of the block */
	unsigned int slot;
	char *address;
};

/* A slot of the handle table: one that the type kept, or some from the table, of which it keeps the rest. */
static int take_handle_slot(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *slot)
{
	if (type->spare_count == 0) {
		unsigned int wanted = type->objects < ZBLOCK_SPARE_SLOTS ? 1 : ZBLOCK_SPARE_SLOTS / 2;
		int got = zp_handles_bind(&pool->handles, gfp, type->spare_slots, wanted);

		if (got < 0)
			return got;
		type->spare_count = (unsigned int)got;
	}
	*slot = type->spare_slots[--type->spare_count];
	return 0;
}

/* The other end of it, where there was no place.  While the lock was let go others may have filled what is kept. */
static bool keep_handle_slot(struct zblock_type *type, uint32_t slot)
{
	if (type->spare_count == ZBLOCK_SPARE_SLOTS)
		return false;
	type->spare_slots[type->spare_count++] = slot;
	return true;
}

static bool has_backed_slot(const struct zblock_pool *pool, uint32_t number)
{
	const struct zblock_block *block = zblock_block(pool, number);

	return block->vacant & block->backed;
}

/* For a call that cannot get memory: one of a list's first blocks that has a free slot with memory. */
static uint32_t find_backed(const struct zblock_pool *pool, uint32_t first)
{
	uint32_t number = first;

	for (unsigned int looks = 0; number != ZBLOCK_NONE && looks < ZBLOCK_NOWAIT_LOOKS; looks++) {
		if (has_backed_slot(pool, number))
			return number;
		number = zblock_block(pool, number)->next;
		if (number == first)
			break;
	}
	return ZBLOCK_NONE;
}

/* A block with room, preferably one whose free slot has memory; or ZBLOCK_NONE. */
static uint32_t find_room(const struct zblock_pool *pool, const struct zblock_type *type, zpool_gfp_t gfp)
{
	if (gfp & ZPOOL_GFP_NOWAIT) {
		uint32_t number = find_backed(pool, type->room);

		return number == ZBLOCK_NONE ? find_backed(pool, type->idle) : number;
	}
	if (type->room == ZBLOCK_NONE || (type->idle != ZBLOCK_NONE && !has_backed_slot(pool, type->room)))
		return type->idle;
	return type->room;
}

/* The block that the next object goes to, which is in a list then; or ZBLOCK_NONE. */
static uint32_t find_block(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp)
{
	uint32_t number = find_room(pool, type, gfp);

	if (number == ZBLOCK_NONE && type->spare != ZBLOCK_NONE) {
		number = type->spare;
		type->spare = ZBLOCK_NONE;
		zblock_block_list(pool, type, number);
	}
	return number;
}

/* The lowest free slot with memory; if there is none, the lowest, and memory for it.  0 or -errno. */
static int take_slot(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, zpool_gfp_t gfp,
		     struct place *place)
{
	struct zblock_block *block = zblock_block(pool, number);
	uint32_t backed = block->vacant & block->backed;

	if (backed) {
		place->slot = (unsigned int)__builtin_ctz(backed);
	} else {
		int err;

		place->slot = (unsigned int)__builtin_ctz(block->vacant);
		err = zblock_slot_back(pool, type, block, place->slot, gfp);
		if (err)
			return err;
	}
	place->number = number;
	place->address = block->base + (size_t)place->slot * type->slot_bytes;
	block->vacant &= ~(UINT32_C(1) << place->slot);
	type->objects++;
	if (!block->vacant || block->list == ZBLOCK_IDLE)
		zblock_block_relist(pool, type, number);
	return 0;
}

/* Gives the type another block, first in its list.  The type's lock is released meanwhile (never with NOWAIT). */
static int add_block(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *number)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	int err;

	if (!nowait)
		zp_unlock(&type->lock);
	err = zblock_block_create(pool, type, gfp, number);
	if (!nowait)
		zp_lock(&type->lock);
	if (!err)
		zblock_block_join(pool, type, *number);
	return err;
}

/* With the type's lock held. */
static int find_place(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, struct place *place)
{
	uint32_t number = find_block(pool, type, gfp);
	int err = 0;

	if (number == ZBLOCK_NONE) {
		err = add_block(pool, type, gfp, &number);
		/* While the lock was let go others may have made room. */
		if (err)
			number = find_block(pool, type, gfp);
	}
	if (number == ZBLOCK_NONE)
		return err;
	err = take_slot(pool, type, number, gfp, place);
	if (!err)
		return 0;
	/* That block's next page cannot be had; another may need none. */
	number = find_block(pool, type, ZPOOL_GFP_NOWAIT);
	return number == ZBLOCK_NONE ? err : take_slot(pool, type, number, gfp, place);
}

/* refusals: how often the limit had refused something before. */
static int malloc_failed(struct zblock_pool *pool, zpool_gfp_t gfp, uint64_t refusals, int err)
{
	bool limit = !(gfp & ZPOOL_GFP_NOWAIT) && refusals != zp_pages_limit_refusals(&pool->pages);

	return zp_counts_malloc_failed(&pool->counts, err, limit);
}

/* A slot of the handle table and a place.  With the type's lock held, which is let go. */
static int take_place(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, struct place *place)
{
	bool kept = true;
	int err = take_handle_slot(pool, type, gfp, &place->handle_slot);

	if (!err) {
		err = find_place(pool, type, gfp, place);
		kept = !err || keep_handle_slot(type, place->handle_slot);
	}
	zp_unlock(&type->lock);
	if (!kept)
		zp_handles_unbind(&pool->handles, &place->handle_slot, 1);
	return err;
}

static int zblock_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zblock_pool *pool = pool_;
	struct zblock_type *type;
	struct place place;
	uint64_t refusals;
	int err;

	if (size == 0)
		return -EINVAL;
	if (size > ZBLOCK_OBJECT_BYTES_MAX)
		return -ENOSPC;
	type = &pool->types[pool->type_of[(size + ZBLOCK_ALIGN_BYTES - 1) >> ZBLOCK_ALIGN_SHIFT]];
	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&type->lock);
	else if (!zp_trylock(&type->lock))
		return malloc_failed(pool, gfp, 0, -EAGAIN);
	refusals = zp_pages_limit_refusals(&pool->pages);
	err = take_place(pool, type, gfp, &place);
	if (err == -ENOMEM && !(gfp & ZPOOL_GFP_NOWAIT) && zblock_make_room(pool)) {
		zp_lock(&type->lock);
		err = take_place(pool, type, gfp, &place);
	}
	if (err)
		return malloc_failed(pool, gfp, refusals, err);
	/* Nobody else knows of the object until it is published. */
	if (gfp & ZPOOL_GFP_ZERO)
		memset(place.address, 0, type->slot_bytes);
	*handle = zp_handles_publish(&pool->handles, place.handle_slot, zblock_location(place.number, place.slot));
	return 0;
}

/* A block that has become empty: true if it is the caller's to destroy. */
static bool retire_block(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);

	zblock_block_unlist(pool, type, number);
	if (type->spare == ZBLOCK_NONE && __builtin_popcount(block->committed) <= ZBLOCK_SPARE_PAGES) {
		type->spare = number;
		block->list = ZBLOCK_SPARE;
		return false;
	}
	zblock_block_leave(pool, type, number);
	return true;
}

/* With the type's lock held.  true: that was the block's last object, and it is the caller's to destroy. */
static bool release_slot(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, unsigned int slot)
{
	struct zblock_block *block = zblock_block(pool, number);

	block->vacant |= UINT32_C(1) << slot;
	type->objects--;
	if (block->vacant == type->all_slots)
		return retire_block(pool, type, number);
	zblock_block_relist(pool, type, number);
	return false;
}

static int zblock_free(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;
	struct zblock_type *type;
	uint64_t location;
	uint32_t handle_slot, number;
	bool emptied, keep;
	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);

	if (err)
		return zp_counts_refused(&pool->counts, err);
	number = zblock_location_block(location);
	type = &pool->types[zblock_type_index(zblock_block(pool, number))];
	zp_lock(&type->lock);
	emptied = release_slot(pool, type, number, zblock_location_slot(location));
	keep = type->spare_count < ZBLOCK_SPARE_SLOTS;
	if (keep && zp_handles_end_free(&pool->handles, handle_slot))
		type->spare_slots[type->spare_count++] = handle_slot;
	zp_unlock(&type->lock);
	if (!keep)
		zp_handles_release(&pool->handles, handle_slot);
	if (emptied)
		zblock_block_destroy(pool, type, number);
	return 0;
}

static void *zblock_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zblock_pool *pool = pool_;
	const struct zblock_block *block;
	uint64_t location;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	block = zblock_block(pool, zblock_location_block(location));
	return block->base + (size_t)zblock_location_slot(location) * pool->slot_bytes[zblock_type_index(block)];
}

static int zblock_unmap(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

/*
 * Takes no lock.  An object does not move; so if the handle is still live after the look at its block's record, the
 * record was that block's all the time.
 */
static int64_t zblock_obj_size(void *pool_, unsigned long handle)
{
	struct zblock_pool *pool = pool_;
	uint64_t location;
	unsigned int index;
	int err = zp_handles_lookup(&pool->handles, handle, &location);

	if (err)
		return err;
	/* Acquire: the second look-up must not come before it. */
	index = atomic_load_explicit(&zblock_block(pool, zblock_location_block(location))->type, memory_order_acquire);
	err = zp_handles_lookup(&pool->handles, handle, &location);
	return err ? err : pool->slot_bytes[index];
}

static int zblock_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zblock_pool *pool = pool_;

	return zp_each_object(&pool->handles, zblock_obj_size, pool, fn, user);
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
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
		return;
	}
	zp_pages_fork(&pool->pages, phase);
	zp_handles_fork(&pool->handles, phase);
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
