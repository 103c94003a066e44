/* SPDX-License-Identifier: MIT
 *
 * nothing.c - a driver that does nothing: every object is the same one, handle 1
 *
 * The time of a call is therefore the cost of getting to a driver and back.
 */
#include "zpool-driver.h"

static char object[64];

static int nothing_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = object;
	return 0;
}

static void nothing_destroy(void *pool)
{
	(void)pool;
}

static int nothing_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	(void)pool, (void)size, (void)gfp;
	*handle = 1;
	return 0;
}

static int nothing_free(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return 0;
}

static uint64_t nothing_total_size(void *pool)
{
	(void)pool;
	return 0;
}

static void *nothing_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)handle, (void)mode;
	return pool;
}

static int nothing_unmap(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return 0;
}

/* Drivers without set_limit leave limits to the core, which would cost a call of total_size. */
static int nothing_set_limit(void *pool, uint64_t limit_bytes)
{
	(void)pool, (void)limit_bytes;
	return 0;
}

ZPOOL_DRIVER_DEFINE(nothing, "1", "does nothing, to measure the cost of reaching a driver", .max_object_bytes = 4096,
		    .alignment_bytes = 8, .create = nothing_create, .destroy = nothing_destroy,
		    .malloc = nothing_malloc, .free = nothing_free, .total_size = nothing_total_size,
		    .map = nothing_map, .unmap = nothing_unmap, .set_limit = nothing_set_limit)
