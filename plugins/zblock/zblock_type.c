/* SPDX-License-Identifier: MIT
 *
 * zblock_type.c - the block types: how many slots of what size
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

/*
 * Each entry is the order of the block in pages and its number of slots, as in the kernel, sorted by the size of the
 * slots.
 */
static const struct {
	uint8_t order, slots;
} geometry[ZBLOCK_TYPES] = {
	{ 0, 32 }, { 0, 22 }, { 0, 17 }, { 0, 13 }, { 0, 11 }, { 0, 9 },  { 0, 8 },           /* 120 to 504 bytes */
	{ 1, 14 }, { 1, 12 }, { 1, 11 }, { 1, 10 }, { 1, 9 },  { 1, 8 },                      /* 576 to 1016 */
	{ 2, 15 }, { 2, 14 }, { 2, 13 }, { 2, 12 }, { 2, 11 }, { 2, 10 }, { 2, 9 }, { 2, 8 }, /* 1088 to 2040 */
	{ 3, 15 }, { 3, 14 }, { 3, 13 }, { 3, 12 }, { 3, 11 }, { 3, 10 }, { 3, 9 }, { 3, 7 }, /* 2176 to 4672 */
};

static void type_init(struct zblock_type *type, unsigned int order, unsigned int slots)
{
	size_t slot_bytes = ((ZP_PAGE_BYTES << order) - ZBLOCK_HEAD_BYTES) / slots;

	type->slot_bytes = (uint16_t)(slot_bytes & ~(size_t)(ZBLOCK_ALIGN_BYTES - 1));
	type->slots = (uint8_t)slots;
	type->pages = (uint8_t)(1u << order);
	type->first_pages = (uint8_t)((ZBLOCK_HEAD_BYTES + type->slot_bytes + ZP_PAGE_BYTES - 1) >> ZP_PAGE_SHIFT);
	type->all_slots = UINT32_MAX >> (ZBLOCK_SLOTS_MAX - slots);
	for (unsigned int slot = 0; slot < slots; slot++)
		for (unsigned int page = 0; page < type->pages; page++)
			if (zblock_slot_pages(type, slot) >> page & 1)
				type->slots_touching[page] |= UINT32_C(1) << slot;
	zp_lock_init(&type->lock);
}

void zblock_types_init(struct zblock_pool *pool)
{
	unsigned int unit = 0;

	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++) {
		struct zblock_type *type = &pool->types[i];

		type_init(type, geometry[i - 1].order, geometry[i - 1].slots);
		zp_lock_rank(&type->lock, ZBLOCK_RANK_TYPE, i, &pool->pages);
		pool->slot_bytes[i] = type->slot_bytes;
		/* A type includes its slots' exact size: an object that fits exactly belongs here. */
		for (; unit <= type->slot_bytes >> ZBLOCK_ALIGN_SHIFT; unit++)
			pool->type_of[unit] = (uint8_t)i;
	}
}
