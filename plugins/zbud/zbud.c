/* SPDX-License-Identifier: MIT
 *
 * zbud - at most two objects a page, and pages evicted oldest first
 *
 * The simplest driver that can evict, and the most predictable: it finds, fills, empties and releases a page in
 * constant time, and never moves an object.  The price is density: a page never holds more than two objects.
 *
 * A page
 *
 *     chunk  0        1                                                       63
 *            header   first object ->          free          <- last object
 *
 * Sizes are counted in chunks of 64 bytes.  The header is the first chunk: it contains the links of two lists, and the
 * handle slots and sizes of the two objects.  The first object starts right behind the header and the last one ends at
 * the end of the page, so the free space is always one piece between them, and the handle table needs only an object's
 * page and first chunk to locate it.  The largest object has 3968 bytes, which leaves room for the header and one
 * chunk.
 *
 * Lists
 *
 * unbuddied[n] links the pages with one object and n free chunks.  A new object goes into the page with the fewest free
 * chunks that suffice; if there is none, the driver takes a new page.  Pages with two objects are on none of these
 * lists, because they have no room.
 *
 * lru links all pages in the order in which an object was last stored in them.  Reading or freeing an object does not
 * change the order.  Shrink takes pages from the tail, and asks the owner to evict the first object, then the last.
 * Each step tries 8 pages at most; a page that could not be emptied, because the owner refused or an object is mapped,
 * moves to the head.
 *
 * A page under reclaim is marked and is on none of these lists, so that a concurrent free only clears the object, and
 * the reclaiming thread releases the page afterwards.  The evict callback is therefore free to free the handle, and so
 * is any other thread.  The page is on a list of its own with the thread that empties it, because in the child of a
 * fork no other thread completes that.
 *
 * Two objects of very different ages may share a page; they are evicted together.
 *
 * Thread caches (support/magazine.h)
 *
 * An object's slot is its room in a page together with its handle slot.  A free leaves the slot, still bound, in the
 * calling thread's cache, and the thread's next malloc of as many chunks takes it from there: neither touches the lists
 * or the handle table's lock, nor, in a pool that does not evict, the pool's lock.  There is a magazine for each number
 * of chunks. The slot that was freed last is pending: the next malloc takes it first, so that a program that stores and
 * frees one object gets the same slot again.
 *
 * The page counts a cached slot as used.  This keeps the page from being released and other sizes from using the room,
 * so a thread caches at most 1 slot plus a 128th of the used slots of that size, and never more than 14; of a size with
 * fewer than 3 used slots it caches only the pending slot.  When a magazine is full, its four oldest slots are freed
 * together.
 *
 * The order of eviction is exact.  In pools that evict, threads therefore use their caches with the pool's lock held: a
 * malloc makes its page the youngest, and a free sees the mark of a page under reclaim, whose slots must not be
 * cached.  The cache still saves the handle table's lock and the list operations, and shrink needs no barrier to find
 * out what is cached: it frees the cached slots of the oldest page, and asks the owner to evict live objects only.
 * Without the lock, each call of shrink would pay for a barrier, and so would each malloc at the limit, after which the
 * owner shrinks the pool.
 *
 * Trim and a malloc that finds no memory free all cached slots; a thread that ends frees its own.
 *
 * Locks
 *
 * The pool's lock guards the lists and the headers.  It is held for some list operations, never over a call of the page
 * source or the owner.  The locks of the thread caches, of the handle table and of the page allocator follow it in the
 * locking order.  Only NOWAIT calls take the last two while they hold the pool's lock, and they only try them.  Map and
 * unmap take no lock: the handle's table entry says where the object is, and its pin count keeps the object there.  A
 * slot is used until a thread frees it under the lock, so a thread that holds the lock may look at the page of any
 * bound slot.
 *
 * room_lock comes before the pool's lock.  A thread holds it while it takes slots out of the caches and gives back what
 * becomes free, so that other threads wait for that, instead of failing for want of what is on its way.
 *
 * ZPOOL_GFP_NOWAIT: the call takes a slot that the thread caches; otherwise it takes room beside another object or a
 * page of the reserve, and a handle slot in a committed part of the handle table.
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
	zp_lock_init(&pool->room_lock);
	zp_lock_rank(&pool->room_lock, ZBUD_RANK_ROOM, 0, &pool->pages);
	zp_lock_init(&pool->lock);
	zp_lock_rank(&pool->lock, ZBUD_RANK_POOL, 0, &pool->pages);
	zp_list_init(&pool->lru);
	zp_list_init(&pool->reclaiming);
	for (unsigned int i = 0; i < ZBUD_PAGE_CHUNKS; i++)
		zp_list_init(&pool->unbuddied[i]);
	pool->caches = (struct zp_caches){
		.pages = &pool->pages, .host = args->host, .core = args->core, .driver = pool, .empty = zbud_cache_empty
	};
	zp_caches_init(&pool->caches, ZBUD_MAGAZINES);
	return zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), 0, args);
}

static int zbud_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zbud_pool *pool = calloc(1, sizeof(*pool));
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

	zp_caches_fini(&pool->caches);
	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
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
	uint32_t cached[ZBUD_PAGE_CHUNKS];

	zp_lock(&pool->lock);
	zbud_cached_counts(pool, cached);
	for (unsigned int chunks = 1; chunks < ZBUD_PAGE_CHUNKS; chunks++) {
		uint64_t objects = pool->used_slots[chunks] - cached[chunks];

		now.objects += objects;
		now.stored_bytes += objects * chunks * ZBUD_CHUNK_BYTES;
	}
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
	zp_caches_forget_refusal(&pool->caches);
	return 0;
}

static int zbud_trim(void *pool_, uint64_t *released)
{
	struct zbud_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after, ignored;

	zbud_drop_kept(pool);
	zp_pages_trim(&pool->pages, &ignored);
	after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	return 0;
}

static void zbud_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct zbud_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pool->room_lock);
		zp_lock(&pool->lock);
		zp_caches_fork(&pool->caches, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_caches_fork(&pool->caches, phase);
		if (phase == ZPOOL_FORK_CHILD) {
			zbud_reclaims_of_others_end(pool);
			pool->is_child = true;
			zp_flushes_forget(&pool->flushes);
		}
		zp_unlock(&pool->lock);
		zp_unlock(&pool->room_lock);
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
