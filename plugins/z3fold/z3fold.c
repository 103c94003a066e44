/* SPDX-License-Identifier: MIT
 *
 * z3fold - a driver that stores up to three objects in a page, moves them to fill holes, and evicts the oldest page
 * first
 *
 * Like zbud, z3fold finds, fills, empties and returns a page in constant time, and evicts pages in the order of their
 * age. It stores about half as many objects again in a page; in exchange it has to move some of them.
 *
 * A page
 *
 *     chunk  0                                                                63
 *            first object ->   middle object ->     free      <- last object
 *
 * Sizes are counted in chunks of 64 bytes.  Objects fill a page from its two ends: the first object starts at the
 * beginning of the page, the last object ends at the end of the page, and the third, the middle object, begins where
 * the first ends.  A page has no header.  Its record (links of the rings, handles, sizes, the position of the middle
 * object) is in a separate table.  So objects can use all 64 chunks, and a caller that writes past the end of an object
 * cannot damage the driver's data.  An object of 64 chunks has a page of its own; the kernel's z3fold calls such a page
 * headless.
 *
 * Room
 *
 * Frees leave holes on both sides of a middle object.  The room of a page is the number of its free chunks if it has
 * less than three objects, and 0 otherwise.  It does not matter whether these chunks are in one piece or two, because
 * they become one piece when the middle object moves, and only a mapping can prevent that.  Therefore the driver lists
 * pages by room alone, in by_room[n].  The lists do not depend on what is mapped, so an unmap never has to move a page
 * to another list.  A new object goes to the page with the least room that suffices, as the second or as the third
 * object.  The driver moves the middle object, with one copy inside the page, only if neither hole is large enough.  If
 * the middle object is mapped, the search continues with the next page, and stops after eight such pages.
 *
 * Best fit was chosen by measurements on 100,000 compressed pages of a heap.  It stores 2.70 objects a page with lz4
 * (by their sizes in chunks, 2.93 would fit) and 2.99 with zstd; after replacements it stores 2.77 and 3.00.  A search
 * that also considered how often each room occurs stored 2.75 after the fill and 2.74 after replacements, but took a
 * hundred steps.  Filling pages with two objects first stored 2.70 and 2.63.
 *
 * Moves
 *
 * A free checks what remains in the page.  If one object remains and another page has room for it, the driver moves the
 * object there and returns the page.  Otherwise, a middle object that is alone becomes the first object, and a middle
 * object with a neighbour moves next to it if that gains at least three chunks.  Smaller gaps stay until a malloc needs
 * them.  Each move copies less than a page.  Compaction (z3fold_compact.c) treats pages with one or two objects as a
 * free treats pages with one object, and begins with the emptiest pages.  A malloc that finds no memory compacts too,
 * until it has emptied a few pages.
 *
 * The driver does not move an object that is mapped, or that another thread has begun to free.  The object's entry in
 * the handle table has this state.
 *
 * Eviction (z3fold_reclaim.c)
 *
 * Pages are evicted in the order in which objects were last stored in them.  Reads and frees do not count.  If an
 * object moves to an older page, that page becomes as young as the one that the object came from.  In a page, the
 * driver evicts the middle object first, then the first, then the last.  A page under reclaim is on none of these
 * rings and is marked: a free only clears the object, nothing is stored in the page or moved from it, and the reclaim
 * returns the page.  It is on a ring of its own with the thread that empties it, because in the child of a fork no
 * other thread completes that.
 *
 * Locks
 *
 * The pool's lock guards the rings and the records, and every move is made under it.  So a thread that holds the lock
 * finds each object where its record says.  The driver holds it for a few list operations and for copying at most 28
 * KiB, and never calls the page source or the owner while it does.  record_lock and the locks of the handle table and
 * the page allocator come after it in the order of locks.  Only NOWAIT calls take them while they hold the pool's lock,
 * and only with trylock.  Map and unmap take no lock, because an object's entry in the handle table has its location
 * and pins it. A free changes the entry in the handle table before it takes the lock.  So a thread that holds the lock
 * and finds a live handle knows that the object's page remains until it releases the lock.
 *
 * A call with ZPOOL_GFP_NOWAIT succeeds if a page with other objects has room, or if the reserve has a page whose
 * record is committed; it also needs a committed slot of the handle table.
 *
 * The three positions of objects, their order, the threshold of three chunks and the moves after a free come from the
 * kernel's z3fold.  There, pages carry headers, are listed by their current largest hole, and only an object that is
 * alone ever leaves its page.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>

#include "create.h"
#include "z3fold.h"

enum { ROOM_TRIES = 4 }; /* tries of one malloc, because other threads may take the memory that it released */

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

/* ---- create and destroy ---- */

static int pool_init(struct z3fold_pool *pool, const struct zpool_create_args *args)
{
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	zp_lock_init(&pool->lock);
	zp_lock_init(&pool->record_lock);
	zp_lock_rank(&pool->lock, Z3FOLD_RANK_POOL, 0, &pool->pages);
	zp_lock_rank(&pool->record_lock, Z3FOLD_RANK_RECORDS, 0, &pool->pages);
	return zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), 0, args);
}

