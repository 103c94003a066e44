/* SPDX-License-Identifier: MIT
 *
 * zblock_slots.c - the free slots of a type: how malloc finds one, how free returns one, and which ones threads cache
 *
 * A slot that is in use or cached has a handle slot, which is bound to its location; the blocks count both as used.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Handle slots
 */

/* Takes a handle slot that the type kept, or takes several from the table and keeps the rest for the type. */
static int take_handle_slot(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *handle_slot)
{
	if (type->spare_count == 0) {
		unsigned int wanted = type->used_slots < ZBLOCK_SPARE_SLOTS ? 1 : ZBLOCK_SPARE_SLOTS / 2;
		int got = zp_handles_bind(&pool->handles, gfp, type->spare_slots, wanted);

		if (got < 0)
			return got;
		type->spare_count = (unsigned int)got;
	}
	*handle_slot = type->spare_slots[--type->spare_count];
	return 0;
}

static void put_handle_slots(struct zblock_pool *pool, struct zblock_type *type, const uint32_t *handle_slots,
			     unsigned int count)
{
	unsigned int kept = 0;

	while (kept < count && type->spare_count < ZBLOCK_SPARE_SLOTS)
		type->spare_slots[type->spare_count++] = handle_slots[kept++];
	if (kept < count)
		zp_handles_unbind(&pool->handles, handle_slots + kept, count - kept);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Free slots
 */

static bool has_backed_slot(const struct zblock_pool *pool, uint32_t number)
{
	const struct zblock_block *block = zblock_block(pool, number);

	return block->vacant & block->backed;
}

/* Serves a call that cannot get memory: returns one of a list's first blocks that has a free slot with memory. */
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

/* Returns a block with room, preferably one whose free slot has memory, or ZBLOCK_NONE. */
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

/*
 * Returns the block for the next object, and puts it on a list if it is the spare one.  Returns ZBLOCK_NONE if there is
 * none.
 */
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

/*
 * Takes the lowest free slot with memory; if there is none, takes the lowest and commits memory for it.  Returns 0 or
 * -errno.
 */
static int take_slot(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, zpool_gfp_t gfp,
		     uint32_t handle_slot)
{
	struct zblock_block *block = zblock_block(pool, number);
	uint32_t backed = block->vacant & block->backed;
	unsigned int slot = (unsigned int)__builtin_ctz(backed ? backed : block->vacant);

	if (!backed) {
		int err = zblock_slot_back(pool, type, block, slot, gfp);

		if (err)
			return err;
	}
	block->vacant &= ~(UINT32_C(1) << slot);
	type->used_slots++;
	if (!block->vacant || block->list == ZBLOCK_IDLE)
		zblock_block_relist(pool, type, number);
	zp_handles_set_location(&pool->handles, handle_slot, zblock_location(number, slot));
	return 0;
}

/*
 * Adds a new block to the type, first in its list.  Unless the call is NOWAIT, the type's lock is released and taken
 * again.
 */
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

static int take_any_slot(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t handle_slot)
{
	uint32_t number = find_block(pool, type, gfp);
	int err = 0;

	if (number == ZBLOCK_NONE) {
		err = add_block(pool, type, gfp, &number);
		/* While the lock was released, other threads may have made room. */
		if (err)
			number = find_block(pool, type, gfp);
	}
	if (number == ZBLOCK_NONE)
		return err;
	err = take_slot(pool, type, number, gfp, handle_slot);
	if (!err)
		return 0;
	/* The page source cannot commit that block's next page, but another block may need none. */
	number = find_block(pool, type, ZPOOL_GFP_NOWAIT);
	return number == ZBLOCK_NONE ? err : take_slot(pool, type, number, gfp, handle_slot);
}

int zblock_slot_get(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *handle_slot)
{
	int err = take_handle_slot(pool, type, gfp, handle_slot);

	if (err)
		return err;
	err = take_any_slot(pool, type, gfp, *handle_slot);
	if (err)
		put_handle_slots(pool, type, handle_slot, 1);
	return err;
}

unsigned int zblock_slots_get_ready(struct zblock_pool *pool, struct zblock_type *type, uint32_t *handle_slots,
				    unsigned int wanted)
{
	unsigned int got = 0;

	while (got < wanted) {
		uint32_t number = find_room(pool, type, ZPOOL_GFP_KERNEL);

		if (number == ZBLOCK_NONE || !has_backed_slot(pool, number) ||
		    take_handle_slot(pool, type, ZPOOL_GFP_KERNEL, &handle_slots[got]))
			break;
		(void)take_slot(pool, type, number, ZPOOL_GFP_KERNEL, handle_slots[got++]);
	}
	return got;
}

/*
 * Handles a block that has become empty: it stays as the type's spare block, or leaves the type and is linked to
 * *emptied.
 */
static void retire_block(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, uint32_t *emptied)
{
	struct zblock_block *block = zblock_block(pool, number);

	zblock_block_unlist(pool, type, number);
	if (type->spare == ZBLOCK_NONE && __builtin_popcount(block->committed) <= ZBLOCK_SPARE_PAGES) {
		type->spare = number;
		block->list = ZBLOCK_SPARE;
		return;
	}
	zblock_block_leave(pool, type, number);
	block->next = *emptied;
	*emptied = number;
}

void zblock_slot_free(struct zblock_pool *pool, struct zblock_type *type, uint64_t location, uint32_t *emptied)
{
	uint32_t number = zblock_location_block(location);
	struct zblock_block *block = zblock_block(pool, number);

	block->vacant |= UINT32_C(1) << zblock_location_slot(location);
	type->used_slots--;
	if (block->vacant == type->all_slots)
		retire_block(pool, type, number, emptied);
	else
		zblock_block_relist(pool, type, number);
}

void zblock_slots_put(struct zblock_pool *pool, struct zblock_type *type, const uint32_t *handle_slots,
		      unsigned int count, uint32_t *emptied)
{
	for (unsigned int i = 0; i < count; i++)
		zblock_slot_free(pool, type, zp_handles_location(&pool->handles, handle_slots[i]), emptied);
	put_handle_slots(pool, type, handle_slots, count);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Slots that threads cache
 */

unsigned int zblock_cached_max(const struct zblock_type *type)
{
	uint64_t share = ZBLOCK_CACHED_MIN + type->used_slots / ZBLOCK_CACHED_SHARE;

	if (type->used_slots < ZBLOCK_CACHED_FROM_SLOTS)
		return 0;
	return share < ZP_MAGAZINE_ITEMS ? (unsigned int)share : ZP_MAGAZINE_ITEMS;
}

static bool is_pending_of(struct zblock_pool *pool, struct zp_cache *cache, const struct zblock_type *type)
{
	uint32_t pending = zp_cache_pending(cache);

	return pending != ZP_ITEM_NONE && zblock_type_of_bound(pool, pending) == (unsigned int)(type - pool->types);
}

uint64_t zblock_cached_count(struct zblock_pool *pool, const struct zblock_type *type)
{
	uint64_t cached = 0;

	zp_lock(&pool->caches.lock);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next)
		cached += zp_magazine_count(&cache->magazines[type - pool->types]) + is_pending_of(pool, cache, type);
	zp_unlock(&pool->caches.lock);
	/* The count may include a slot twice while its owner moves it. */
	return cached < type->used_slots ? cached : type->used_slots;
}

/* Frees all slots of a type in the caller's own cache or in one that is stopped. */
static void empty_magazine(struct zblock_pool *pool, struct zblock_type *type, struct zp_cache *cache,
			   uint32_t *emptied)
{
	struct zp_magazine *magazine = &cache->magazines[type - pool->types];
	uint32_t taken[ZP_MAGAZINE_ITEMS + 1], pending = zp_cache_pending(cache);
	unsigned int count = zp_magazine_take(magazine, taken, ZP_MAGAZINE_ITEMS);

	/* The owner computes the limit again when its magazine next rejects a slot. */
	magazine->max = 0;
	if (is_pending_of(pool, cache, type)) {
		uint64_t location = zp_handles_location(&pool->handles, pending);

		zp_cache_set_pending(cache, ZP_ITEM_NONE);
		if (zp_handles_end_free(&pool->handles, pending))
			taken[count++] = pending;
		else
			zblock_slot_free(pool, type, location, emptied);
	}
	zblock_slots_put(pool, type, taken, count, emptied);
}

void zblock_cached_put(struct zblock_pool *pool, struct zblock_type *type, uint32_t *emptied)
{
	if (zblock_cached_count(pool, type) == 0)
		return;
	zp_caches_stop(&pool->caches);
	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next)
		empty_magazine(pool, type, cache, emptied);
	zp_caches_resume(&pool->caches);
}

void zblock_cache_empty(void *pool_, struct zp_cache *cache)
{
	struct zblock_pool *pool = pool_;

	zp_lock(&pool->room_lock);
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++) {
		struct zblock_type *type = &pool->types[i];
		uint32_t emptied = ZBLOCK_NONE;

		zp_lock(&type->lock);
		/*
		 * The cache's owner is the calling thread, so the lock suffices to keep other threads out of the cache.
		 */
		zp_lock(&pool->caches.lock);
		empty_magazine(pool, type, cache, &emptied);
		zp_unlock(&pool->caches.lock);
		zp_unlock(&type->lock);
		zblock_blocks_destroy(pool, type, emptied);
	}
	zp_unlock(&pool->room_lock);
}
