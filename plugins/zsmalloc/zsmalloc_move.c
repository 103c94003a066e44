/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_move.c - an object changes its place
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

int zsmalloc_object_isolate(struct zsmalloc_pool *pool, struct zsmalloc_place place, uint32_t *handle_slot)
{
	uint64_t location;

	*handle_slot = zsmalloc_handle_slots(place.class, zsmalloc_zspage(pool, place.zspage))[place.slot];
	if (*handle_slot == ZP_SLOT_NONE || *handle_slot >= zp_handles_slots(&pool->handles) ||
	    zp_handles_begin_move(&pool->handles, *handle_slot, &location))
		return -EBUSY;
	if (location == zsmalloc_location(place.zspage, place.slot))
		return 0;
	zp_handles_end_move(&pool->handles, *handle_slot, location);
	pool->host->log(
		pool->core, ZPOOL_LOG_ERROR,
		"The handles of a zspage were overwritten, by a write behind an object's end; it is not compacted.");
	return -EBUSY;
}

int zsmalloc_object_move(struct zsmalloc_pool *pool, struct zsmalloc_place from, struct zsmalloc_place to)
{
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, from.zspage), *new = zsmalloc_zspage(pool, to.zspage);
	uint64_t from_location = zsmalloc_location(from.zspage, from.slot);
	uint32_t handle_slot, hole;

	int err = zsmalloc_object_isolate(pool, from, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, to.class, to.zspage, to.slot, handle_slot, ZPOOL_GFP_KERNEL, &hole);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, from_location);
		return err;
	}
	memcpy(zsmalloc_slot_address(new->header, to.slot), zsmalloc_slot_address(old->header, from.slot),
	       from.class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, zsmalloc_location(to.zspage, to.slot));
	/* The hole that the object fills opens again where it was. */
	if (hole != ZP_SLOT_NONE)
		zp_handles_set_location(&pool->handles, hole, from_location);
	zsmalloc_slot_free(pool, from.class, from.zspage, from.slot, hole);
	/* A zspage's objects are as young as the youngest. */
	if (from.class == to.class && from.zspage != to.zspage && pool->evict && new->stamp < old->stamp)
		zsmalloc_zspage_inherit(pool, to.class, to.zspage, from.zspage);
	return 0;
}
