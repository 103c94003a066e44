/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_reclaim.c - eviction of whole zspages, the one that an object was stored in longest ago first
 */
#include <config.h>

#include "zsmalloc.h"

/* Shrink gives up after this many zspages in a row that could not be emptied.  Each becomes the newest of its class. */
enum { RECLAIM_TRIES = 8 };

static uint32_t oldest_of(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	return class->newest == ZSMALLOC_NONE ? ZSMALLOC_NONE
					      : zsmalloc_zspage(pool, class->newest)->links[ZSMALLOC_BY_AGE].prev;
}

/* Returns the class that has the oldest zspage, or NULL.  Locks one class after the other. */
static struct zsmalloc_class *class_of_oldest(struct zsmalloc_pool *pool)
{
	struct zsmalloc_class *class = NULL, *found = NULL;
	uint64_t stamp = UINT64_MAX;

	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		uint32_t oldest = oldest_of(pool, class);
		if (oldest != ZSMALLOC_NONE && zsmalloc_zspage(pool, oldest)->stamp < stamp) {
			stamp = zsmalloc_zspage(pool, oldest)->stamp;
			found = class;
		}
		zp_unlock(&class->lock);
	}
	return found;
}

/* Returns the handle of the object in a slot, or 0 if the slot is free or its object is mapped, freed or moved now. */
static unsigned long evictable_handle(struct zsmalloc_pool *pool, const struct zsmalloc_class *class,
				      struct zsmalloc_zspage *zspage, unsigned int slot)
{
	uint32_t handle_slot = zsmalloc_slot_is_used(zspage, slot) ? zsmalloc_handle_slots(class, zspage)[slot] : 0;

	if (handle_slot == 0 || handle_slot >= zp_handles_slots(&pool->handles))
		return 0;
	uint64_t word = atomic_load_explicit(zp_handles_word(&pool->handles, handle_slot), memory_order_relaxed);
	if (zp_word_state(word) != ZP_STATE_LIVE)
		return 0;
	return zp_handle_make(&pool->handles, handle_slot, zp_word_generation(word));
}

static bool has_unevictable(struct zsmalloc_pool *pool, const struct zsmalloc_class *class,
			    struct zsmalloc_zspage *zspage)
{
	for (unsigned int slot = 0; slot < class->slots; slot++)
		if (zsmalloc_slot_is_used(zspage, slot) && !evictable_handle(pool, class, zspage, slot))
			return true;
	return false;
}

/* Asks the owner to free each object, until one stays.  Releases the class's lock while the owner is asked. */
static void evict_objects(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	int err = 0;

	for (unsigned int slot = 0; slot < class->slots && !err; slot++) {
		/* Each handle is looked up late, because a callback may free other objects, too. */
		unsigned long handle = evictable_handle(pool, class, zspage, slot);

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
	if (!has_unevictable(pool, class, zspage))
		evict_objects(pool, class, zspage);
	zsmalloc_reclaim_end(pool, class, number);
	if (zspage->used_slots) {
		zsmalloc_zspage_list(pool, class, number);
		return 0;
	}
	zsmalloc_zspage_retire(pool, class, number, false);
	return (unsigned int)__builtin_popcountll(zspage->committed);
}

/* Empties the class's oldest zspage, and returns the pages won. */
static unsigned int reclaim_oldest(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	zp_lock(&class->lock);
	unsigned int before = class->committed_pages;
	/* Cached slots count as used but have no live handle, so they would look like mapped objects. */
	zsmalloc_cached_put(pool, class);
	unsigned int pages = before - class->committed_pages;
	uint32_t number = oldest_of(pool, class);
	if (number != ZSMALLOC_NONE)
		pages += reclaim_zspage(pool, class, number);
	zsmalloc_class_unlock(pool, class);
	return pages;
}

/*
 * Empties the oldest zspage that can be emptied.  Returns its pages, -EAGAIN if several could not be emptied, or
 * -EINVAL if there is none.
 */
static int reclaim_one(struct zsmalloc_pool *pool)
{
	for (unsigned int tries = 0; tries < RECLAIM_TRIES; tries++) {
		struct zsmalloc_class *class = class_of_oldest(pool);

		if (!class)
			return -EINVAL;
		unsigned int pages = reclaim_oldest(pool, class);
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
	return won < 0 ? won : 0;
}
