/* SPDX-License-Identifier: MIT
 *
 * lethal.c - a plugin that kills the process that loads it
 */
#include <signal.h>

#include "mock-pool.h"

__attribute__((constructor)) static void lethal_at_load(void)
{
	raise(SIGKILL);
}

ZPOOL_DRIVER_DEFINE(lethal, "1.0", "kills the process that loads it", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = mock_malloc, .map = mock_map, .unmap = mock_unmap)
