/* SPDX-License-Identifier: MIT
 *
 * minor.c - a driver with the largest minor ABI version that a note can have, which is not a fault
 */
#include "mock-pool.h"

#undef ZPOOL_ABI_MINOR
#define ZPOOL_ABI_MINOR 4294967295

ZPOOL_DRIVER_DEFINE(minor, "1.0", "has a large minor version", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = mock_malloc, .map = mock_map, .unmap = mock_unmap)
