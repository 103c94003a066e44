/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/fork.h"

#include <pthread.h>

#include "base/log.h"
#include "core/pools.h"
#include "core/registry.h"
#include "core/thread_exit.h"
#include "loader/search.h"
#include "support/cancel.h"

bool zp_fork_armed;

/* Set by the forking thread, which waits for loads to end while it holds locks; guarded by the registry's lock. */
static int cancel_state;

/* This is the library's lock order; see doc/locking.md. */
static void prepare(void)
{
	int state = zp_cancel_disable();
	zp_registry_fork_prepare();
	cancel_state = state;
	zp_pools_fork_prepare();
	zp_thread_exit_lock();
	zp_search_lock();
	zp_log_lock();
}

static void release(bool child)
{
	int state = cancel_state;
	zp_log_unlock(child);
	zp_search_unlock();
	zp_thread_exit_unlock(child);
	zp_pools_fork_release(child);
	zp_registry_fork_release(child);
	zp_cancel_restore(state);
}

static void release_parent(void)
{
	release(false);
}

static void release_child(void)
{
	release(true);
}

/*
 * Registers the fork handlers when the library is loaded, so that fork() knows the locks before the first pool is
 * created or plugin loaded.
 */
__attribute__((constructor)) static void arm(void)
{
	zp_fork_armed = pthread_atfork(prepare, release_parent, release_child) == 0;
}
