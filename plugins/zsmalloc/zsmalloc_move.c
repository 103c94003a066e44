/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_move.c - an object changes its place
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

int zsmalloc_object_isolate(struct zsmalloc_pool *pool, uint64_t location, uint32_t *handle_slot)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
	struct zsmalloc_class *class = zsmalloc_class(pool, zspage->header);
	uint64_t found;

	*handle_slot = zsmalloc_handle_slots(class, zspage)[zsmalloc_location_slot(location)];
	if (*handle_slot == ZP_SLOT_NONE || *handle_slot >= zp_handles_slots(&pool->handles) ||
	    zp_handles_begin_move(&pool->handles, *handle_slot, &found))
		return -EBUSY;
	if (found == location)
		return 0;
	zp_handles_end_move(&pool->handles, *handle_slot, found);
	pool->host->log(
		pool->core, ZPOOL_LOG_ERROR,
		"The handles of a zspage were overwritten, by a write behind an object's end; it is not compacted.");
	return -EBUSY;
}

int zsmalloc_object_move(struct zsmalloc_pool *pool, uint64_t from, uint64_t to)
{
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, zsmalloc_location_zspage(from));
	struct zsmalloc_zspage *new = zsmalloc_zspage(pool, zsmalloc_location_zspage(to));
	struct zsmalloc_class *old_class = zsmalloc_class(pool, old->header);
	struct zsmalloc_class *new_class = zsmalloc_class(pool, new->header);
	uint32_t handle_slot, hole;

	int err = zsmalloc_object_isolate(pool, from, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, new_class, to, handle_slot, ZPOOL_GFP_KERNEL, &hole);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, from);
		return err;
	}
	memcpy(zsmalloc_address(pool, to), zsmalloc_address(pool, from), old_class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, to);
	/* The hole that the object fills opens again where it was. */
	if (hole != ZP_SLOT_NONE)
		zp_handles_set_location(&pool->handles, hole, from);
	zsmalloc_slot_free(pool, old_class, from, hole);
	/* A zspage's objects are as young as the youngest. */
	if (old_class == new_class && old != new && pool->evict &&new->stamp < old->stamp)
		zsmalloc_zspage_inherit(pool, new_class, zsmalloc_location_zspage(to), zsmalloc_location_zspage(from));
	return 0;
}
