/* SPDX-License-Identifier: MIT
 *
 * libc - malloc(3) with the pool interface
 *
 * This is the baseline for comparing other drivers, and the driver to configure if the C library, or an allocator that
 * replaces it with LD_PRELOAD, should do the work.  Each object is a block of malloc().  This driver only adds the
 * handle: an object's slot in the handle table holds its size as the location and its address as the payload.  Map,
 * unmap, free and obj_size use only that slot and take no lock.
 *
 * The bytes held are the usable size of every block, BLOCK_HEADER_BYTES for malloc()'s header before it, the handle
 * table, and the pool's own record.  That is all that malloc() reports; the pages that it holds in addition are
 * unknown, so the promise of zpool_get_total_size() about resident memory does not extend to this driver.  The limit is
 * exact in this measure: a block's size is charged before malloc() is called, and a block whose usable size does not
 * fit is freed again before any other thread sees it.
 *
 * Nothing moves, and nothing is evicted.  malloc() may make a system call at any time, so ZPOOL_GFP_NOWAIT is always
 * refused.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <malloc.h>
#endif

#include <zpool-driver.h>

#include "counts.h"
#include "create.h"
#include "handles.h"

enum { ALIGNMENT_BYTES = 16, BLOCK_HEADER_BYTES = 8 };

/* The largest object: what malloc() accepts, but no more than a slot's location can hold: 64 GiB less a byte. */
#define OBJECT_BYTES_MAX ((size_t)(PTRDIFF_MAX < ZP_LOCATION_MASK ? (uint64_t)PTRDIFF_MAX : ZP_LOCATION_MASK))

_Static_assert(sizeof(void *) <= sizeof(uint64_t), "a slot's payload holds an address");

struct libc_pool {
	struct zp_handles handles; /* the payload is the block's address */
	struct zp_pages pages;     /* used for metadata and the account, not for runs */
	const struct zpool_host *host;
	void *core;
	_Atomic(uint64_t) stored_bytes;
	struct zp_counts counts;
};

static inline void **libc_block(struct libc_pool *pool, uint32_t slot)
{
	return zp_handles_payload(&pool->handles, slot);
}

static void *block_alloc(size_t size, bool zero)
{
	void *block = NULL;

	if (_Alignof(max_align_t) >= ALIGNMENT_BYTES)
		return zero ? calloc(1, size) : malloc(size);
	if (posix_memalign(&block, ALIGNMENT_BYTES, size))
		return NULL;
	if (zero)
		memset(block, 0, size);
	return block;
}

static uint64_t block_bytes(void *block, size_t size)
{
#ifdef __linux__
	(void)size;
	return malloc_usable_size(block) + BLOCK_HEADER_BYTES;
#else
	(void)block;
	return ((size + ALIGNMENT_BYTES - 1) & ~(size_t)(ALIGNMENT_BYTES - 1)) + BLOCK_HEADER_BYTES;
#endif
}

static int libc_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct libc_pool *pool = calloc(1, sizeof(*pool));
	int err = -ENOMEM;

	if (pool)
		err = zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), sizeof(uint64_t), args);
	if (err) {
		free(pool);
		return zp_create_failed(args, "libc", err);
	}
	pool->host = args->host;
	pool->core = args->core;
	out->pool = pool;
	return 0;
}

static int free_block(unsigned long handle, uint64_t size, void *user)
{
	struct libc_pool *pool = user;

	(void)size;
	free(*libc_block(pool, zp_handle_slot(handle)));
	return 0;
}

static void libc_destroy(void *pool_)
{
	struct libc_pool *pool = pool_;

	zp_handles_each(&pool->handles, free_block, pool);
	zp_destroy_tables(&pool->pages, &pool->handles);
	free(pool);
}

/* If the bytes do not fit, releases the idle groups of the handle table, which are all that the pool can release. */
static int libc_charge(struct libc_pool *pool, uint64_t bytes, zpool_gfp_t gfp)
{
	uint64_t released;
	int err = zp_pages_charge(&pool->pages, bytes, gfp);

	if (err != -ENOMEM)
		return err;
	zp_handles_trim(&pool->handles, &released);
	return released ? zp_pages_charge(&pool->pages, bytes, gfp) : err;
}

