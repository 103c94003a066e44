/* SPDX-License-Identifier: MIT
 *
 * hang.c - a driver that hangs
 */
#include <unistd.h>

#include "mock-pool.h"

static int hang_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	while (((struct mock_pool *)pool)->count == 3)
		pause();
	return mock_malloc(pool, size, gfp, handle);
}

ZPOOL_DRIVER_DEFINE(hang, "1.0", "sleeps without end in its fourth malloc", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = hang_malloc, .map = mock_map, .unmap = mock_unmap)
