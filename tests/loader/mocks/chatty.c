/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault.  It reports its own error messages, and logs at every level.
 *
 * The size decides what its malloc does: 1 fails with a message, 2 fails without one, 3 sets a message and succeeds, 4
 * logs.
 */
#include "mock_driver.h"

static int chatty_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = context;
	switch (size) {
	case 1:
		pool->host->error(pool->core, "The chatty mock has no room for %zu byte.", size);
		return -ENOMEM;
	case 2:
		return -ENOMEM;
	case 3:
		pool->host->error(pool->core, "The chatty mock changed its mind.");
		break;
	case 4:
		pool->host->log(pool->core, ZPOOL_LOG_ERROR, "an error of %d", 1);
		pool->host->log(pool->core, ZPOOL_LOG_WARNING, "a warning");
		pool->host->log(pool->core, ZPOOL_LOG_INFO, "some info");
		pool->host->log(pool->core, ZPOOL_LOG_DEBUG, "some detail");
		pool->host->log(pool->core, (enum zpool_log_level)77, "an unknown level");
		break;
	case 5:
		pool->host->error(pool->core, "The chatty mock gave up before it logged.");
		pool->host->log(pool->core, ZPOOL_LOG_ERROR, "about to give up");
		return -ENOMEM;
	default:
		break;
	}
	return mock_malloc(context, size, gfp, handle);
}

#define MOCK_TYPE chatty
#define MOCK_MALLOC chatty_malloc
#include "mock.h"
