/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "handles_internal.h"

_Static_assert(ZP_STATE_LIVE + ZP_PINS_MAX < ZP_STATE_EXCLUSIVE, "states overlap");
_Static_assert(ZP_PGNO_BITS < ZP_LOCATION_BITS, "a location can hold a page number");

enum { HIGH_WATER_ASLEEP = UINT16_MAX };       /* group->high_water of a group without committed memory */
enum { IDLE_GROUPS_MIN = 4, IDLE_SHARE = 32 }; /* number of idle groups that stay awake */
enum { LEAVING_MAX = 32, LEAVING_SOME = 4 };

static size_t group_bytes(const struct zp_handles *handles)
{
	return (size_t)ZP_GROUP_SLOTS * handles->stride_bytes;
}

static void *group_memory(struct zp_handles *handles, uint32_t group)
{
	return (void *)zp_handles_word(handles, group << ZP_GROUP_SHIFT);
}

static uint32_t all_lives(const struct zp_handles *handles)
{
	return handles->generation_mask + 1;
}

/* ---- which groups have free slots ---- */

void zp_group_mark_room(struct zp_handles *handles, uint32_t group, bool room)
{
	unsigned int block = zp_block_of_group(group);
	struct zp_table_block *at = &handles->blocks[block];
	uint32_t i = group - zp_block_first_group(block), word = i / 64;

	if (room) {
		at->room[word] |= UINT64_C(1) << (i % 64);
		at->room_words[word / 64] |= UINT64_C(1) << (word % 64);
		handles->blocks_with_room |= 1u << block;
		return;
	}
	at->room[word] &= ~(UINT64_C(1) << (i % 64));
	if (at->room[word] == 0)
		at->room_words[word / 64] &= ~(UINT64_C(1) << (word % 64));
}

/* Returns the lowest group that is awake and has a free slot, or ZP_GROUP_NONE. */
uint32_t zp_group_with_room(struct zp_handles *handles)
{
	while (handles->blocks_with_room) {
		unsigned int block = (unsigned int)__builtin_ctz(handles->blocks_with_room);
		struct zp_table_block *at = &handles->blocks[block];
		uint32_t words = (zp_block_groups(block) / 64 + 63) / 64;

		for (uint32_t i = 0; i < words; i++) {
			uint32_t word;

			if (at->room_words[i] == 0)
				continue;
			word = i * 64 + (uint32_t)__builtin_ctzll(at->room_words[i]);
			return zp_block_first_group(block) + word * 64 + (uint32_t)__builtin_ctzll(at->room[word]);
		}
		handles->blocks_with_room &= ~(1u << block);
	}
	return ZP_GROUP_NONE;
}

/* ---- growing ---- */

