/* SPDX-License-Identifier: MIT
 *
 * mock_filter.h - a small complete filter: it passes every call to the driver below it, with handles of its own
 *
 * Its handle of an object is the lower driver's handle with some bits inverted.  The filter itself uses
 * FILTER_OWN_BYTES.
 */
#ifndef MOCK_FILTER_H
#define MOCK_FILTER_H 1

#include "mock_driver.h"

enum { FILTER_OWN_BYTES = 4096 };
#define FILTER_BITS 0x5a5a0000ul

struct filter_pool {
	struct zpool_lower lower;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

MOCK_UNUSED static int filter_evict(void *context, unsigned long handle)
{
	struct filter_pool *pool = context;
	return pool->evict(pool->evict_context, handle ^ FILTER_BITS);
}

MOCK_UNUSED static int filter_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct filter_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	mock_tell("lower spec", args->lower_spec ? args->lower_spec : "none");
	int err = args->host->lower_create(args->core, args->evict ? filter_evict : NULL, pool, &pool->lower,
					   sizeof(pool->lower));
	if (err) {
		free(pool);
		return err;
	}
	out->pool = pool;
	out->caps |= pool->lower.caps & ~ZPOOL_CAP_FILTER;
	out->max_object_bytes = pool->lower.max_object_bytes;
	out->alignment_bytes = pool->lower.alignment_bytes;
	return 0;
}

MOCK_UNUSED static void filter_destroy(void *context)
{
	struct filter_pool *pool = context;
	pool->host->lower_destroy(pool->core, &pool->lower);
	free(pool);
}

MOCK_UNUSED static int filter_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct filter_pool *pool = context;
	int err = pool->lower.driver->malloc(pool->lower.pool, size, gfp, handle);
	if (!err)
		*handle ^= FILTER_BITS;
	return err;
}

MOCK_UNUSED static int filter_free(void *context, unsigned long handle)
{
	struct filter_pool *pool = context;
	return pool->lower.driver->free(pool->lower.pool, handle ^ FILTER_BITS);
}

MOCK_UNUSED static uint64_t filter_total_size(void *context)
{
	struct filter_pool *pool = context;
	return FILTER_OWN_BYTES + pool->lower.driver->total_size(pool->lower.pool);
}

MOCK_UNUSED static void *filter_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct filter_pool *pool = context;
	return pool->lower.driver->map(pool->lower.pool, handle ^ FILTER_BITS, mode);
}

MOCK_UNUSED static int filter_unmap(void *context, unsigned long handle)
{
	struct filter_pool *pool = context;
	return pool->lower.driver->unmap(pool->lower.pool, handle ^ FILTER_BITS);
}

MOCK_UNUSED static int filter_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct filter_pool *pool = context;
	return pool->lower.driver->shrink(pool->lower.pool, pages, reclaimed);
}

#define MOCK_FLAGS_REQUIRED ZPOOL_DRIVER_FILTER
#ifndef MOCK_CREATE
#define MOCK_CREATE filter_create
#endif
#ifndef MOCK_DESTROY
#define MOCK_DESTROY filter_destroy
#endif
#ifndef MOCK_MALLOC
#define MOCK_MALLOC filter_malloc
#endif
#define MOCK_FREE filter_free
#define MOCK_TOTAL_SIZE filter_total_size
#define MOCK_MAP filter_map
#define MOCK_UNMAP filter_unmap
#define MOCK_MORE , .shrink = filter_shrink
#include "mock.h"

#endif
