/* SPDX-License-Identifier: MIT
 *
 * corrupt.c - a driver that changes one byte of one object
 */
#include "mock-pool.h"

#define VICTIM 3

static void *corrupt_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	unsigned char *object = mock_map(pool, handle, mode);

	if (object && mode == ZPOOL_MM_RO && handle == VICTIM)
		object[((struct mock_pool *)pool)->sizes[VICTIM - 1] / 2] ^= 1;
	return object;
}

ZPOOL_DRIVER_DEFINE(corrupt, "1.0", "changes a byte of its third object", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = mock_malloc, .map = corrupt_map, .unmap = mock_unmap)
