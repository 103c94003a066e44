/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/pools.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#include "base/error.h"
#include "core/pool.h"
#include "core/thread_exit.h"
#include "support/cancel.h"

/*
 * Guards the list, and each pool's number, pins and leaving. It is never held while driver code runs, except by fork,
 * which takes every lock.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct zpool *pools; /* the newest pool comes first */
static uint64_t last_number;

/* Signalled when the last pin of a pool that is being destroyed is gone. */
static pthread_cond_t unpinned = PTHREAD_COND_INITIALIZER;

void zp_pools_add(struct zpool *pool)
{
	pthread_mutex_lock(&lock);
	pool->number = ++last_number;
	pool->previous = NULL;
	pool->next = pools;
	if (pools)
		pools->previous = pool;
	pools = pool;
	pthread_mutex_unlock(&lock);
}

void zp_pools_remove(struct zpool *pool)
{
	pthread_mutex_lock(&lock);
	pool->leaving = true;
	while (pool->pins)
		pthread_cond_wait(&unpinned, &lock);
	if (pool->previous)
		pool->previous->next = pool->next;
	else
		pools = pool->next;
	if (pool->next)
		pool->next->previous = pool->previous;
	pthread_mutex_unlock(&lock);
}

uint64_t zp_pools_last(void)
{
	pthread_mutex_lock(&lock);
	uint64_t last = last_number;
	pthread_mutex_unlock(&lock);
	return last;
}

struct zpool *zp_pools_get_after(uint64_t number, uint64_t last)
{
	struct zpool *found = NULL;

	pthread_mutex_lock(&lock);
	for (struct zpool *pool = pools; pool && pool->number > number; pool = pool->next)
		if (pool->number <= last && !pool->leaving)
			found = pool;
	if (found)
		found->pins++;
	pthread_mutex_unlock(&lock);
	return found;
}

void zp_pools_put(struct zpool *pool)
{
	pthread_mutex_lock(&lock);
	if (--pool->pins == 0 && pool->leaving)
		pthread_cond_broadcast(&unpinned);
	pthread_mutex_unlock(&lock);
}

static const struct zp_layer *find_layer(const void *driver_pool)
{
	for (const struct zpool *pool = pools; pool; pool = pool->next)
		for (unsigned int i = 0; i < pool->layer_count; i++)
			if (pool->layers[i].created.pool == driver_pool)
				return &pool->layers[i];
	return NULL;
}

static int evict_found(void *driver_pool, unsigned long handle)
{
	int (*evict)(void *evict_context, unsigned long handle) = NULL;
	void *context = NULL;

	pthread_mutex_lock(&lock);
	const struct zp_layer *layer = driver_pool ? find_layer(driver_pool) : NULL;
	if (layer) {
		evict = layer->evict;
		context = layer->evict_context;
	}
	pthread_mutex_unlock(&lock);
	if (!layer)
		return zp_fail(ENOENT, "zpool_evict(): no driver has a pool at %p.", driver_pool);
	if (!evict)
		return zp_fail(EINVAL, "zpool_evict(): the pool was created without an evict callback.");
	return evict(context, handle);
}

int zpool_evict(void *driver_pool, unsigned long handle)
{
	ZP_CANCEL_DISABLED_HERE;
	if (!zp_pool_may_evict())
		return zp_fail(EAGAIN, "zpool_evict(): a NOWAIT malloc of a pool with a limit cannot evict.");
	/* A driver calls this in the middle of a malloc, and the lock of the list comes before those of the limits. */
	const struct zp_turn *turns = zp_pool_give_up_turns();
	int err = evict_found(driver_pool, handle);
	zp_pool_take_back_turns(turns);
	return err;
}

static bool can_follow(const struct zpool *pool)
{
	for (unsigned int i = 0; i < pool->layer_count; i++)
		if (!pool->layers[i].driver->fork)
			return false;
	return true;
}

static void call_fork(struct zpool *pool, enum zpool_fork_phase phase)
{
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		/* A filter is locked before the driver below it, and unlocked after it. */
		const struct zp_layer *layer =
			&pool->layers[phase == ZPOOL_FORK_PREPARE ? i : pool->layer_count - 1 - i];
		if (layer->driver->fork)
			layer->driver->fork(layer->created.pool, phase);
	}
}

static int inherited_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	(void)pool, (void)size, (void)gfp, (void)handle;
	return -EOPNOTSUPP;
}

static int inherited_handle(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return -EOPNOTSUPP;
}

static void *inherited_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)pool, (void)handle, (void)mode;
	errno = EOPNOTSUPP;
	return NULL;
}

/*
 * At the time of the fork, another thread may have been inside the driver, so its locks and lists are in an unknown
 * state in the child. The driver is therefore never called again. The pool stays on the list, destroyed or not, until
 * the child exits or executes another program.
 */
static void orphan(struct zpool *pool)
{
	pool->inherited = true;
	pool->malloc = inherited_malloc;
	pool->free = inherited_handle;
	pool->map = inherited_map;
	pool->unmap = inherited_handle;
}

/*
 * Whether the thread-exit hooks of a layer must not run in the child. They are calls of its driver, too. A pool that
 * another thread was destroying at the time of the fork need not be on the list, so no lock of it was taken. The layer
 * exists, because zp_stack_destroy() drops the hooks of its layers.
 */
static bool is_unusable(const void *core, const void *context)
{
	const struct zp_layer *layer = core;
	(void)context;
	return layer && (layer->pool->inherited || layer->pool->leaving);
}

void zp_pools_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
	for (struct zpool *pool = pools; pool; pool = pool->next) {
		zp_pool_lock_limit(pool);
		call_fork(pool, ZPOOL_FORK_PREPARE);
	}
}

void zp_pools_fork_release(bool child)
{
	struct zpool *oldest = pools;

	/*
	 * In the reverse order, because a driver may be built on a pool that it made in its create, which is older than
	 * the driver's own pool, and its callback may use that pool.
	 */
	while (oldest && oldest->next)
		oldest = oldest->next;
	for (struct zpool *pool = oldest; pool; pool = pool->previous) {
		call_fork(pool, child ? ZPOOL_FORK_CHILD : ZPOOL_FORK_PARENT);
		zp_pool_unlock_limit(pool);
		/* The threads that had pinned the pool do not exist in the child. */
		if (child)
			pool->pins = 0;
		if (child && !can_follow(pool))
			orphan(pool);
	}
	if (child) {
		(void)zp_thread_exit_drop(is_unusable, NULL);
		unpinned = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
	}
	pthread_mutex_unlock(&lock);
}
