/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_reclaim.c - eviction of whole zspages, the one that an object was stored in longest ago first
 */
#include <config.h>

#include "zsmalloc.h"

/* Shrink gives up after this many zspages in a row that could not be emptied.  Each becomes the newest of its class. */
enum { RECLAIM_TRIES = 8 };

/* Returns the handle slot of a used slot and its word, or ZP_SLOT_NONE if the back pointer is damaged. */
static uint32_t used_by(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint32_t number,
			unsigned int slot, uint64_t *word)
{
	uint32_t handle_slot = zsmalloc_handle_slots(class, zsmalloc_zspage(pool, number))[slot];

	if (handle_slot == ZP_SLOT_NONE || handle_slot >= zp_handles_slots(&pool->handles))
		return ZP_SLOT_NONE;
	*word = atomic_load_explicit(zp_handles_word(&pool->handles, handle_slot), memory_order_relaxed);
	return (*word & ZP_LOCATION_MASK) == zsmalloc_location(number, slot) ? handle_slot : ZP_SLOT_NONE;
}

/* Returns the handle of the object in a slot, or 0 if the slot is free or its object is mapped, freed or moved now. */
static unsigned long evictable_handle(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint32_t number,
				      unsigned int slot)
{
	uint64_t word = 0;
	uint32_t handle_slot = zsmalloc_slot_is_used(zsmalloc_zspage(pool, number), slot)
				       ? used_by(pool, class, number, slot, &word)
				       : ZP_SLOT_NONE;

	if (handle_slot == ZP_SLOT_NONE || zp_word_state(word) != ZP_STATE_LIVE)
		return 0;
	return zp_handle_make(&pool->handles, handle_slot, zp_word_generation(word));
}

/*
 * Returns true if a used slot, whose word is given, may be lost: a thread of the parent was taking or returning it at
 * a fork, and does not exist in the child.  A slot that a thread of the child is taking or returning looks the same.
 */
static bool is_lost(const struct zsmalloc_pool *pool, uint64_t word)
{
	return pool->is_child && zp_word_state(word) == ZP_STATE_DEAD;
}

/*
 * Returns true if the zspage has an object that cannot be evicted now.  A slot that a thread is just taking or
 * returning is one, but a lost slot stays used for ever, and the objects beside it must not.
 */
static bool has_unevictable(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint32_t number)
{
	for (unsigned int slot = 0; slot < class->slots; slot++) {
		uint64_t word = 0;

		if (!zsmalloc_slot_is_used(zsmalloc_zspage(pool, number), slot))
			continue;
		if (used_by(pool, class, number, slot, &word) == ZP_SLOT_NONE)
			return true;
		if (zp_word_state(word) != ZP_STATE_LIVE && !is_lost(pool, word))
			return true;
	}
	return false;
}

static bool has_only_lost_slots(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint32_t number)
{
	for (unsigned int slot = 0; slot < class->slots; slot++) {
		uint64_t word = 0;

		if (zsmalloc_slot_is_used(zsmalloc_zspage(pool, number), slot) &&
		    (used_by(pool, class, number, slot, &word) == ZP_SLOT_NONE || !is_lost(pool, word)))
			return false;
	}
	return true;
}

/*
 * Returns the oldest zspage, or ZSMALLOC_NONE.  In a child of fork(), it passes over zspages that have only lost slots,
 * unless threads cache slots of the class, which look the same.
 */
static uint32_t oldest_of(struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	uint32_t number = class->newest;

	if (number == ZSMALLOC_NONE)
		return ZSMALLOC_NONE;
	bool may_pass = pool->is_child && zsmalloc_cached_count(pool, class) == 0;
	do {
		number = zsmalloc_zspage(pool, number)->links[ZSMALLOC_BY_AGE].prev;
		if (!may_pass || !has_only_lost_slots(pool, class, number))
			return number;
	} while (number != class->newest);
	return ZSMALLOC_NONE;
}

/*
 * Returns the class that has the oldest zspage, or NULL.  *reclaims says whether another zspage is under reclaim.
 * Locks one class after the other.
 */
static struct zsmalloc_class *class_of_oldest(struct zsmalloc_pool *pool, bool *reclaims)
{
	struct zsmalloc_class *class = NULL, *found = NULL;
	uint64_t stamp = UINT64_MAX;