static int libc_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct libc_pool *pool = pool_;
	uint64_t refusals, bytes, charged_bytes = size + BLOCK_HEADER_BYTES;
	uint32_t slot;
	void *block;
	int err;

	if (size == 0)
		return -EINVAL;
	if (size > OBJECT_BYTES_MAX)
		return -ENOSPC;
	if (gfp & ZPOOL_GFP_NOWAIT)
		return zp_counts_malloc_failed(&pool->counts, -ENOMEM, false);
	refusals = zp_pages_limit_refusals(&pool->pages);
	/* Most mallocs beyond the limit fail here, before they take any memory. */
	err = libc_charge(pool, charged_bytes, gfp);
	if (err)
		goto failed;
	block = block_alloc(size, gfp & ZPOOL_GFP_ZERO);
	err = -ENOMEM;
	if (!block)
		goto refund;
	bytes = block_bytes(block, size);
	err = libc_charge(pool, bytes - charged_bytes, gfp);
	if (err)
		goto free_block;
	charged_bytes = bytes;
	err = zp_handles_bind(&pool->handles, gfp, &slot, 1);
	if (err < 0)
		goto free_block;
	*libc_block(pool, slot) = block;
	atomic_fetch_add_explicit(&pool->stored_bytes, size, memory_order_relaxed);
	*handle = zp_handles_publish(&pool->handles, slot, size);
	return 0;

free_block:
	free(block);
refund:
	zp_pages_refund(&pool->pages, charged_bytes);
failed:
	return zp_counts_malloc_failed(&pool->counts, err, refusals != zp_pages_limit_refusals(&pool->pages));
}

static int libc_free(void *pool_, unsigned long handle)
{
	struct libc_pool *pool = pool_;
	uint64_t size, bytes;
	uint32_t slot;
	void *block;
	int err = zp_handles_begin_free(&pool->handles, handle, &slot, &size);

	if (err)
		return zp_counts_refused(&pool->counts, err);
	block = *libc_block(pool, slot);
	bytes = block_bytes(block, size);
	free(block);
	atomic_fetch_sub_explicit(&pool->stored_bytes, size, memory_order_relaxed);
	zp_pages_refund(&pool->pages, bytes);
	zp_handles_release(&pool->handles, slot);
	return 0;
}

static uint64_t libc_total_size(void *pool_)
{
	struct libc_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static void *libc_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct libc_pool *pool = pool_;
	uint64_t size;
	int err = zp_handles_pin(&pool->handles, handle, &size);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	return *libc_block(pool, zp_handle_slot(handle));
}

static int libc_unmap(void *pool_, unsigned long handle)
{
	struct libc_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

static int64_t libc_obj_size(void *pool_, unsigned long handle)
{
	struct libc_pool *pool = pool_;
	uint64_t size;
	int err = zp_handles_lookup(&pool->handles, handle, &size);

	return err ? err : (int64_t)size;
}

static int libc_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct libc_pool *pool = pool_;
	struct zpool_stats now = zp_stats_begin(&pool->pages, &pool->handles, &pool->counts);

	now.objects = zp_handles_taken(&pool->handles);
	now.stored_bytes = atomic_load(&pool->stored_bytes);
	return zp_stats_end(&now, stats, stats_size);
}

struct libc_visit {
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long handle, uint64_t size, void *user)
{
	struct libc_visit *visit = user;

	return visit->fn(handle, size, visit->user);
}

static int libc_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct libc_pool *pool = pool_;
	struct libc_visit visit = { fn, user };

	return zp_handles_each(&pool->handles, visit_object, &visit);
}

static int libc_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct libc_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	return 0;
}

static int libc_trim(void *pool_, uint64_t *released)
{
	struct libc_pool *pool = pool_;

	/* What malloc() releases belongs to the whole process and was not held by this pool, so it is not counted. */
	zp_handles_trim(&pool->handles, released);
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	return 0;
}

static void libc_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct libc_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
	}
}

static int libc_verify(void *pool_)
{
	struct libc_pool *pool = pool_;
	const char *fault = zp_handles_verify(&pool->handles);

	if (!fault)
		fault = zp_pages_verify(&pool->pages);
	if (!fault)
		return 0;
	pool->host->error(pool->core, "The libc pool is damaged: %s.", fault);
	return -EUCLEAN;
}

ZPOOL_DRIVER_DEFINE(libc, ZPOOL_VERSION, "the C library's malloc, as a baseline",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED, .max_object_bytes = OBJECT_BYTES_MAX,
		    .alignment_bytes = ALIGNMENT_BYTES, .create = libc_create, .destroy = libc_destroy,
		    .malloc = libc_malloc, .free = libc_free, .total_size = libc_total_size, .map = libc_map,
		    .unmap = libc_unmap, .obj_size = libc_obj_size, .stats = libc_stats,
		    .each_object = libc_each_object, .set_limit = libc_set_limit, .trim = libc_trim, .fork = libc_fork,
		    .verify = libc_verify)
