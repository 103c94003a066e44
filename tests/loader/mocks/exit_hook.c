/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault.  The core calls it when a thread ends that has stored an object.
 */
#include "mock_driver.h"

static void exit_hook(void *arg)
{
	(void)arg;
	mock_tell("exit_hook", "thread exit");
}

static int exit_hook_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = context;
	int err = pool->host->thread_exit_add(pool->core, exit_hook, pool);
	return err ? err : mock_malloc(context, size, gfp, handle);
}

static void exit_hook_destroy(void *context)
{
	struct mock_pool *pool = context;
	pool->host->thread_exit_cancel(pool->core, exit_hook, pool);
	mock_tell("exit_hook", "destroy");
	mock_destroy(context);
}

#define MOCK_TYPE exit_hook
#define MOCK_MALLOC exit_hook_malloc
#define MOCK_DESTROY exit_hook_destroy
#define MOCK_MORE , .fork = mock_fork
#include "mock.h"