static size_t page_round_up(size_t bytes)
{
	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static int block_add(struct zp_handles *handles, unsigned int block)
{
	struct zp_table_block *at = &handles->blocks[block];
	size_t groups = zp_block_groups(block), room_words = groups / 64, top_words = (room_words + 63) / 64;
	size_t head = page_round_up(groups * sizeof(struct zp_group) + (room_words + top_words) * sizeof(uint64_t));
	size_t body = groups * group_bytes(handles);
	char *base;
	int err;

	if (body / groups != group_bytes(handles) || body + head < body)
		return -ENOMEM;
	base = zp_pages_meta_reserve(handles->pages, head + body);
	if (!base)
		return -ENOMEM;
	/* The head is 1/256 of what the block will hold, and writes go all over it, so it is committed whole. */
	err = zp_pages_meta_commit(handles->pages, base, head, ZPOOL_GFP_KERNEL);
	if (err) {
		zp_pages_meta_release(handles->pages, base, head + body, 0);
		return err;
	}
	at->groups = (struct zp_group *)(void *)base;
	at->room = (uint64_t *)(void *)(at->groups + groups);
	at->room_words = at->room + room_words;
	at->base = base;
	at->bytes = head + body;
	at->head_bytes = head;
	handles->slot_base[block] =
		(uintptr_t)base + head - (uintptr_t)(zp_block_first_group(block)) * group_bytes(handles);
	return 0;
}

/*
 * Starts a group whose memory was just committed, for the first time or again.  All its slots start at the floor; a
 * group without generations left has no slot to give.
 */
static void group_begin(struct zp_handles *handles, uint32_t group, struct zp_group *at, bool spent)
{
	at->head = ZP_GROUP_SLOTS;
	at->high_water = at->retired = 0;
	if (spent)
		at->high_water = at->retired = ZP_GROUP_SLOTS;
	else if (group == 0)
		at->high_water = at->retired = 1; /* slot 0 */
	zp_group_set_taken(at, 0);
	handles->groups_awake++;
	handles->groups_idle++;
	if (group >= handles->top)
		handles->top = group + 1;
	zp_group_mark_room(handles, group, !spent);
}

int zp_group_wake(struct zp_handles *handles)
{
	bool dormant = handles->dormant != ZP_GROUP_NONE;
	uint32_t group = dormant ? handles->dormant : handles->groups;
	unsigned int block = zp_block_of_group(group);
	struct zp_group *at;
	int err = 0;

	/* The number of slots must fit its type, so the very last group is left out. */
	if ((group + 1) >> (ZP_HANDLE_SLOT_BITS - ZP_GROUP_SHIFT))
		return -ENOMEM;
	if (!handles->blocks[block].base)
		err = block_add(handles, block);
	if (!err)
		err = zp_pages_meta_commit(handles->pages, group_memory(handles, group), group_bytes(handles),
					   ZPOOL_GFP_KERNEL);
	if (err)
		return err;
	at = zp_group_at(handles, group);
	if (dormant)
		handles->dormant = at->next;
	group_begin(handles, group, at, false);
	if (!dormant) {
		handles->groups++;
		atomic_store_explicit(&handles->slots, handles->groups << ZP_GROUP_SHIFT, memory_order_release);
	}
	return 0;
}

/* ---- falling dormant ---- */

/* Returns how many lives the slot with the most lives has used up. */
static uint32_t group_lives(struct zp_handles *handles, uint32_t group, struct zp_group *at)
{
	uint32_t most = at->floor;

	if (at->retired > (group == 0 ? 1 : 0))
		return all_lives(handles);
	for (uint32_t i = group == 0 ? 1 : 0; i < at->high_water; i++) {
		uint32_t slot = (group << ZP_GROUP_SHIFT) + zp_group_slot_at(i);
		uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);
		uint32_t lives = (zp_word_generation(word) - zp_slot_start(handles, slot)) & handles->generation_mask;

		if (lives > most)
			most = lives;
	}
	return most;
}

/*
 * Chooses idle groups, at most `most` and the highest first, until `keep` are left.  They have no free slots meanwhile.
 * The lock is held.
 */
static unsigned int choose_leaving(struct zp_handles *handles, uint32_t keep, uint32_t *leaving, unsigned int most)
{
	unsigned int count = 0;
	bool idle_above = false;

	for (uint32_t group = handles->top; group-- > 0 && handles->groups_idle > keep && count < most;) {
		struct zp_group *at = zp_group_at(handles, group);

		if (at->high_water != HIGH_WATER_ASLEEP && zp_group_taken(at) == 0) {
			at->floor = group_lives(handles, group, at);
			at->high_water = HIGH_WATER_ASLEEP;
			zp_group_mark_room(handles, group, false);
			handles->groups_idle--;
			handles->groups_awake--;
			leaving[count++] = group;
		}
		if (at->high_water != HIGH_WATER_ASLEEP)
			idle_above = true;
		else if (!idle_above)
			handles->top = group;
	}
	handles->groups_leaving += count;
	return count;
}

/* Ends what choose_leaving() began.  A group that the source refused is awake again and starts from its floor. */
static void settle_leaving(struct zp_handles *handles, const uint32_t *leaving, const bool *refused, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct zp_group *at = zp_group_at(handles, leaving[i]);
		bool spent = at->floor == all_lives(handles);

		if (refused[i]) {
			group_begin(handles, leaving[i], at, spent);
		} else if (!spent) {
			at->next = handles->dormant;
			handles->dormant = leaving[i];
		}
	}
	handles->groups_leaving -= count;
}

