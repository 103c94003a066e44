/* SPDX-License-Identifier: MIT
 *
 * Support for hosts that are built with the thread sanitizer when the library is not
 *
 * The sanitizer sees what the host does to objects, and calls of memcpy() and similar functions inside the drivers, but
 * not the locks and atomics with which the drivers share memory between threads. A slot that one thread freed and
 * another thread allocated therefore looks like a data race. In such processes, and only there, the callbacks of the
 * top driver are replaced by the ones in this file. They make the sanitizer ignore accesses while a driver runs, and
 * declare that everything a thread did before it returned memory to the pool (free, unmap, write) happens before what
 * other threads do with memory from the pool (malloc, map, read). Ordinary processes pay nothing, because their pools
 * have the driver's own callbacks.
 *
 * The sanitizer then sees the order that a single lock per pool would create. This can hide a race of the host between
 * two threads that use the pool in between, but never reports a race that does not exist.
 *
 * Drivers that the program registers are compiled with the host, so the sanitizer sees their locks and they are not
 * wrapped.
 */
#include <config.h>

#include "core/watched.h"

#include <errno.h>
#include <stdlib.h>

#include "base/callback.h"

/* takes the place of the driver's pool */
struct watched {
	struct zpool *pool;
	const struct zpool_driver *driver; /* the real driver and its pool */
	void *driver_pool;
	struct zpool_driver shim; /* the driver with the callbacks of this file */
};

/* The result of the real driver's call, made while the sanitizer ignores accesses. */
#define UNSEEN(watched, call)                                                                                          \
	__extension__({                                                                                                \
		zp_sanitizer_look_away();                                                                              \
		__auto_type unseen_result = (watched)->driver->call;                                                   \
		zp_sanitizer_look_again();                                                                             \
		unseen_result;                                                                                         \
	})

static int watched_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct watched *watched = pool;
	int err = UNSEEN(watched, malloc(watched->driver_pool, size, gfp, handle));

	zp_sanitizer_acquire(watched->pool);
	return err;
}

static int watched_free(void *pool, unsigned long handle)
{
	struct watched *watched = pool;

	zp_sanitizer_release(watched->pool);
	return UNSEEN(watched, free(watched->driver_pool, handle));
}

static void *watched_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	struct watched *watched = pool;
	void *address = UNSEEN(watched, map(watched->driver_pool, handle, mode));

	zp_sanitizer_acquire(watched->pool);
	return address;
}

static int watched_unmap(void *pool, unsigned long handle)
{
	struct watched *watched = pool;

	zp_sanitizer_release(watched->pool);
	return UNSEEN(watched, unmap(watched->driver_pool, handle));
}

static int64_t watched_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	struct watched *watched = pool;

	return UNSEEN(watched, read(watched->driver_pool, handle, buf, len, offset));
}

static int64_t watched_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct watched *watched = pool;

	return UNSEEN(watched, write(watched->driver_pool, handle, buf, len, offset));
}

static uint64_t watched_total_size(void *pool)
{
	struct watched *watched = pool;

	return UNSEEN(watched, total_size(watched->driver_pool));
}

static int watched_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	struct watched *watched = pool;

	return UNSEEN(watched, shrink(watched->driver_pool, pages, reclaimed));
}

static int watched_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	struct watched *watched = pool;

	return UNSEEN(watched, compact(watched->driver_pool, budget, released));
}

static int64_t watched_obj_size(void *pool, unsigned long handle)
{
	struct watched *watched = pool;

	return UNSEEN(watched, obj_size(watched->driver_pool, handle));
}

static int watched_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct watched *watched = pool;

	return UNSEEN(watched, stats(watched->driver_pool, stats, stats_size));
}

static int watched_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			      void *user)
{
	struct watched *watched = pool;

	return UNSEEN(watched, each_class(watched->driver_pool, fn, user));
}

static int watched_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct watched *watched = pool;

	return UNSEEN(watched, each_object(watched->driver_pool, fn, user));
}

static int watched_set(void *pool, uint32_t index, const struct zpool_value *value)
{
	struct watched *watched = pool;

	return UNSEEN(watched, set(watched->driver_pool, index, value));
}

static int watched_set_limit(void *pool, uint64_t limit_bytes)
{
	struct watched *watched = pool;

	return UNSEEN(watched, set_limit(watched->driver_pool, limit_bytes));
}

static int watched_trim(void *pool, uint64_t *released)
{
	struct watched *watched = pool;

	return UNSEEN(watched, trim(watched->driver_pool, released));
}

static int watched_verify(void *pool)
{
	struct watched *watched = pool;

	return UNSEEN(watched, verify(watched->driver_pool));
}

static void watched_fork(void *pool, enum zpool_fork_phase phase)
{
	struct watched *watched = pool;

	watched->driver->fork(watched->driver_pool, phase);
}

static void watched_destroy(void *pool)
{
	struct watched *watched = pool;

	zp_sanitizer_look_away();
	watched->driver->destroy(watched->driver_pool);
	zp_sanitizer_look_again();
	free(watched);
}

/* A callback that the driver lacks stays NULL. */
#define REPLACE(shim, member) ((shim)->member = (shim)->member ? watched_##member : NULL)

static void replace_callbacks(struct zpool_driver *shim)
{
	REPLACE(shim, destroy);
	REPLACE(shim, malloc);
	REPLACE(shim, free);
	REPLACE(shim, total_size);
	REPLACE(shim, map);
	REPLACE(shim, unmap);
	REPLACE(shim, read);
	REPLACE(shim, write);
	REPLACE(shim, shrink);
	REPLACE(shim, compact);
	REPLACE(shim, obj_size);
	REPLACE(shim, stats);
	REPLACE(shim, each_class);
	REPLACE(shim, each_object);
	REPLACE(shim, set);
	REPLACE(shim, set_limit);
	REPLACE(shim, trim);
	REPLACE(shim, fork);
	REPLACE(shim, verify);
}

static bool has_registered_driver(const struct zpool *pool)
{
	for (unsigned int i = 0; i < pool->layer_count; i++)
		if (pool->layers[i].record->origin == ZPOOL_ORIGIN_REGISTERED)
			return true;
	return false;
}

int zp_watched_init(struct zpool *pool)
{
	struct zp_layer *top = zp_pool_top(pool);

	if (!zp_sanitizer_watches() || has_registered_driver(pool))
		return 0;
	struct watched *watched = malloc(sizeof(*watched));
	if (!watched)
		return -ENOMEM;
	*watched = (struct watched){ pool, top->driver, top->created.pool, *top->driver };
	replace_callbacks(&watched->shim);
	top->driver = &watched->shim;
	top->created.pool = watched;
	return 0;
}
