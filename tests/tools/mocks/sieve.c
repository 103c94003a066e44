/* SPDX-License-Identifier: MIT
 *
 * sieve.c - a filter that does not work; the tests only look at its description
 */
#include "mock-pool.h"

ZPOOL_DRIVER_DEFINE(sieve, "1.0", "a filter", MOCK_POOL_MEMBERS, .flags_required = ZPOOL_DRIVER_FILTER,
		    .create = mock_create, .malloc = mock_malloc, .map = mock_map, .unmap = mock_unmap)