/*
 * Decommits groups that are about to become dormant.  Neighbours go in one call; the groups are in falling order.
 * Returns false if the source refused some.
 */
static bool decommit_leaving(struct zp_handles *handles, const uint32_t *leaving, bool *refused, unsigned int count,
			     uint64_t *released)
{
	bool willing = true;

	for (unsigned int i = 0, run; i < count; i += run) {
		bool no;

		for (run = 1; i + run < count && leaving[i + run] == leaving[i] - run &&
			      zp_block_of_group(leaving[i + run]) == zp_block_of_group(leaving[i]);
		     run++)
			continue;
		no = zp_pages_meta_decommit(handles->pages, group_memory(handles, leaving[i + run - 1]),
					    run * group_bytes(handles)) != 0;
		for (unsigned int j = i; j < i + run; j++)
			refused[j] = no;
		*released += no ? 0 : run * group_bytes(handles);
		willing = willing && !no;
	}
	return willing;
}

/*
 * Releases the memory of at most `most` idle groups, until `keep` are left.  The lock is not held during calls of the
 * source.  Returns true if it took that many, so that there may be more.
 */
static bool put_some_to_sleep(struct zp_handles *handles, uint32_t keep, unsigned int most, uint64_t *released)
{
	uint32_t leaving[LEAVING_MAX];
	bool refused[LEAVING_MAX], willing;
	unsigned int count;

	zp_lock(&handles->lock);
	count = choose_leaving(handles, keep, leaving, most);
	zp_unlock(&handles->lock);
	willing = decommit_leaving(handles, leaving, refused, count, released);
	zp_lock(&handles->lock);
	settle_leaving(handles, leaving, refused, count);
	zp_unlock(&handles->lock);
	return willing && count == most;
}

void zp_groups_put_to_sleep(struct zp_handles *handles, uint32_t keep, uint64_t *released)
{
	while (put_some_to_sleep(handles, keep, LEAVING_MAX, released))
		continue;
}

/* Returns true if there are so many idle groups that half of them should be released.  The lock is held. */
bool zp_groups_too_many_idle(struct zp_handles *handles, uint32_t *keep)
{
	uint32_t bound = handles->groups_awake / IDLE_SHARE;

	if (bound < IDLE_GROUPS_MIN)
		bound = IDLE_GROUPS_MIN;
	*keep = bound / 2;
	return handles->groups_idle > bound && zp_pages_decommitted_readable(handles->pages);
}

uint64_t zp_handles_close_limit(struct zp_handles *handles)
{
	zp_lock(&handles->lock);
	uint64_t held = zp_pages_held_bytes(handles->pages);
	zp_pages_set_limit(handles->pages, held);
	zp_unlock(&handles->lock);
	return held;
}

void zp_handles_trim(struct zp_handles *handles, uint64_t *released)
{
	*released = 0;
	if (zp_pages_decommitted_readable(handles->pages))
		zp_groups_put_to_sleep(handles, 0, released);
}

uint32_t zp_handles_trim_some(struct zp_handles *handles)
{
	uint64_t released = 0;

	if (zp_pages_decommitted_readable(handles->pages))
		(void)put_some_to_sleep(handles, 0, LEAVING_SOME, &released);
	return (uint32_t)(released / group_bytes(handles));
}

uint32_t zp_handles_idle_groups(struct zp_handles *handles)
{
	zp_lock(&handles->lock);
	uint32_t idle = handles->groups_idle;
	zp_unlock(&handles->lock);
	return idle;
}

/* ---- life and checks ---- */

