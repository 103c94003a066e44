/* SPDX-License-Identifier: MIT
 *
 * z3fold - at most three objects a page, moved to where they fit, and evicted page by page, oldest first
 *
 * It has zbud's merits, in that pages are found, filled, emptied and given back in constant time and the oldest go
 * first, and half as many objects again, for the price of moving some.
 *
 * A page
 *
 *     chunk  0                                                                63
 *            first object ->   middle object ->     free      <- last object
 *
 * Sizes count in chunks of 64 bytes.  A page is filled from its ends: the first object is left-justified, the last
 * right-justified, and the third, the middle, begins where the first ends.  There is no header: the page's record
 * (rings, handles, sizes, the middle's place) stands in a table of its own, so all 64 chunks hold objects, and no
 * overrun of an object reaches what the driver believes.  An object of 64 chunks has its page to itself: that is what
 * the model calls headless.
 *
 * Room
 *
 * Frees leave holes on both sides of a middle object.  What counts is the room: the free chunks of a page with less
 * than three objects, in one piece or two, for they become one when the middle object moves, and nothing but a
 * mapping keeps it from that.  So pages are filed by room alone, in by_room[n]; that is exact whatever is mapped, and
 * nothing has to be filed anew at an unmap.  A new object takes the page with the least room that suffices, be it for
 * the second object or the third.  Only if neither hole takes it is the middle object moved, by a copy inside the
 * page; where it is mapped the next page is looked at, eight of them at most.
 *
 * Why best fit: on 100,000 compressed pages of a heap it stores 2.70 objects a page (lz4; by their chunks 2.93 would
 * fit) and 2.99 (zstd), and more after replacements, 2.77 and 3.00.  Weighing how often each room occurs gave 2.75
 * after the fill, and 2.74 after replacements, for a search of a hundred steps; to fill pages with two objects first,
 * 2.70 and 2.63.
 *
 * Moves
 *
 * A free looks at what is left in the page.  A sole object goes to another page if one has room for it, and its page
 * is given back.  Otherwise a lone middle object becomes the first, and one with a neighbour moves beside it where
 * that gains three chunks; smaller gaps are left to the malloc that needs them.  Each is one copy, of less than a
 * page.  Compaction (z3fold_compact.c) does to pages with one or two objects what a free does to those with one, from
 * the emptiest on.  A malloc that finds no memory does so too, until a few pages are won.
 *
 * A mapped object stays where it is, and so does one that somebody has begun to free; the handle's word says so.
 *
 * Order of eviction (z3fold_reclaim.c): pages by the last time that an object was stored in them; reads and frees do
 * not count, and a page that a moved object joins is as young as the one it came from.  In a page the middle object
 * goes first, then the first, then the last.  A page under reclaim is on no ring and marked: a free only clears the
 * object, nothing is stored in it or moved, and the reclaim gives it back.
 *
 * Locks
 *
 * The pool's lock guards the rings and the records, and every move happens under it; so who holds it finds each
 * object where its record says.  It is held for some list operations and at most 28 KiB of copying, never over a call
 * of the page source or the owner.  record_lock, the handle table's lock and the page allocator's stand behind it and
 * are taken under it by NOWAIT calls alone, and only tried.  Map and unmap take no lock: the handle's word says where
 * the object is and keeps it there.  A free takes the handle's word first and then the lock, so that who finds a
 * handle live under the lock knows that its page stays until the lock is left.
 *
 * ZPOOL_GFP_NOWAIT: room in a page with other objects, or a page of the reserve of which the record has memory, and a
 * slot of the handle table that is committed already.
 *
 * Sources: the kernel's z3fold for the three places, their order, the threshold of three chunks and the moves after a
 * free; there pages carry headers, are filed by the largest hole as it is and not as it could be, and only a sole
 * object ever leaves its page.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>

#include "z3fold.h"

enum { ROOM_TRIES = 4 }; /* for one malloc, where other threads may take what was given back */

enum { Z3FOLD_PARAM_RESERVE, Z3FOLD_PARAMS };

