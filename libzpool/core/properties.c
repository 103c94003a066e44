/* SPDX-License-Identifier: MIT
 *
 * What a pool is: its names, its sizes and its capabilities.
 */
#include <config.h>

#include <errno.h>

#include "base/error.h"
#include "core/calls.h"
#include "core/pool.h"

const char *zpool_get_type(struct zpool *pool)
{
	if (!pool)
		return zp_fail_null(EINVAL, "zpool_get_type() was given no pool.");
	return pool->spec.parts[pool->layer_count - 1].type;
}

const char *zpool_get_spec(struct zpool *pool)
{
	return pool ? pool->spec.text : zp_fail_null(EINVAL, "zpool_get_spec() was given no pool.");
}

const char *zpool_get_name(struct zpool *pool)
{
	return pool ? pool->name : zp_fail_null(EINVAL, "zpool_get_name() was given no pool.");
}

uint64_t zpool_get_total_size(struct zpool *pool)
{
	int err = zp_call_begin(pool, "zpool_get_total_size()");
	if (err) {
		errno = -err;
		return 0;
	}
	return zp_pool_top(pool)->driver->total_size(pool->driver_pool);
}

size_t zpool_max_object_size(struct zpool *pool)
{
	if (pool)
		return pool->max_object_bytes;
	errno = -zp_call_fail_no_pool("zpool_max_object_size()");
	return 0;
}

size_t zpool_alignment(struct zpool *pool)
{
	if (pool)
		return zp_pool_top(pool)->created.alignment_bytes;
	errno = -zp_call_fail_no_pool("zpool_alignment()");
	return 0;
}

static bool has_cap(const struct zpool *pool, uint32_t cap)
{
	return pool && !pool->inherited && (pool->layers[0].created.caps & cap);
}

bool zpool_evictable(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_EVICT) && zp_pool_top(pool)->driver->shrink && zp_pool_top(pool)->evict;
}

bool zpool_can_sleep_mapped(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_SLEEP_MAPPED);
}

bool zpool_malloc_support_movable(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_MOVABLE);
}