int zp_handles_init(struct zp_handles *handles, struct zp_pages *pages, size_t payload_bytes,
		    unsigned int generation_bits)
{
	memset(handles, 0, sizeof(*handles));
	handles->pages = pages;
	handles->stride_bytes = (uint32_t)(sizeof(zp_word) + payload_bytes);
	if (generation_bits == 0 || generation_bits > ZP_HANDLE_GENERATION_BITS)
		generation_bits = ZP_HANDLE_GENERATION_BITS;
	handles->generation_mask = (1u << generation_bits) - 1;
	handles->word_mask =
		(uint64_t)handles->generation_mask << ZP_GENERATION_SHIFT | ((UINT64_C(1) << ZP_GENERATION_SHIFT) - 1);
	handles->secret = zp_secret();
#if ZP_HANDLE_TAG_BITS > 0
	handles->tag = (uint32_t)(zp_secret() >> (64 - ZP_HANDLE_TAG_BITS)) << ZP_HANDLE_GENERATION_BITS;
#endif
	zp_lock_init(&handles->lock);
	zp_lock_rank(&handles->lock, ZP_RANK_HANDLES, 0, pages);
	handles->dormant = ZP_GROUP_NONE;
	return 0;
}

void zp_handles_fini(struct zp_handles *handles)
{
	for (unsigned int block = 0; block < ZP_TABLE_BLOCKS && handles->blocks[block].base; block++) {
		struct zp_table_block *at = &handles->blocks[block];
		uint32_t first = zp_block_first_group(block), groups = zp_block_groups(block);
		size_t committed = at->head_bytes;

		for (uint32_t i = 0; i < groups && first + i < handles->groups; i++)
			if (at->groups[i].high_water != HIGH_WATER_ASLEEP)
				committed += group_bytes(handles);
		zp_pages_meta_release(handles->pages, at->base, at->bytes, committed);
	}
	memset(handles, 0, sizeof(*handles));
}

void zp_handles_fork(struct zp_handles *handles, enum zpool_fork_phase phase)
{
	struct zp_backoff backoff = { 0 };

	if (phase != ZPOOL_FORK_PREPARE) {
		zp_unlock(&handles->lock);
		return;
	}
	/* Groups that are about to become dormant would stay in that state in the child. */
	for (zp_lock(&handles->lock); handles->groups_leaving; zp_lock(&handles->lock)) {
		zp_unlock(&handles->lock);
		zp_backoff_wait(&backoff);
	}
}

static const char *verify_group(struct zp_handles *handles, uint32_t group, struct zp_group *at)
{
	unsigned int block = zp_block_of_group(group);
	uint32_t i = group - zp_block_first_group(block), free_slots = 0, link;
	bool room = handles->blocks[block].room[i / 64] >> (i % 64) & 1;

	for (link = at->head; link < ZP_GROUP_SLOTS && free_slots <= ZP_GROUP_SLOTS; free_slots++) {
		uint32_t slot = (group << ZP_GROUP_SHIFT) + link;
		uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);

		if (zp_group_turn_of(link) >= at->high_water || zp_word_state(word) != ZP_STATE_DEAD)
			return "a slot on a free list is not dead";
		link = (uint32_t)(word & ZP_LOCATION_MASK);
	}
	if (link != ZP_GROUP_SLOTS)
		return "a free list of slots has a cycle";
	if (zp_group_taken(at) + at->retired + free_slots != at->high_water)
		return "a group's counts of slots do not add up";
	if (room != (zp_group_taken(at) + at->retired < ZP_GROUP_SLOTS))
		return "a group's bit in the map of groups with free slots is wrong";
	return NULL;
}

const char *zp_handles_verify(struct zp_handles *handles)
{
	const char *fault = NULL;
	uint64_t taken = 0;
	uint32_t awake = 0, idle = 0;

	zp_lock(&handles->lock);
	for (uint32_t group = 0; group < handles->groups && !fault; group++) {
		struct zp_group *at = zp_group_at(handles, group);

		taken += zp_group_taken(at);
		if (at->high_water == HIGH_WATER_ASLEEP)
			continue;
		awake++;
		idle += zp_group_taken(at) == 0;
		fault = group < handles->top ? verify_group(handles, group, at)
					     : "a group above the highest awake one is awake";
	}
	if (!fault && (awake != handles->groups_awake || idle != handles->groups_idle))
		fault = "the counts of groups do not match the groups";
	if (!fault && taken != zp_handles_taken(handles))
		fault = "the count of used slots differs from the sum over the groups";
	zp_unlock(&handles->lock);
	return fault;
}
