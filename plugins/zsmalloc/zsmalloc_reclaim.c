/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_reclaim.c - eviction: whole zspages, the one that was stored into longest ago first
 */
#include <config.h>

#include "zsmalloc.h"

/* A zspage that could not be emptied becomes the youngest; after so many in a row shrink gives up. */
enum { TRIES = 8 };

static uint32_t oldest_of(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class)
{
	return class->newest == ZSMALLOC_NONE ? ZSMALLOC_NONE
					      : zsmalloc_zspage(pool, class->newest)->links[ZSMALLOC_BY_AGE].prev;
}

/* The class with the oldest zspage; each is looked at under its lock, one after the other. */
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

/* The handle of the object in a slot, or 0: free, mapped, or in the hands of somebody who frees it. */
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

/* Asks for every object, until one stays.  With the lock held, but not while the owner is asked. */
static void evict_objects(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	int err = 0;

	for (unsigned int slot = 0; slot < class->slots && !err; slot++) {
		/* Looked up only now: a callback may have freed more than it was asked for. */
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

/* Empties a zspage.  The pages that were won; 0: it stays.  With the lock held, but not while the owner is asked. */
static unsigned int reclaim_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zsmalloc_zspage_unlist(pool, class, number);
	zsmalloc_cached_put_in(pool, class, number);
	/* A zspage with a mapped object cannot be emptied: then nobody is asked for the others. */
	if (!has_unevictable(pool, class, zspage))
		evict_objects(pool, class, zspage);
	if (zspage->used_slots) {
		zsmalloc_zspage_list(pool, class, number);
		return 0;
	}
	zsmalloc_zspage_retire(pool, class, number, false);
	return (unsigned int)__builtin_popcountll(zspage->committed);
}

/* Empties the class's oldest zspage. */
static unsigned int reclaim_oldest(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	zp_lock(&class->lock);
	unsigned int before = class->committed_pages;
	/* Cached slots would stay, and look like objects that a thread has mapped. */
	zsmalloc_cached_put(pool, class);
	unsigned int pages = before - class->committed_pages;
	uint32_t number = oldest_of(pool, class);
	if (number != ZSMALLOC_NONE)
		pages += reclaim_zspage(pool, class, number);
	zsmalloc_class_unlock(pool, class);
	return pages;
}

/* Empties one zspage, the oldest that lets itself be emptied.  Its pages, or -EAGAIN, or -EINVAL: there is none. */
static int reclaim_one(struct zsmalloc_pool *pool)
{
	for (unsigned int tries = 0; tries < TRIES; tries++) {
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
