/* SPDX-License-Identifier: MIT
 *
 * exits.c - a driver whose create ends the process with status 0
 */
#include <unistd.h>

#include "mock-pool.h"

static int exits_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	(void)out;
	_exit(0);
}

ZPOOL_DRIVER_DEFINE(exits, "1.0", "ends the process in create", MOCK_POOL_MEMBERS, .create = exits_create,
		    .malloc = mock_malloc, .map = mock_map, .unmap = mock_unmap)
