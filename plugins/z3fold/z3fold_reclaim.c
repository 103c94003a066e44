/* SPDX-License-Identifier: MIT
 *
 * z3fold_reclaim.c - emptying pages through the owner's evict callback
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "z3fold.h"

/* The order in which the objects of a page are evicted. */
static const enum z3fold_buddy order[Z3FOLD_BUDDIES] = { Z3FOLD_MIDDLE, Z3FOLD_FIRST, Z3FOLD_LAST };

static uint64_t word_of(struct z3fold_pool *pool, const struct z3fold_page *page, enum z3fold_buddy buddy)
{
	return atomic_load_explicit(zp_handles_word(&pool->handles, page->handle_slots[buddy]), memory_order_relaxed);
}

/* Returns an object's handle, or 0 if there is no object, or if it is mapped or being freed by another thread. */
static unsigned long evictable_handle(struct z3fold_pool *pool, const struct z3fold_page *page, enum z3fold_buddy buddy)
{
	uint64_t word;

	if (!page->chunks[buddy])
		return 0;
	word = word_of(pool, page, buddy);
	if (zp_word_state(word) != ZP_STATE_LIVE)
		return 0;
	return zp_handle_make(&pool->handles, page->handle_slots[buddy], zp_word_generation(word));
}

/*
 * Returns true if another thread of the parent was freeing the object at a fork.  That thread does not exist in the
 * child, so the slot stays used for ever.  An object that a thread of the child is freeing looks the same.
 */
static bool is_lost(struct z3fold_pool *pool, const struct z3fold_page *page, enum z3fold_buddy buddy)
{
	return pool->is_child && zp_word_state(word_of(pool, page, buddy)) == ZP_STATE_DEAD;
}

/* Returns true if the owner could not evict one of the page's objects, because it is mapped or being freed. */
static bool has_unevictable(struct z3fold_pool *pool, const struct z3fold_page *page)
{
	for (unsigned int i = 0; i < Z3FOLD_BUDDIES; i++)
		if (page->chunks[i] && !evictable_handle(pool, page, i) && !is_lost(pool, page, i))
			return true;
	return false;
}

/* Returns the oldest page that has more than lost slots, or ZP_PGNO_NONE. */
static uint32_t oldest_page(struct z3fold_pool *pool)
{
	uint32_t pgno = pool->newest;

	while (pgno != ZP_PGNO_NONE) {
		pgno = z3fold_page_at(pool, pgno)->links[Z3FOLD_BY_AGE].prev;
		const struct z3fold_page *page = z3fold_page_at(pool, pgno);

		for (unsigned int i = 0; i < Z3FOLD_BUDDIES; i++)
			if (page->chunks[i] && !is_lost(pool, page, i))
				return pgno;
		if (pgno == pool->newest)
			break;
	}
	return ZP_PGNO_NONE;
}

/*
 * Asks the owner to evict the objects of a page that is on no ring, and stops at the first object that remains.  Called
 * and returns with the lock held, but releases it during the callbacks.  No object is stored in a page under reclaim or
 * moved from it, so an object that is still there was refused by the owner.
 */
static void evict_objects(struct z3fold_pool *pool, uint32_t pgno)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	int err = 0;

	z3fold_reclaim_begin(pool, pgno);
	for (unsigned int i = 0; i < Z3FOLD_BUDDIES && !err; i++) {
		/*
		 * The handle is read only now because the callback for the previous object may have freed this one as
		 * well.
		 */
		unsigned long handle = evictable_handle(pool, page, order[i]);

		if (!handle)
			continue;
		zp_unlock(&pool->lock);
		err = pool->evict(pool->evict_context, handle);
		zp_lock(&pool->lock);
		if (page->chunks[order[i]]) {
			pool->evict_refused++;
			err = -EBUSY;
		} else {
			pool->evictions++;
		}
	}
	z3fold_reclaim_end(pool, pgno);
}

/*
 * Empties the oldest page that can be emptied.  Returns 0, -EAGAIN if several could not be emptied or other calls are
 * emptying the last ones, or -EINVAL if there is none.
 */
static int reclaim_page(struct z3fold_pool *pool)
{
	zp_lock(&pool->lock);
	for (unsigned int tries = 0; tries < Z3FOLD_RECLAIM_TRIES; tries++) {
		struct z3fold_page *page;
		uint32_t pgno = oldest_page(pool);

		if (pgno == ZP_PGNO_NONE) {
			int err = pool->reclaim_pages ? -EAGAIN : -EINVAL;

			zp_unlock(&pool->lock);
			return err;
		}
		page = z3fold_page_at(pool, pgno);
		z3fold_page_leave_rings(pool, pgno);
		if (!has_unevictable(pool, page))
			evict_objects(pool, pgno);
		if (z3fold_page_objects(page) == 0) {
			zp_unlock(&pool->lock);
			z3fold_page_put(pool, pgno);
			return 0;
		}
		z3fold_page_enter_rings(pool, pgno);
	}
	zp_unlock(&pool->lock);
	return -EAGAIN;
}

int z3fold_shrink(void *pool_, unsigned int pages, unsigned int *reclaimed)
{
	struct z3fold_pool *pool = pool_;
	int err = 0;

	*reclaimed = 0;
	if (!pool->evict || pages == 0)
		return -EINVAL;
	while (*reclaimed < pages && !err) {
		err = reclaim_page(pool);
		if (!err)
			++*reclaimed;
	}
	return err;
}
