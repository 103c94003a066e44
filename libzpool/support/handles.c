/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "handles_internal.h"

/* ---- slots ---- */

/* Takes a slot from a group that has a free one.  The lock is held. */
static uint32_t slot_take(struct zp_handles *handles, uint32_t group, struct zp_group *at)
{
	uint32_t first = group << ZP_GROUP_SHIFT, slot;
	zp_word *word;

	if (at->head != ZP_GROUP_SLOTS) {
		slot = first + at->head;
		word = zp_handles_word(handles, slot);
		at->head = (uint16_t)(atomic_load_explicit(word, memory_order_relaxed) & ZP_LOCATION_MASK);
	} else {
		slot = first + zp_group_slot_at(at->high_water++);
		word = zp_handles_word(handles, slot);
		atomic_store_explicit(
			word, zp_dead_word((zp_slot_start(handles, slot) + at->floor) & handles->generation_mask, 0),
			memory_order_relaxed);
	}
	if (zp_group_taken(at) == 0)
		handles->groups_idle--;
	zp_group_set_taken(at, zp_group_taken(at) + 1);
	if (zp_group_taken(at) + at->retired == ZP_GROUP_SLOTS)
		zp_group_mark_room(handles, group, false);
	return slot;
}

int zp_handles_bind(struct zp_handles *handles, zpool_gfp_t gfp, uint32_t *slots, unsigned int count)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	unsigned int got = 0;
	int err = 0;

	if (!nowait)
		zp_lock(&handles->lock);
	else if (!zp_trylock(&handles->lock))
		return -EAGAIN;
	while (got < count && !err) {
		uint32_t group = zp_group_with_room(handles);

		if (group == ZP_GROUP_NONE) {
			err = nowait ? -ENOMEM : zp_group_wake(handles);
			continue;
		}
		slots[got++] = slot_take(handles, group, zp_group_at(handles, group));
	}
	atomic_fetch_add_explicit(&handles->taken, got, memory_order_relaxed);
	zp_unlock(&handles->lock);
	return got ? (int)got : err;
}

/* Returns a dead slot to its group; `spent`: the slot has no generation left.  The lock is held. */
static void slot_release(struct zp_handles *handles, uint32_t slot, bool spent)
{
	uint32_t group = slot >> ZP_GROUP_SHIFT;
	struct zp_group *at = zp_group_at(handles, group);
	zp_word *word = zp_handles_word(handles, slot);
	uint32_t generation = zp_word_generation(atomic_load_explicit(word, memory_order_relaxed));

	atomic_store_explicit(word, zp_dead_word(generation, spent ? 0 : at->head), memory_order_relaxed);
	if (spent) {
		at->retired++;
	} else {
		at->head = (uint16_t)(slot & (ZP_GROUP_SLOTS - 1));
		zp_group_mark_room(handles, group, true);
	}
	zp_group_set_taken(at, zp_group_taken(at) - 1);
	if (zp_group_taken(at) == 0)
		handles->groups_idle++;
	atomic_fetch_sub_explicit(&handles->taken, 1, memory_order_relaxed);
}

/* Returns slots, and releases groups that have become idle. */
static void slots_release(struct zp_handles *handles, const uint32_t *slots, unsigned int count, bool spent)
{
	uint64_t released = 0;
	uint32_t keep;
	bool excess;

	zp_lock(&handles->lock);
	for (unsigned int i = 0; i < count; i++)
		slot_release(handles, slots[i], spent);
	excess = zp_groups_too_many_idle(handles, &keep);
	zp_unlock(&handles->lock);
	if (excess)
		zp_groups_put_to_sleep(handles, keep, &released);
}

void zp_handles_unbind(struct zp_handles *handles, const uint32_t *slots, unsigned int count)
{
	slots_release(handles, slots, count, false);
}

void zp_handles_retire(struct zp_handles *handles, uint32_t slot)
{
	slots_release(handles, &slot, 1, true);
}

void zp_handles_release(struct zp_handles *handles, uint32_t slot)
{
	if (zp_handles_end_free(handles, slot))
		zp_handles_unbind(handles, &slot, 1);
}

/* ---- objects ---- */

/*
 * Returns the word of a handle's slot in *word if its generation matches, after any move has ended.  Returns 0 or
 * -EINVAL.
 */
static int settled_word(zp_word *at, uint32_t generation, uint64_t *word)
{
	struct zp_backoff backoff = { 0 };

	for (;;) {
		*word = atomic_load_explicit(at, memory_order_acquire);
		if (zp_word_generation(*word) != generation || zp_word_state(*word) == ZP_STATE_DEAD)
			return -EINVAL;
		if (zp_word_state(*word) != ZP_STATE_MOVING)
			return 0;
		zp_backoff_wait(&backoff);
	}
}

/* Returns 0 with the address and the settled word of a live object's slot, or -EINVAL. */
static int find_live(struct zp_handles *handles, unsigned long handle, zp_word **at, uint64_t *word)
{
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return -EINVAL;
	*at = zp_handles_word(handles, slot);
	return settled_word(*at, zp_handle_generation(handles, handle), word);
}

