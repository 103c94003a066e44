/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/fork.h"

#include <pthread.h>

#include "base/log.h"
#include "core/pools.h"
#include "core/registry.h"
#include "core/thread_exit.h"
#include "loader/search.h"

bool zp_fork_armed;

/* The order here is the order of the locks everywhere; see doc/locking.md. */
static void prepare(void)
{
	zp_registry_fork_prepare();
	zp_pools_fork_prepare();
	zp_thread_exit_lock();
	zp_search_lock();
	zp_log_lock();
}

static void release(bool child)
{
	zp_log_unlock(child);
	zp_search_unlock();
	zp_thread_exit_unlock(child);
	zp_pools_fork_release(child);
	zp_registry_fork_release(child);
}

static void release_parent(void)
{
	release(false);
}

static void release_child(void)
{
	release(true);
}

/* When the library is loaded, so that no pool is made, nor plugin loaded, before fork() knows of our locks. */
__attribute__((constructor)) static void arm(void)
{
	zp_fork_armed = pthread_atfork(prepare, release_parent, release_child) == 0;
}
