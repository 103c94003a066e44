/* SPDX-License-Identifier: MIT
 *
 * zbud - at most two objects a page, and pages evicted oldest first
 *
 * The simplest driver that can evict, and the most predictable: a page is found, filled, emptied and given back in
 * constant time, and no object ever moves.  Its price is density, which never passes two objects a page.
 *
 * A page
 *
 *     chunk  0        1                                                       63
 *            header   first object ->          free          <- last object
 *
 * Sizes count in chunks of 64 bytes.  The header is the first chunk: the links of two lists, the handles of the two
 * objects and their sizes in chunks.  The first object is left-justified behind the header, the last right-justified at
 * the end, so what is free is always one piece between them, and an object's place needs no more than its first chunk
 * in the handle table.  The largest object leaves the header and one chunk: 3968 bytes.
 *
 * Lists
 *
 * unbuddied[n]: pages with one object and n free chunks.  A new object takes the page with the fewest free chunks that
 * suffice, else a new page.  Pages with two objects are on none of these lists, for nothing will be put into them.
 *
 * lru: every page, by the last time that an object was stored in it.  Reads do not count, nor does a free.  Shrink
 * takes pages from the tail, and asks the owner to evict the first object, then the last.  Each step tries 8 pages at
 * most; a page that could not be emptied, be it that the owner refused or that an object is mapped, goes back to the
 * head.
 *
 * A page under reclaim is on no list and marked, so that a free meanwhile only clears the object; the reclaim then
 * gives the page back.  So the callback may free the handle, as it should, and any other thread may too.
 *
 * What the order cannot know: two objects of very different ages may share a page, and go together.
 *
 * Locks
 *
 * The pool's lock guards the lists and the headers.  It is held for some list operations, never over a call of the
 * page source or the owner.  Behind it stand the handle table's lock and the page allocator's, which are taken under
 * it by NOWAIT calls alone, and only tried.  Map and unmap take no lock: the handle's word says where the object is
 * and keeps it there.  A free takes the handle's word first and then the lock, so that who finds a handle live under
 * the lock knows that its page stays until the lock is left.
 *
 * ZPOOL_GFP_NOWAIT: room beside another object, or a page of the reserve, and a slot of the handle table that is
 * committed already.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>

#include "create.h"
#include "zbud.h"

enum { ZBUD_PARAM_RESERVE, ZBUD_PARAMS };

static const struct zpool_param zbud_params[ZBUD_PARAMS] = {
	[ZBUD_PARAM_RESERVE] = {
		.key = "reserve",
		.help = "free pages to keep for new objects; by default 1/128 of what the pool holds, at least 256K",
		.min = 0,
		.max = UINT64_C(1) << 42,
		.type = ZPOOL_PARAM_SIZE,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

/* ---- a pool's life ---- */

static int pool_init(struct zbud_pool *pool, const struct zpool_create_args *args)
{
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	zp_lock_init(&pool->lock);
	zp_lock_rank(&pool->lock, ZBUD_RANK_POOL, 0, &pool->pages);
	zp_list_init(&pool->lru);
	for (unsigned int i = 0; i < ZBUD_PAGE_CHUNKS; i++)
		zp_list_init(&pool->unbuddied[i]);
	return zp_create_tables(&pool->pages, &pool->handles, sizeof *pool, 0, args);
}

static int zbud_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zbud_pool *pool = calloc(1, sizeof *pool);
	int err = pool ? pool_init(pool, args) : -ENOMEM;

	if (err) {
		free(pool);
		return zp_create_failed(args, "zbud", err);
	}
	zp_create_reserve(&pool->pages, args, ZBUD_PARAM_RESERVE);
	out->pool = pool;
	return 0;
}

static void zbud_destroy(void *pool_)
{
	struct zbud_pool *pool = pool_;

	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
}

/* ---- objects ---- */

static int malloc_waiting(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zbud_page *page;
	uint32_t slot, pgno;
	int err;

	err = zp_handles_bind(&pool->handles, gfp, &slot, 1);
	if (err < 0)
		return err;
	zp_lock(&pool->lock);
	page = zbud_page_find(pool, chunks);
	if (!page) {
		zp_unlock(&pool->lock);
		err = zp_pages_get(&pool->pages, 1, gfp, &pgno);
		if (err) {
			zp_handles_unbind(&pool->handles, &slot, 1);
			return err;
		}
		page = zbud_page_init(pool, pgno);
		zp_lock(&pool->lock);
	}
	*handle = zbud_page_put_object(pool, page, chunks, slot, gfp & ZPOOL_GFP_ZERO);
	zp_unlock(&pool->lock);
	return 0;
}

/* Gives back what is kept beside the pages.  true: the pool holds less than before. */
static bool drop_kept(struct zbud_pool *pool)
{
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;
	uint32_t spare_slot;

	zp_lock(&pool->lock);
	spare_slot = pool->spare_slot;
	pool->spare_slot = ZP_SLOT_NONE;
	zp_unlock(&pool->lock);
	if (spare_slot != ZP_SLOT_NONE)
		zp_handles_unbind(&pool->handles, &spare_slot, 1);
	zp_handles_trim(&pool->handles, &ignored);
	return zp_pages_held_bytes(&pool->pages) < before;
}