static const struct zpool_param z3fold_params[Z3FOLD_PARAMS] = {
	[Z3FOLD_PARAM_RESERVE] = {
		.key = "reserve",
		.help = "free pages to keep for new objects; by default 1/128 of what the pool holds, at least 256K",
		.min = 0,
		.max = UINT64_C(1) << 42,
		.type = ZPOOL_PARAM_SIZE,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

/* ---- a pool's life ---- */

static int pool_init(struct z3fold_pool *pool, const struct zpool_create_args *args)
{
	int err;

	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	zp_lock_init(&pool->lock);
	zp_lock_init(&pool->record_lock);
	err = zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes);
	if (err)
		return err;
	err = zp_pages_charge(&pool->pages, sizeof *pool, ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(&pool->handles, &pool->pages, 0, 0);
	if (err)
		zp_pages_fini(&pool->pages);
	return err;
}

static int z3fold_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct z3fold_pool *pool = calloc(1, sizeof *pool);
	int err = pool ? pool_init(pool, args) : -ENOMEM;

	if (err) {
		free(pool);
		if (err == -ENOMEM && args->limit_bytes)
			args->host->error(args->core, "A limit of %llu byte%s is too low for a z3fold pool; raise it.",
					  (unsigned long long)args->limit_bytes, ZPOOL_PLURAL(args->limit_bytes));
		return err;
	}
	if (args->value_count > Z3FOLD_PARAM_RESERVE && args->values[Z3FOLD_PARAM_RESERVE].given)
		zp_pages_set_reserve(&pool->pages, args->values[Z3FOLD_PARAM_RESERVE].number);
	out->pool = pool;
	return 0;
}

static void z3fold_destroy(void *pool_)
{
	struct z3fold_pool *pool = pool_;

	z3fold_records_fini(pool);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

/* ---- objects ---- */

/* A page with a record: the spare one, or a new one.  Without the lock. */
static int page_get(struct z3fold_pool *pool, zpool_gfp_t gfp, uint32_t *pgno)
{
	int err = 0;

	zp_lock(&pool->lock);
	*pgno = pool->spare_pgno;
	pool->spare_pgno = ZP_PGNO_NONE;
	zp_unlock(&pool->lock);
	if (*pgno == ZP_PGNO_NONE)
		err = zp_pages_get(&pool->pages, 1, gfp, pgno);
	if (err)
		return err;
	err = z3fold_record_get(pool, *pgno, gfp);
	if (err)
		zp_pages_put(&pool->pages, *pgno, 1);
	return err;
}

static int malloc_waiting(struct z3fold_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	struct z3fold_place place;
	uint32_t slot, pgno;
	int err;

	err = zp_handles_bind(&pool->handles, gfp, &slot, 1);
	if (err < 0)
		return err;
	err = 0;
	zp_lock(&pool->lock);
	if (!z3fold_find_place(pool, chunks, &place)) {
		zp_unlock(&pool->lock);
		err = page_get(pool, gfp, &pgno);
		zp_lock(&pool->lock);
		if (!err)
			place = z3fold_place_in_new_page(pgno);
		else if (z3fold_find_place(pool, chunks, &place))
			err = 0; /* Room that another thread made meanwhile, or behind pages that were passed by. */
	}
	if (!err)
		*handle = z3fold_store(pool, &place, chunks, slot, gfp & ZPOOL_GFP_ZERO);
	zp_unlock(&pool->lock);
	if (err)
		zp_handles_unbind(&pool->handles, &slot, 1);
	return err;
}

/* The same with the lock held, where giving back could mean to wait: what was got in vain is kept for the next call. */
static int page_get_nowait(struct z3fold_pool *pool, zpool_gfp_t gfp, struct z3fold_place *place)
{
	int err = 0;

	if (pool->spare_pgno == ZP_PGNO_NONE)
		err = zp_pages_get(&pool->pages, 1, gfp, &pool->spare_pgno);
	if (err) {
		pool->spare_pgno = ZP_PGNO_NONE;
		return err;
	}
	err = z3fold_record_get(pool, pool->spare_pgno, gfp);
	if (err)
		return err;
	*place = z3fold_place_in_new_page(pool->spare_pgno);
	pool->spare_pgno = ZP_PGNO_NONE;
	return 0;
}

static int malloc_nowait(struct z3fold_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	struct z3fold_place place;
	int err = 0;

	if (!zp_trylock(&pool->lock))
		return -EAGAIN;
	if (pool->spare_slot == ZP_SLOT_NONE)
		err = zp_handles_bind(&pool->handles, gfp, &pool->spare_slot, 1);
	if (err < 0) {
		pool->spare_slot = ZP_SLOT_NONE;
		zp_unlock(&pool->lock);
		return err;
	}
	err = z3fold_find_place(pool, chunks, &place) ? 0 : page_get_nowait(pool, gfp, &place);
	if (!err) {
		*handle = z3fold_store(pool, &place, chunks, pool->spare_slot, gfp & ZPOOL_GFP_ZERO);
		pool->spare_slot = ZP_SLOT_NONE;
	}
	zp_unlock(&pool->lock);
	return err;
}

static int z3fold_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct z3fold_pool *pool = pool_;
	uint64_t refusals;
	unsigned int chunks;
	int err;

	if (size == 0)
		return -EINVAL;
	if (size > Z3FOLD_OBJECT_BYTES_MAX)
		return -ENOSPC;
	chunks = (unsigned int)((size + Z3FOLD_CHUNK_BYTES - 1) >> Z3FOLD_CHUNK_SHIFT);
	if (gfp & ZPOOL_GFP_NOWAIT) {
		err = malloc_nowait(pool, chunks, gfp, handle);
		return err ? zp_counts_malloc_failed(&pool->counts, err, false) : 0;
	}
	refusals = zp_pages_limit_refusals(&pool->pages);
	err = malloc_waiting(pool, chunks, gfp, handle);
	for (int tries = 0; err == -ENOMEM && tries < ROOM_TRIES && z3fold_make_room(pool); tries++)
		err = malloc_waiting(pool, chunks, gfp, handle);
	return err ? zp_counts_malloc_failed(&pool->counts, err, refusals != zp_pages_limit_refusals(&pool->pages)) : 0;
}

static int z3fold_free(void *pool_, unsigned long handle)
{
	struct z3fold_pool *pool = pool_;
	uint64_t location;
	uint32_t slot, emptied;
	int err = zp_handles_begin_free(&pool->handles, handle, &slot, &location);

	if (err)
		return zp_counts_refused(&pool->counts, err);
	zp_lock(&pool->lock);
	emptied = z3fold_drop(pool, location);
	zp_unlock(&pool->lock);
	if (emptied != ZP_PGNO_NONE)
		z3fold_page_put(pool, emptied);
	zp_handles_release(&pool->handles, slot);
	return 0;
}

static void *z3fold_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct z3fold_pool *pool = pool_;
	uint64_t location;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	return z3fold_address(pool, location);
}

