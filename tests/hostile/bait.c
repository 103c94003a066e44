/* SPDX-License-Identifier: MIT
 *
 * bait.c - a plugin that must never be loaded: it has the name zbud, and ends the process as soon as its code runs
 */
#include <unistd.h>

#include "tests/tools/mocks/mock-pool.h"

/* BAIT_STATUS in surroundings.h */
__attribute__((constructor)) static void end_process(void)
{
	_exit(66);
}

ZPOOL_DRIVER_DEFINE(zbud, "1.0", "ends the process that loads it", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = mock_malloc, .map = mock_map, .unmap = mock_unmap)
