/* SPDX-License-Identifier: MIT
 *
 * handles_internal.h - shared between the files of the handle table:
 *
 *     handles.c          slots and objects
 *     handles_groups.c   groups: growth, dormancy, checks
 */
#ifndef ZP_SUPPORT_HANDLES_INTERNAL_H
#define ZP_SUPPORT_HANDLES_INTERNAL_H

#include "handles.h"

#define ZP_GROUP_NONE UINT32_MAX

static inline uint32_t zp_block_first_group(unsigned int block)
{
	return block ? 1u << (ZP_TABLE_FIRST_SHIFT - 1 - ZP_GROUP_SHIFT + block) : 0;
}

static inline uint32_t zp_block_groups(unsigned int block)
{
	return block ? zp_block_first_group(block) : 1u << (ZP_TABLE_FIRST_SHIFT - ZP_GROUP_SHIFT);
}

static inline unsigned int zp_block_of_group(uint32_t group)
{
	return zp_table_block_of(group << ZP_GROUP_SHIFT);
}

static inline struct zp_group *zp_group_at(struct zp_handles *handles, uint32_t group)
{
	unsigned int block = zp_block_of_group(group);

	return &handles->blocks[block].groups[group - zp_block_first_group(block)];
}

/*
 * Slots of a group are handed out in an order in which consecutive slots are in different cache lines, so that two
 * threads that share a small pool do not write to the same cache line with each map and free.
 */
enum { ZP_LINE_WORDS_SHIFT = 3, ZP_GROUP_LINES_SHIFT = ZP_GROUP_SHIFT - ZP_LINE_WORDS_SHIFT };

/* slot_at returns the slot of a group that is handed out as number nth, and turn_of returns nth for a slot. */
static inline uint32_t zp_group_slot_at(uint32_t nth)
{
	return (nth << ZP_LINE_WORDS_SHIFT | nth >> ZP_GROUP_LINES_SHIFT) & (ZP_GROUP_SLOTS - 1);
}

static inline uint32_t zp_group_turn_of(uint32_t slot)
{
	return (slot << ZP_GROUP_LINES_SHIFT | slot >> ZP_LINE_WORDS_SHIFT) & (ZP_GROUP_SLOTS - 1);
}

static inline uint32_t zp_group_taken(struct zp_group *group)
{
	return atomic_load_explicit(&group->taken, memory_order_relaxed);
}

static inline void zp_group_set_taken(struct zp_group *group, uint32_t taken)
{
	/* A release store, for zp_handles_each(): a thread that sees a slot as used may read the group's words. */
	atomic_store_explicit(&group->taken, (uint16_t)taken, memory_order_release);
}

/*
 * All except the last are called with the table's lock held (handles_groups.c).  zp_group_with_room() returns the
 * lowest awake group with a free slot, or ZP_GROUP_NONE.
 */
uint32_t zp_group_with_room(struct zp_handles *handles);
void zp_group_mark_room(struct zp_handles *handles, uint32_t group, bool room);
int zp_group_wake(struct zp_handles *handles); /* adds one group; 0 or -errno */
bool zp_groups_too_many_idle(struct zp_handles *handles, uint32_t *keep);
void zp_groups_put_to_sleep(struct zp_handles *handles, uint32_t keep, uint64_t *released);

#endif