static int z3fold_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct z3fold_pool *pool = calloc(1, sizeof(*pool));
	int err = pool ? pool_init(pool, args) : -ENOMEM;

	if (err) {
		free(pool);
		return zp_create_failed(args, "z3fold", err);
	}
	zp_create_reserve(&pool->pages, args, Z3FOLD_PARAM_RESERVE);
	out->pool = pool;
	return 0;
}

static void z3fold_destroy(void *pool_)
{
	struct z3fold_pool *pool = pool_;

	z3fold_records_fini(pool);
	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
}

/* ---- objects ---- */

/* Gets the spare page or a new one, with a record.  The caller does not hold the lock. */
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
	struct z3fold_slot slot;
	uint32_t handle_slot, pgno;
	int err;

	err = zp_handles_bind(&pool->handles, gfp, &handle_slot, 1);
	if (err < 0)
		return err;
	err = 0;
	zp_lock(&pool->lock);
	if (!z3fold_find_slot(pool, chunks, &slot)) {
		zp_unlock(&pool->lock);
		err = page_get(pool, gfp, &pgno);
		zp_lock(&pool->lock);
		if (!err)
			slot = z3fold_slot_in_new_page(pgno);
		else if (z3fold_find_slot(pool, chunks, &slot))
			err = 0; /* Another thread made room meanwhile, or the first search stopped early. */
	}
	if (!err)
		*handle = z3fold_store(pool, &slot, chunks, handle_slot, gfp & ZPOOL_GFP_ZERO);
	zp_unlock(&pool->lock);
	if (err)
		zp_handles_unbind(&pool->handles, &handle_slot, 1);
	return err;
}

/*
 * Like page_get(), but with the pool's lock held.  Returning a page might block here, so if this fails after it got a
 * page, the page stays in the pool for the next call.
 */
static int page_get_nowait(struct z3fold_pool *pool, zpool_gfp_t gfp, struct z3fold_slot *slot)
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
	*slot = z3fold_slot_in_new_page(pool->spare_pgno);
	pool->spare_pgno = ZP_PGNO_NONE;
	return 0;
}

static int malloc_nowait(struct z3fold_pool *pool, unsigned int chunks, zpool_gfp_t gfp, unsigned long *handle)
{
	struct z3fold_slot slot;
	int err = 0;

	if (!zp_trylock(&pool->lock))
		return -EAGAIN;
	if (pool->spare_handle_slot == ZP_SLOT_NONE)
		err = zp_handles_bind(&pool->handles, gfp, &pool->spare_handle_slot, 1);
	if (err < 0) {
		pool->spare_handle_slot = ZP_SLOT_NONE;
		zp_unlock(&pool->lock);
		return err;
	}
	err = z3fold_find_slot(pool, chunks, &slot) ? 0 : page_get_nowait(pool, gfp, &slot);
	if (!err) {
		*handle = z3fold_store(pool, &slot, chunks, pool->spare_handle_slot, gfp & ZPOOL_GFP_ZERO);
		pool->spare_handle_slot = ZP_SLOT_NONE;
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
	uint32_t handle_slot, emptied;
	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);

	if (err)
		return zp_counts_refused(&pool->counts, err);
	zp_lock(&pool->lock);
	emptied = z3fold_drop(pool, location);
	zp_unlock(&pool->lock);
	if (emptied != ZP_PGNO_NONE)
		z3fold_page_put(pool, emptied);
	zp_handles_release(&pool->handles, handle_slot);
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
		if (phase == ZPOOL_FORK_CHILD) {
			z3fold_reclaims_of_others_end(pool);
			pool->is_child = true;
		}
		zp_unlock(&pool->record_lock);
		zp_unlock(&pool->lock);
	}
}

ZPOOL_DRIVER_DEFINE(z3fold, ZPOOL_VERSION, "up to three objects a page, moved to fill holes, oldest page evicted first",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT | ZPOOL_DRIVER_MOVABLE,
		    .params = z3fold_params, .param_count = Z3FOLD_PARAMS, .max_object_bytes = Z3FOLD_OBJECT_BYTES_MAX,
		    .alignment_bytes = Z3FOLD_CHUNK_BYTES, .create = z3fold_create, .destroy = z3fold_destroy,
		    .malloc = z3fold_malloc, .free = z3fold_free, .total_size = z3fold_total_size, .map = z3fold_map,
		    .unmap = z3fold_unmap, .shrink = z3fold_shrink, .compact = z3fold_compact,
		    .obj_size = z3fold_obj_size, .stats = z3fold_stats, .each_object = z3fold_each_object,
		    .set = z3fold_set, .set_limit = z3fold_set_limit, .trim = z3fold_trim, .fork = z3fold_fork,
		    .verify = z3fold_verify)
