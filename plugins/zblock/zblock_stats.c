/* SPDX-License-Identifier: MIT
 *
 * zblock_stats.c - counters, by pool and by block type
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

enum { FULLNESS_TENTHS = 10 };

/* These figures need a look at each block with room; full blocks have no idle pages. */
struct room {
	uint64_t idle_pages;
	uint64_t fullness[FULLNESS_TENTHS];
};

static void add_room(const struct zblock_type *type, const struct zblock_block *block, struct room *room)
{
	room->idle_pages += (unsigned int)__builtin_popcount(zblock_idle_pages(type, block));
	room->fullness[zblock_used_slots(type, block) * FULLNESS_TENTHS / type->slots]++;
}

static void add_list(const struct zblock_pool *pool, const struct zblock_type *type, uint32_t first, struct room *room)
{
	uint32_t number = first;

	while (number != ZBLOCK_NONE) {
		const struct zblock_block *block = zblock_block(pool, number);

		add_room(type, block, room);
		number = block->next == first ? ZBLOCK_NONE : block->next;
	}
}

/* The caller holds the type's lock. */
static struct room sum_room(const struct zblock_pool *pool, const struct zblock_type *type)
{
	struct room room = { 0 };

	add_list(pool, type, type->room, &room);
	add_list(pool, type, type->idle, &room);
	if (type->spare != ZBLOCK_NONE)
		add_room(type, zblock_block(pool, type->spare), &room);
	return room;
}

int zblock_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct zblock_pool *pool = pool_;
	struct zpool_stats now = zp_stats_begin(&pool->pages, &pool->handles, &pool->counts);

	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++) {
		struct zblock_type *type = &pool->types[i];

		zp_lock(&type->lock);
		uint64_t objects = type->used_slots - zblock_cached_count(pool, type);
		now.objects += objects;
		now.stored_bytes += objects * type->slot_bytes;
		now.pages += type->committed_pages;
		zp_unlock(&type->lock);
	}
	return zp_stats_end(&now, stats, stats_size);
}

int zblock_each_class(void *pool_, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
		      void *user)
{
	struct zblock_pool *pool = pool_;
	int err = 0;

	for (unsigned int i = 1; i <= ZBLOCK_TYPES && !err; i++) {
		struct zblock_type *type = &pool->types[i];
		struct zpool_class_stats stats = { .object_bytes = type->slot_bytes, .pages_per_zspage = type->pages };
		struct room room;
		uint32_t emptied = ZBLOCK_NONE;
		uint64_t full;

		zp_lock(&pool->room_lock);
		zp_lock(&type->lock);
		/* The histogram would otherwise count cached slots as objects. */
		zblock_cached_put(pool, type, &emptied);
		stats.objects = type->used_slots - zblock_cached_count(pool, type);
		stats.zspages = full = type->blocks;
		stats.slots = (uint64_t)type->blocks * type->slots;
		stats.pages = type->committed_pages;
		room = sum_room(pool, type);
		zp_unlock(&type->lock);
		zblock_blocks_destroy(pool, type, emptied);
		zp_unlock(&pool->room_lock);
		stats.freeable_pages = room.idle_pages;
		for (unsigned int tenth = 0; tenth < FULLNESS_TENTHS; tenth++) {
			stats.fullness[tenth] = room.fullness[tenth];
			full -= room.fullness[tenth];
		}
		stats.fullness[FULLNESS_TENTHS] = full;
		if (stats.zspages)
			err = fn(&stats, sizeof(stats), user);
	}
	return err;
}
