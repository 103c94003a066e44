/* SPDX-License-Identifier: MIT
 *
 * Functions that act on a whole pool: its names, its capabilities, its statistics, and the calls that return memory.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/callback.h"
#include "base/error.h"
#include "base/name.h"
#include "core/param.h"
#include "core/pool.h"
#include "core/verify.h"
#include "support/cancel.h"

static int fail_no_pool(const char *what)
{
	return zp_fail(EINVAL, "%s was given no pool.", what);
}

static int fail_inherited(const char *what)
{
	return zp_fail(EOPNOTSUPP, "%s: this pool belongs to the parent process; its driver does not support fork().",
		       what);
}

static int fail_unsupported(const char *what, const struct zpool *pool)
{
	return zp_fail(EOPNOTSUPP, "%s: driver \"%s\" does not support this call.", what, pool->layers[0].driver->type);
}

/*
 * Checks that the pool can be used. Returns 0, or -errno with the error text set. A sentence that a driver left during
 * an earlier call, which succeeded in the end, is discarded.
 */
static int check_pool(const struct zpool *pool, const char *what)
{
	(void)zp_error_take_driver_text();
	if (!pool)
		return fail_no_pool(what);
	return pool->inherited ? fail_inherited(what) : 0;
}

/* Reports a driver's failure, in the driver's words if it left a sentence. */
static int driver_failed(const struct zpool_driver *driver, const char *what, int err)
{
	err = zp_driver_errno(err);
	if (zp_error_take_driver_text())
		return err;
	return zp_fail(-err, "%s: driver \"%s\" failed: %s.", what, driver->type, strerror(-err));
}

const char *zpool_get_type(struct zpool *pool)
{
	if (!pool)
		return zp_fail_null(EINVAL, "zpool_get_type() was given no pool.");
	return pool->spec.parts[pool->layer_count - 1].type;
}

const char *zpool_get_spec(struct zpool *pool)
{
	return pool ? pool->spec.text : zp_fail_null(EINVAL, "zpool_get_spec() was given no pool.");
}

const char *zpool_get_name(struct zpool *pool)
{
	return pool ? pool->name : zp_fail_null(EINVAL, "zpool_get_name() was given no pool.");
}

uint64_t zpool_get_total_size(struct zpool *pool)
{
	int err = check_pool(pool, "zpool_get_total_size()");
	if (err) {
		errno = -err;
		return 0;
	}
	return zp_pool_top(pool)->driver->total_size(pool->driver_pool);
}

size_t zpool_max_object_size(struct zpool *pool)
{
	if (pool)
		return pool->max_object_bytes;
	errno = -fail_no_pool("zpool_max_object_size()");
	return 0;
}

size_t zpool_alignment(struct zpool *pool)
{
	if (pool)
		return zp_pool_top(pool)->created.alignment_bytes;
	errno = -fail_no_pool("zpool_alignment()");
	return 0;
}

int zpool_set_limit(struct zpool *pool, uint64_t limit_bytes)
{
	ZP_CANCEL_DISABLED_HERE;
	int err = check_pool(pool, "zpool_set_limit()");
	if (err)
		return err;
	atomic_store(&pool->core_limit_bytes, limit_bytes);
	/*
	 * The layers are visited from the bottom upwards, because a filter that holds memory itself lowers the limit of
	 * the driver below.
	 */
	for (unsigned int i = pool->layer_count; !err && i-- > 0;) {
		const struct zp_layer *layer = &pool->layers[i];
		if (layer->driver->set_limit)
			err = layer->driver->set_limit(layer->created.pool, limit_bytes);
		if (err)
			err = driver_failed(layer->driver, "zpool_set_limit()", err);
	}
	if (!err)
		zp_pool_verify(pool, "zpool_set_limit()");
	return err;
}

/* Returns the layer that a key is meant for: the one named in `part.key`, or else the first that has the key. */
static struct zp_layer *layer_of_key(struct zpool *pool, const char *key, const char **bare, int *index)
{
	const char *dot = strchr(key, '.');
	char part[ZP_TYPE_BYTES];

	*bare = dot ? dot + 1 : key;
	if (dot && !zp_type_parse(key, (size_t)(dot - key), part))
		return NULL;
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		if (dot && strcmp(pool->spec.parts[i].type, part) != 0)
			continue;
		*index = zp_param_find(pool->layers[i].driver, *bare);
		if (*index >= 0 || strcmp(*bare, ZP_LIMIT_KEY) == 0)
			return &pool->layers[i];
	}
	return NULL;
}

static int set_limit_text(struct zpool *pool, const char *text)
{
	struct zpool_value value;
	int err = zp_param_parse(zpool_get_type(pool), &zp_limit_param, text, &value);
	return err ? err : zpool_set_limit(pool, value.number);
}

int zpool_set_param(struct zpool *pool, const char *key, const char *text)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_set_param()";
	struct zpool_value value;
	const char *bare;
	int index = -1;

	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!key || !text)
		return zp_fail(EINVAL, "%s was given no %s.", what, key ? "value" : "key");
	const struct zp_layer *layer = layer_of_key(pool, key, &bare, &index);
	if (!layer)
		return zp_param_fail_unknown(pool->layers[pool->layer_count - 1].driver, key);
	if (index < 0)
		return set_limit_text(pool, text);
	const struct zpool_param *param = &layer->driver->params[index];
	err = zp_param_parse(layer->driver->type, param, text, &value);
	if (err)
		return err;
	if (!layer->driver->set || !(param->flags & ZPOOL_PARAM_RUNTIME))
		return zp_fail(EOPNOTSUPP,
			       "Parameter \"%s\" of driver \"%s\" cannot be changed after the pool is created.",
			       param->key, layer->driver->type);
	value.given = 1;
	err = layer->driver->set(layer->created.pool, (uint32_t)index, &value);
	zp_pool_verify(pool, what);
	return err ? driver_failed(layer->driver, what, err) : 0;
}