static int malloc_nowait(struct zbud_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zbud_page *page;
	uint32_t slot, pgno;
	int err = 0;

	if (!zp_trylock(&pool->lock))
		return -EAGAIN;
	slot = pool->spare_slot;
	if (slot == ZP_SLOT_NONE)
		err = zp_handles_bind(&pool->handles, gfp, &slot, 1);
	if (err < 0) {
		zp_unlock(&pool->lock);
		return err;
	}
	page = zbud_page_find(pool, chunks);
	err = page ? 0 : zp_pages_get(&pool->pages, 1, gfp, &pgno);
	/* Giving the slot back could mean to wait: keep it for the next such call. */
	pool->spare_slot = err ? slot : ZP_SLOT_NONE;
	if (!err) {
		if (!page)
			page = zbud_page_init(pool, pgno);
		*handle = zbud_page_put_object(pool, page, chunks, slot, gfp & ZPOOL_GFP_ZERO);
	}
	zp_unlock(&pool->lock);
	return err;
}

static int zbud_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zbud_pool *pool = pool_;
	uint64_t refusals;
	unsigned int chunks;
	int err;

	if (size == 0)
		return -EINVAL;
	if (size > ZBUD_OBJECT_BYTES_MAX)
		return -ENOSPC;
	chunks = (unsigned int)((size + ZBUD_CHUNK_BYTES - 1) >> ZBUD_CHUNK_SHIFT);
	if (gfp & ZPOOL_GFP_NOWAIT) {
		err = malloc_nowait(pool, chunks, gfp, handle);
		return err ? zp_counts_malloc_failed(&pool->counts, err, false) : 0;
	}
	refusals = zp_pages_limit_refusals(&pool->pages);
	err = malloc_waiting(pool, chunks, gfp, handle);
	if (err == -ENOMEM && drop_kept(pool))
		err = malloc_waiting(pool, chunks, gfp, handle);
	return err ? zp_counts_malloc_failed(&pool->counts, err, refusals != zp_pages_limit_refusals(&pool->pages)) : 0;
}

static int zbud_free(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;
	uint64_t location;
	uint32_t slot;
	bool vacant;
	int err = zp_handles_begin_free(&pool->handles, handle, &slot, &location);

	if (err)
		return zp_counts_refused(&pool->counts, err);
	zp_lock(&pool->lock);
	vacant = zbud_page_drop_object(pool, location);
	zp_unlock(&pool->lock);
	if (vacant)
		zp_pages_put(&pool->pages, zbud_location_pgno(location), 1);
	zp_handles_release(&pool->handles, slot);
	return 0;
}

static void *zbud_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zbud_pool *pool = pool_;
	uint64_t location;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	return (char *)zp_pages_address(&pool->pages, zbud_location_pgno(location)) +
	       zbud_location_chunk(location) * ZBUD_CHUNK_BYTES;
}

static int zbud_unmap(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

static int64_t zbud_obj_size(void *pool_, unsigned long handle)
{
	struct zbud_pool *pool = pool_;
	uint64_t location;
	int64_t size;

	zp_lock(&pool->lock);
	size = zp_handles_lookup(&pool->handles, handle, &location);
	if (size == 0) {
		struct zbud_page *page = zbud_page_at(pool, zbud_location_pgno(location));

		size = page->chunks[zbud_location_buddy(location)] * ZBUD_CHUNK_BYTES;
	}
	zp_unlock(&pool->lock);
	return size;
}

static int zbud_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zbud_pool *pool = pool_;

	return zp_each_object(&pool->handles, zbud_obj_size, pool, fn, user);
}

/* ---- the pool as a whole ---- */

static uint64_t zbud_total_size(void *pool_)
{
	struct zbud_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static int zbud_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct zbud_pool *pool = pool_;
	struct zpool_stats now = zp_stats_begin(&pool->pages, &pool->handles, &pool->counts);

	zp_lock(&pool->lock);
	now.objects = pool->objects;
	now.stored_bytes = pool->stored_bytes;
	now.pages = pool->lru_pages + pool->reclaim_pages;
	now.evictions = pool->evictions;
	now.evict_refused = pool->evict_refused;
	zp_unlock(&pool->lock);
	return zp_stats_end(&now, stats, stats_size);
}

static int zbud_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct zbud_pool *pool = pool_;

	if (index != ZBUD_PARAM_RESERVE)
		return -EINVAL;
	zp_pages_set_reserve(&pool->pages, value->number);
	return 0;
}

static int zbud_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct zbud_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	return 0;
}

static int zbud_trim(void *pool_, uint64_t *released)
{
	struct zbud_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after, ignored;

	(void)drop_kept(pool);
	zp_pages_trim(&pool->pages, &ignored);
	after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	return 0;
}

static void zbud_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct zbud_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pool->lock);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_unlock(&pool->lock);
	}
}

ZPOOL_DRIVER_DEFINE(zbud, ZPOOL_VERSION, "two objects a page, evicted oldest first",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT, .params = zbud_params,
		    .param_count = ZBUD_PARAMS, .max_object_bytes = ZBUD_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZBUD_CHUNK_BYTES, .create = zbud_create, .destroy = zbud_destroy,
		    .malloc = zbud_malloc, .free = zbud_free, .total_size = zbud_total_size, .map = zbud_map,
		    .unmap = zbud_unmap, .shrink = zbud_shrink, .obj_size = zbud_obj_size, .stats = zbud_stats,
		    .each_object = zbud_each_object, .set = zbud_set, .set_limit = zbud_set_limit, .trim = zbud_trim,
		    .fork = zbud_fork, .verify = zbud_verify)
