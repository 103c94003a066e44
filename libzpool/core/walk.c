/* SPDX-License-Identifier: MIT
 *
 * The walks over the size classes and the objects of a pool.
 */
#include <config.h>

#include <errno.h>

#include "base/callback.h"
#include "base/error.h"
#include "core/calls.h"
#include "core/pool.h"
#include "support/cancel.h"

struct class_visit {
	int (*fn)(const struct zpool_class_stats *stats, size_t stats_size, void *user);
	void *user;
};

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	const struct class_visit *visit = user;
	ZP_CALLBACK_HERE;
	return visit->fn(stats, stats_size, visit->user);
}

int zpool_each_class(struct zpool *pool,
		     int (*fn)(const struct zpool_class_stats *stats, size_t stats_size, void *user), void *user)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_each_class()";
	struct class_visit visit = { fn, user };
	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!fn)
		return zp_fail(EINVAL, "%s was given no function.", what);
	if (!zp_pool_top(pool)->driver->each_class)
		return zp_call_fail_unsupported(what, pool);
	return zp_call_end(zp_pool_top(pool)->driver->each_class(pool->driver_pool, visit_class, &visit));
}

/* Passes the pool to the caller's function along with the object. */
struct visit {
	struct zpool *pool;
	int (*fn)(struct zpool *pool, unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long handle, size_t size, void *user)
{
	const struct visit *visit = user;
	ZP_CALLBACK_HERE;
	return visit->fn(visit->pool, handle, size, visit->user);
}

int zpool_each_object(struct zpool *pool, int (*fn)(struct zpool *pool, unsigned long handle, size_t size, void *user),
		      void *user)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_each_object()";
	struct visit visit = { pool, fn, user };
	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!fn)
		return zp_fail(EINVAL, "%s was given no function.", what);
	if (!zp_pool_top(pool)->driver->each_object)
		return zp_call_fail_unsupported(what, pool);
	return zp_call_end(zp_pool_top(pool)->driver->each_object(pool->driver_pool, visit_object, &visit));
}
