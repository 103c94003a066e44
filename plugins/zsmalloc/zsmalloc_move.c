/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_move.c - an object changes its place
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zsmalloc.h"

int zsmalloc_highest_used(const struct zsmalloc_zspage *zspage, int below)
{
	for (int slot = below - 1; slot >= 0; slot--) {
		uint64_t used = zspage->used[slot / 64] & (UINT64_MAX >> (63 - slot % 64));

		if (used)
			return slot / 64 * 64 + 63 - __builtin_clzll(used);
		slot = slot / 64 * 64;
	}
	return -1;
}

int zsmalloc_object_seize(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int slot,
			  uint32_t *handle_slot)
{
	uint64_t location;

	/* The handles lie beside objects: what an overrun left there is not followed. */
	*handle_slot = zsmalloc_handles(class, zsmalloc_zspage(pool, number))[slot];
	if (*handle_slot == 0 || *handle_slot >= zp_handles_slots(&pool->handles) ||
	    zp_handles_begin_move(&pool->handles, *handle_slot, &location))
		return -EBUSY;
	if (location == zsmalloc_location(number, slot))
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
	uint32_t handle_slot;

	int err = zsmalloc_object_seize(pool, from.class, from.zspage, from.slot, &handle_slot);
	if (err)
		return err;
	err = zsmalloc_slot_take(pool, to.class, to.zspage, to.slot, handle_slot, ZPOOL_GFP_KERNEL);
	if (err) {
		zp_handles_end_move(&pool->handles, handle_slot, zsmalloc_location(from.zspage, from.slot));
		return err;
	}
	memcpy(zsmalloc_slot_address(new->home, to.slot), zsmalloc_slot_address(old->home, from.slot),
	       from.class->slot_bytes);
	zp_handles_end_move(&pool->handles, handle_slot, zsmalloc_location(to.zspage, to.slot));
	zsmalloc_slot_release(pool, from.class, from.zspage, from.slot);
	/* Its objects are as young as those that joined them. */
	if (from.class == to.class && from.zspage != to.zspage && pool->evict && new->stamp < old->stamp)
		zsmalloc_zspage_inherit(pool, to.class, to.zspage, from.zspage);
	return 0;
}