int zp_handles_pin_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	zp_word *at;
	uint64_t word;

	do {
		int err = find_live(handles, handle, &at, &word);

		if (err)
			return err;
		if (zp_word_state(word) == ZP_STATE_EXCLUSIVE)
			return -EAGAIN;
		if (zp_word_state(word) == ZP_STATE_LIVE + ZP_PINS_MAX)
			return -EBUSY;
		zp_yield_point();
	} while (!atomic_compare_exchange_weak_explicit(at, &word, word + ZP_STATE_UNIT, memory_order_acquire,
							memory_order_relaxed));
	*location = word & ZP_LOCATION_MASK;
	return 0;
}

void zp_handles_share(struct zp_handles *handles, unsigned long handle)
{
	const uint64_t ordinary = (ZP_STATE_EXCLUSIVE - ZP_STATE_LIVE - 1) * ZP_STATE_UNIT;
	zp_word *at;
	uint64_t word;

	/* Threads without a cache are not stopped; they unpin with a compare-and-swap. */
	while (find_live(handles, handle, &at, &word) == 0 && zp_word_state(word) == ZP_STATE_EXCLUSIVE &&
	       !atomic_compare_exchange_weak_explicit(at, &word, word - ordinary, memory_order_relaxed,
						      memory_order_relaxed))
		continue;
}

int zp_handles_unpin_slow(struct zp_handles *handles, unsigned long handle)
{
	const uint64_t exclusive = (ZP_STATE_EXCLUSIVE - ZP_STATE_LIVE) * ZP_STATE_UNIT;
	zp_word *at;
	uint64_t word;

	do {
		int err = find_live(handles, handle, &at, &word);

		if (err)
			return err;
		if (zp_word_state(word) == ZP_STATE_LIVE)
			return -EINVAL;
		zp_yield_point();
	} while (!atomic_compare_exchange_weak_explicit(
		at, &word, word - (zp_word_state(word) == ZP_STATE_EXCLUSIVE ? exclusive : ZP_STATE_UNIT),
		memory_order_release, memory_order_relaxed));
	return 0;
}

int zp_handles_lookup(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	zp_word *at;
	uint64_t word;
	int err = find_live(handles, handle, &at, &word);

	if (!err)
		*location = word & ZP_LOCATION_MASK;
	return err;
}

bool zp_handles_is_idle(struct zp_handles *handles, unsigned long handle)
{
	uint32_t slot = zp_handle_slot(handle);

	return slot < zp_handles_slots(handles) &&
	       zp_word_life(atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed)) ==
		       zp_handle_life(handles, handle);
}

int zp_handles_begin_free_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	zp_word *at;
	uint64_t word;

	do {
		int err = find_live(handles, handle, &at, &word);

		if (err)
			return err;
		if (zp_word_state(word) != ZP_STATE_LIVE)
			return -EBUSY;
		zp_yield_point();
	} while (!atomic_compare_exchange_weak_explicit(at, &word, zp_word_freed(handles, word), memory_order_acquire,
							memory_order_relaxed));
	*location = word & ZP_LOCATION_MASK;
	return 0;
}

int zp_handles_begin_move(struct zp_handles *handles, uint32_t slot, uint64_t *location)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	do {
		if (zp_word_state(word) == ZP_STATE_DEAD)
			return -EINVAL;
		if (zp_word_state(word) != ZP_STATE_LIVE)
			return -EBUSY;
		zp_yield_point();
	} while (!atomic_compare_exchange_weak_explicit(at, &word,
							word + (ZP_STATE_MOVING - ZP_STATE_LIVE) * ZP_STATE_UNIT,
							memory_order_acquire, memory_order_relaxed));
	*location = word & ZP_LOCATION_MASK;
	return 0;
}

void zp_handles_end_move(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	/* publish stores what is needed: a live word with the slot's generation and the new location. */
	(void)zp_handles_publish(handles, slot, location);
}

/* Returns the first slot from `slot` on that is in a group with used slots, or `end`.  Skips other groups whole. */
static uint32_t next_used_slot(struct zp_handles *handles, uint32_t slot, uint32_t end)
{
	while (slot < end && slot % ZP_GROUP_SLOTS == 0 &&
	       atomic_load_explicit(&zp_group_at(handles, slot >> ZP_GROUP_SHIFT)->taken, memory_order_acquire) == 0)
		slot += ZP_GROUP_SLOTS;
	return slot;
}

int zp_handles_each(struct zp_handles *handles, int (*fn)(unsigned long handle, uint64_t location, void *user),
		    void *user)
{
	uint32_t end = zp_handles_slots(handles), slot = 0;
	int err = 0;

	for (; !err && (slot = next_used_slot(handles, slot, end)) < end; slot++) {
		zp_word *at = zp_handles_word(handles, slot);
		uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

		if (settled_word(at, zp_word_generation(word), &word) == 0)
			err = fn(zp_handle_make(handles, slot, zp_word_generation(word)), word & ZP_LOCATION_MASK,
				 user);
	}
	return err;
}

uint64_t zp_handles_mapped(struct zp_handles *handles)
{
	uint32_t end = zp_handles_slots(handles);
	uint64_t mapped = 0;

	for (uint32_t slot = 0; (slot = next_used_slot(handles, slot, end)) < end; slot++) {
		uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);

		mapped += zp_word_state(word) > ZP_STATE_LIVE && zp_word_state(word) < ZP_STATE_MOVING;
	}
	return mapped;
}
