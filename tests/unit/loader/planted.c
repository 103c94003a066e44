/* SPDX-License-Identifier: MIT
 *
 * planted.c - the smallest valid plugin: each pool holds one object of at most 64 bytes
 */
#include <errno.h>
#include <stdlib.h>

#include "zpool-driver.h"

struct planted_pool {
	unsigned long live; /* the only handle, or 0 */
	char bytes[64];
};

static int planted_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, sizeof(struct planted_pool));
	return out->pool ? 0 : -ENOMEM;
}

static void planted_destroy(void *context)
{
	free(context);
}

static int planted_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct planted_pool *pool = context;
	(void)size, (void)gfp;
	if (pool->live)
		return -ENOMEM;
	*handle = pool->live = 1;
	return 0;
}

static int planted_free(void *context, unsigned long handle)
{
	struct planted_pool *pool = context;
	if (pool->live != handle)
		return -EINVAL;
	pool->live = 0;
	return 0;
}

static uint64_t planted_total_size(void *context)
{
	(void)context;
	return sizeof(struct planted_pool);
}

static void *planted_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct planted_pool *pool = context;
	(void)mode;
	if (pool->live == handle)
		return pool->bytes;
	errno = EINVAL;
	return NULL;
}

static int planted_unmap(void *context, unsigned long handle)
{
	const struct planted_pool *pool = context;
	return pool->live == handle ? 0 : -EINVAL;
}

ZPOOL_DRIVER_DEFINE(planted, "0.7", "stands in for a plugin in tests", .max_object_bytes = 64, .alignment_bytes = 8,
		    .create = planted_create, .destroy = planted_destroy, .malloc = planted_malloc,
		    .free = planted_free, .total_size = planted_total_size, .map = planted_map, .unmap = planted_unmap)
