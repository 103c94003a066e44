/* SPDX-License-Identifier: MIT
 *
 * crash.c - a driver that aborts in the middle of storing
 */
#include "mock-pool.h"

static int crash_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	if (((struct mock_pool *)pool)->count == 3)
		abort();
	return mock_malloc(pool, size, gfp, handle);
}

ZPOOL_DRIVER_DEFINE(crash, "1.0", "aborts in its fourth malloc", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = crash_malloc, .map = mock_map, .unmap = mock_unmap)
