/* SPDX-License-Identifier: MIT
 *
 * zbud_reclaim.c - emptying pages through the owner's evict callback
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zbud.h"

/* Returns true if one of the page's objects is mapped, or another thread is freeing it. */
static bool has_mapped_object(struct zbud_pool *pool, const struct zbud_page *page)
{
	return (page->handles[ZBUD_FIRST] && !zp_handles_is_idle(&pool->handles, page->handles[ZBUD_FIRST])) ||
	       (page->handles[ZBUD_LAST] && !zp_handles_is_idle(&pool->handles, page->handles[ZBUD_LAST]));
}

/*
 * Ask for the objects of a page that is on no list any more.  Called and returns with the lock held, but not between.
 * No object is put into a page under reclaim, so what is there is what was kept.
 */
static void evict_objects(struct zbud_pool *pool, struct zbud_page *page)
{
	int err = 0;

	page->under_reclaim = 1;
	pool->reclaim_pages++;
	for (unsigned int i = 0; i < ZBUD_BUDDIES && !err; i++) {
		/* Looked up only now: the callback for the first may have freed the last as well. */
		unsigned long handle = page->handles[i];

		if (!handle)
			continue;
		zp_unlock(&pool->lock);
		err = pool->evict(pool->evict_context, handle);
		zp_lock(&pool->lock);
		pool->evict_refused += page->handles[i] != 0;
		pool->evictions += page->handles[i] == 0;
	}
	page->under_reclaim = 0;
	pool->reclaim_pages--;
}

/* Empty one page, the oldest that lets itself be emptied.  0, -EAGAIN or -EINVAL. */
static int reclaim_page(struct zbud_pool *pool)
{
	zp_lock(&pool->lock);
	for (unsigned int tries = 0; tries < ZBUD_RECLAIM_TRIES; tries++) {
		struct zbud_page *page;

		if (zp_list_empty(&pool->lru)) {
			zp_unlock(&pool->lock);
			return -EINVAL;
		}
		page = zp_list_entry(pool->lru.prev, struct zbud_page, lru);
		zbud_page_leave_lists(pool, page);
		if (!has_mapped_object(pool, page))
			evict_objects(pool, page);
		if (zbud_page_is_empty(page)) {
			zp_unlock(&pool->lock);
			zp_pages_put(&pool->pages, page->pgno, 1);
			return 0;
		}
		zbud_page_enter_lists(pool, page);
	}
	zp_unlock(&pool->lock);
	return -EAGAIN;
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