	*reclaims = false;
	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		uint32_t oldest = oldest_of(pool, class);
		if (oldest != ZSMALLOC_NONE && zsmalloc_zspage(pool, oldest)->stamp < stamp) {
			stamp = zsmalloc_zspage(pool, oldest)->stamp;
			found = class;
		}
		*reclaims |= class->reclaiming != ZSMALLOC_NONE;
		zp_unlock(&class->lock);
	}
	return found;
}

/* Asks the owner to free each object, until one stays.  Releases the class's lock while the owner is asked. */
static void evict_objects(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	int err = 0;

	for (unsigned int slot = 0; slot < class->slots && !err; slot++) {
		/* Each handle is looked up late, because a callback may free other objects, too. */
		unsigned long handle = evictable_handle(pool, class, number, slot);

		if (!handle)
			continue;
		zsmalloc_class_unlock(pool, class);
		err = pool->evict(pool->evict_context, handle);
		zp_lock(&class->lock);
		bool stayed = zsmalloc_slot_is_used(zspage, slot);
		atomic_fetch_add_explicit(stayed ? &pool->evict_refused : &pool->evictions, 1, memory_order_relaxed);
		if (stayed && !err)
			err = -EBUSY;
	}
}

/*
 * Empties a zspage, and releases the class's lock while the owner is asked.  Returns the pages won, 0 if it stays.
 */
static unsigned int reclaim_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zsmalloc_zspage_unlist(pool, class, number);
	zsmalloc_cached_put_in(pool, class, number);
	/* A zspage with a mapped object cannot be emptied, so evicting the other objects would win nothing. */
	zsmalloc_reclaim_begin(pool, class, number);
	if (!has_unevictable(pool, class, number))
		evict_objects(pool, class, number);
	zsmalloc_reclaim_end(pool, class, number);
	if (zspage->used_slots) {
		zsmalloc_zspage_list(pool, class, number);
		return 0;
	}
	zsmalloc_zspage_retire(pool, class, number, false);
	return (unsigned int)__builtin_popcountll(zspage->committed);
}

/*
 * Empties the class's oldest zspage, and returns the pages won.  *tries is not changed if the class has no zspage after
 * its cached slots were put back.
 */
static unsigned int reclaim_oldest(struct zsmalloc_pool *pool, struct zsmalloc_class *class, unsigned int *tries)
{
	zp_lock(&class->lock);
	unsigned int before = class->committed_pages;
	/* Cached slots count as used but have no live handle, so they would look like mapped objects. */
	zsmalloc_cached_put(pool, class);
	unsigned int pages = before - class->committed_pages;
	*tries += class->newest != ZSMALLOC_NONE;
	uint32_t number = oldest_of(pool, class);
	if (number != ZSMALLOC_NONE)
		pages += reclaim_zspage(pool, class, number);
	zsmalloc_class_unlock(pool, class);
	return pages;
}

/*
 * Empties the oldest zspage that can be emptied.  Returns its pages, -EAGAIN if several could not be emptied or other
 * threads are trying to empty the last ones, or -EINVAL if there is none.
 */
static int reclaim_one(struct zsmalloc_pool *pool)
{
	unsigned int tries = 0;

	while (tries < RECLAIM_TRIES) {
		bool reclaims;
		struct zsmalloc_class *class = class_of_oldest(pool, &reclaims);

		if (!class)
			return reclaims ? -EAGAIN : -EINVAL;
		unsigned int pages = reclaim_oldest(pool, class, &tries);
		if (pages)
			return (int)pages;
	}
	return -EAGAIN;
}

int zsmalloc_shrink(void *pool_, unsigned int pages, unsigned int *reclaimed)
{
	struct zsmalloc_pool *pool = pool_;
	int won = 0;

	*reclaimed = 0;
	if (!pool->evict || pages == 0)
		return -EINVAL;
	zp_caches_hold(&pool->caches);
	while (won >= 0 && *reclaimed < pages) {
		won = reclaim_one(pool);
		*reclaimed += won > 0 ? (unsigned int)won : 0;
	}
	zp_caches_release(&pool->caches);
	zsmalloc_report_damage(pool);
	return won < 0 ? won : 0;
}