int zpool_shrink(struct zpool *pool, unsigned int pages, unsigned int *reclaimed)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_shrink()";
	unsigned int done = 0;

	if (reclaimed)
		*reclaimed = 0;
	int err = check_pool(pool, what);
	if (err)
		return err;
	if (pages == 0)
		return zp_fail(EINVAL, "%s was asked for 0 pages.", what);
	if (!zpool_evictable(pool))
		return zp_fail(EINVAL, "%s: %s.", what,
			       zp_pool_top(pool)->evict ? "the pool's driver does not support eviction"
							: "the pool was created without an evict callback");
	err = zp_pool_top(pool)->driver->shrink(pool->driver_pool, pages, &done);
	zp_pool_verify(pool, what);
	if (reclaimed)
		*reclaimed = done;
	if (!err)
		return 0;
	err = zp_driver_errno(err);
	if (zp_error_take_driver_text())
		return err;
	if (err == -EAGAIN)
		return zp_fail(EAGAIN, "%s: after %u of %u page%s, none of the remaining candidates could be evicted.",
			       what, done, pages, ZPOOL_PLURAL(pages));
	if (err == -EINVAL)
		return zp_fail(EINVAL, "%s: after %u of %u page%s nothing was left to evict.", what, done, pages,
			       ZPOOL_PLURAL(pages));
	return driver_failed(zp_pool_top(pool)->driver, what, err);
}

int zpool_compact(struct zpool *pool, uint64_t budget_bytes, uint64_t budget_ns, uint64_t *released)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_compact()";
	const struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = budget_bytes, .ns = budget_ns };
	uint64_t done = 0;

	if (released)
		*released = 0;
	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!zp_pool_top(pool)->driver->compact)
		return fail_unsupported(what, pool);
	err = zp_pool_top(pool)->driver->compact(pool->driver_pool, &budget, &done);
	zp_pool_verify(pool, what);
	if (released)
		*released = done;
	return err < 0 || err > 1 ? driver_failed(zp_pool_top(pool)->driver, what, err) : err;
}

int zpool_trim(struct zpool *pool, uint64_t *released)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_trim()";
	uint64_t done = 0;

	if (released)
		*released = 0;
	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!zp_pool_top(pool)->driver->trim)
		return fail_unsupported(what, pool);
	err = zp_pool_top(pool)->driver->trim(pool->driver_pool, &done);
	zp_pool_verify(pool, what);
	if (released)
		*released = done;
	return err ? driver_failed(zp_pool_top(pool)->driver, what, err) : 0;
}

static bool has_cap(const struct zpool *pool, uint32_t cap)
{
	return pool && !pool->inherited && (pool->layers[0].created.caps & cap);
}

bool zpool_evictable(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_EVICT) && zp_pool_top(pool)->driver->shrink && zp_pool_top(pool)->evict;
}

bool zpool_can_sleep_mapped(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_SLEEP_MAPPED);
}

bool zpool_malloc_support_movable(struct zpool *pool)
{
	return has_cap(pool, ZPOOL_CAP_MOVABLE);
}

/* The core counts refused handles for every driver, because it sees each refusal before the caller does. */
static void add_core_stats(struct zpool *pool, struct zpool_stats *stats)
{
	uint64_t refused_handles = atomic_load_explicit(&pool->refused_handles, memory_order_relaxed);

	stats->malloc_failed_limit += atomic_load_explicit(&pool->failed_limit, memory_order_relaxed);
	stats->malloc_failed_again += atomic_load_explicit(&pool->failed_again, memory_order_relaxed);
	if (stats->refused_handles < refused_handles)
		stats->refused_handles = refused_handles;
}

int zp_layer_stats(const struct zp_layer *layer, struct zpool_stats *stats)
{
	*stats = (struct zpool_stats){ 0 };
	if (!layer->driver->stats)
		return -EOPNOTSUPP;
	int err = layer->driver->stats(layer->created.pool, stats, sizeof(*stats));
	if (!err && layer->index == 0)
		add_core_stats(layer->pool, stats);
	return err;
}

int zpool_get_stats(struct zpool *pool, struct zpool_stats *stats, size_t stats_size)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_get_stats()";
	struct zpool_stats own;

	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!stats || stats_size == 0)
		return zp_fail(EINVAL, "%s was given no buffer for the statistics.", what);
	if (!zp_pool_top(pool)->driver->stats)
		return fail_unsupported(what, pool);
	err = zp_layer_stats(zp_pool_top(pool), &own);
	if (err)
		return driver_failed(zp_pool_top(pool)->driver, what, err);
	memset(stats, 0, stats_size);
	memcpy(stats, &own, stats_size < sizeof(own) ? stats_size : sizeof(own));
	return 0;
}

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
	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!fn)
		return zp_fail(EINVAL, "%s was given no function.", what);
	if (!zp_pool_top(pool)->driver->each_class)
		return fail_unsupported(what, pool);
	return zp_pool_top(pool)->driver->each_class(pool->driver_pool, visit_class, &visit);
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
	int err = check_pool(pool, what);
	if (err)
		return err;
	if (!fn)
		return zp_fail(EINVAL, "%s was given no function.", what);
	if (!zp_pool_top(pool)->driver->each_object)
		return fail_unsupported(what, pool);
	return zp_pool_top(pool)->driver->each_object(pool->driver_pool, visit_object, &visit);
}
