/* SPDX-License-Identifier: MIT
 *
 * zbud_reclaim.c - emptying pages through the owner's evict callback
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <pthread.h>

#include "zbud.h"

static bool is_idle(struct zbud_pool *pool, uint32_t handle_slot, unsigned long *handle)
{
	uint64_t word = atomic_load_explicit(zp_handles_word(&pool->handles, handle_slot), memory_order_relaxed);

	*handle = zp_handle_make(&pool->handles, handle_slot, zp_word_generation(word));
	return zp_word_state(word) == ZP_STATE_LIVE;
}

/* The used slots of a page: how many there are, how many have an object that is not mapped, and how many have none. */
struct census {
	unsigned int used, idle, dead;
};

static struct census count_slots(struct zbud_pool *pool, const struct zbud_page *page)
{
	struct census census = { 0 };

	for (unsigned int i = 0; i < ZBUD_BUDDIES; i++) {
		unsigned int state;

		if (!page->chunks[i])
			continue;
		state = zp_word_state(atomic_load_explicit(zp_handles_word(&pool->handles, page->handle_slots[i]),
							   memory_order_relaxed));
		census.used++;
		census.idle += state == ZP_STATE_LIVE;
		census.dead += state == ZP_STATE_DEAD;
	}
	return census;
}

/*
 * Returns true if one of the page's objects is mapped, or is being stored or freed at the moment.  In a child of
 * fork(), the thread that was storing or freeing it may not exist: such a slot stays used for ever, and the object
 * beside it must not.
 */
static bool has_busy_object(struct zbud_pool *pool, const struct zbud_page *page)
{
	struct census census = count_slots(pool, page);

	return census.idle + (pool->is_child ? census.dead : 0) < census.used;
}

/*
 * Returns the oldest page, or NULL.  Frees those of its slots that threads cache, which may empty it.  In a child of
 * fork(), it passes over pages that hold nothing but slots of threads that may not exist.
 */
static struct zbud_page *oldest_page(struct zbud_pool *pool, struct zbud_freed *freed)
{
	for (struct zp_list *link = pool->lru.prev; link != &pool->lru; link = link->prev) {
		struct zbud_page *page = zp_list_entry(link, struct zbud_page, lru);
		struct census census = count_slots(pool, page);

		if (census.idle < census.used)
			zbud_cached_put_in(pool, page, freed);
		if (!pool->is_child || census.dead < census.used || freed->slot_count || freed->spent_count)
			return page;
	}
	return NULL;
}

static void reclaim_begin(struct zbud_pool *pool, struct zbud_page *page)
{
	page->under_reclaim = 1;
	page->reclaimer = (uintptr_t)pthread_self();
	zp_list_add(&page->lru, &pool->reclaiming);
	pool->reclaim_pages++;
}

static void reclaim_end(struct zbud_pool *pool, struct zbud_page *page)
{
	page->under_reclaim = 0;
	zp_list_del(&page->lru);
	pool->reclaim_pages--;
}

void zbud_reclaims_of_others_end(struct zbud_pool *pool)
{
	struct zp_list *link, *following;

	zp_list_for_each_safe (link, following, &pool->reclaiming) {
		struct zbud_page *page = zp_list_entry(link, struct zbud_page, lru);

		if (page->reclaimer == (uintptr_t)pthread_self())
			continue;
		reclaim_end(pool, page);
		if (zbud_page_is_empty(page))
			zp_pages_put(&pool->pages, page->pgno, 1);
		else
			zbud_page_enter_lists(pool, page);
	}
}

/*
 * Asks the owner to evict the objects of a page that is on no list any more.  The caller holds the lock, which is
 * released during the evict callback.  malloc puts no object into a page under reclaim, so the objects found here are
 * the old ones.
 */
static void evict_objects(struct zbud_pool *pool, struct zbud_page *page)
{
	int err = 0;

	reclaim_begin(pool, page);
	for (unsigned int i = 0; i < ZBUD_BUDDIES && !err; i++) {
		unsigned long handle;

		/*
		 * The slot is read only now, because the callback for the first object may have freed the last one as
		 * well.
		 */
		if (!page->chunks[i] || !is_idle(pool, page->handle_slots[i], &handle))
			continue;
		zp_unlock(&pool->lock);
		err = pool->evict(pool->evict_context, handle);
		zp_lock(&pool->lock);
		pool->evict_refused += page->chunks[i] != 0;
		pool->evictions += page->chunks[i] == 0;
	}
	reclaim_end(pool, page);
}

/*
 * Empties the oldest page.  Returns 0, -EAGAIN if objects remain (the page is the youngest then, or other calls are
 * emptying the last pages), or -EINVAL if there is nothing to evict.
 */
static int reclaim_oldest(struct zbud_pool *pool)
{
	struct zbud_freed freed = { 0 };
	struct zbud_page *page;
	int err = 0;

	zp_lock(&pool->lock);
	page = oldest_page(pool, &freed);
	if (!page) {
		err = pool->reclaim_pages ? -EAGAIN : -EINVAL;
	} else if (freed.page_count == 0) { /* Otherwise threads had cached all its slots. */
		zbud_page_leave_lists(pool, page);
		if (!has_busy_object(pool, page))
			evict_objects(pool, page);
		if (zbud_page_is_empty(page)) {
			freed.pages[freed.page_count++] = page->pgno;
		} else {
			zbud_page_enter_lists(pool, page);
			err = -EAGAIN;
		}
	}
	zbud_flush_begin(pool, &freed);
	zp_unlock(&pool->lock);
	zbud_give_back(pool, &freed);
	return err;
}

/* Empties one page: the oldest whose objects the owner evicts. */
static int reclaim_page(struct zbud_pool *pool)
{
	int err = -EAGAIN;

	for (unsigned int tries = 0; err == -EAGAIN && tries < ZBUD_RECLAIM_TRIES; tries++)
		err = reclaim_oldest(pool);
	return err;
}

int zbud_shrink(void *pool_, unsigned int pages, unsigned int *reclaimed)
{
	struct zbud_pool *pool = pool_;
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