static int z3fold_unmap(void *pool_, unsigned long handle)
{
	struct z3fold_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

static int64_t z3fold_obj_size(void *pool_, unsigned long handle)
{
	struct z3fold_pool *pool = pool_;
	uint64_t location;
	int64_t size;

	zp_lock(&pool->lock);
	size = zp_handles_lookup(&pool->handles, handle, &location);
	if (size == 0) {
		const struct z3fold_page *page = z3fold_page_at(pool, z3fold_location_pgno(location));

		size = page->chunks[z3fold_buddy_at(page, z3fold_location_chunk(location))] * Z3FOLD_CHUNK_BYTES;
	}
	zp_unlock(&pool->lock);
	return size;
}

static int z3fold_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct z3fold_pool *pool = pool_;

	return zp_each_object(&pool->handles, z3fold_obj_size, pool, fn, user);
}

/* ---- the pool as a whole ---- */

static uint64_t z3fold_total_size(void *pool_)
{
	struct z3fold_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static int z3fold_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct z3fold_pool *pool = pool_;

	if (index != Z3FOLD_PARAM_RESERVE)
		return -EINVAL;
	zp_pages_set_reserve(&pool->pages, value->number);
	return 0;
}

static int z3fold_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct z3fold_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	return 0;
}

static void z3fold_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct z3fold_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pool->lock);
		zp_lock(&pool->record_lock);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_unlock(&pool->record_lock);
		zp_unlock(&pool->lock);
	}
}

ZPOOL_DRIVER_DEFINE(z3fold, ZPOOL_VERSION, "three objects a page, moved to where they fit, evicted oldest first",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT | ZPOOL_DRIVER_MOVABLE,
		    .params = z3fold_params, .param_count = Z3FOLD_PARAMS, .max_object_bytes = Z3FOLD_OBJECT_BYTES_MAX,
		    .alignment_bytes = Z3FOLD_CHUNK_BYTES, .create = z3fold_create, .destroy = z3fold_destroy,
		    .malloc = z3fold_malloc, .free = z3fold_free, .total_size = z3fold_total_size, .map = z3fold_map,
		    .unmap = z3fold_unmap, .shrink = z3fold_shrink, .compact = z3fold_compact,
		    .obj_size = z3fold_obj_size, .stats = z3fold_stats, .each_object = z3fold_each_object,
		    .set = z3fold_set, .set_limit = z3fold_set_limit, .trim = z3fold_trim, .fork = z3fold_fork,
		    .verify = z3fold_verify)
