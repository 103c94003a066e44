/* SPDX-License-Identifier: MIT
 *
 * What can be changed while a pool lives: its limit and its parameters.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/name.h"
#include "core/calls.h"
#include "core/param.h"
#include "core/pool.h"
#include "core/verify.h"
#include "support/cancel.h"

/*
 * For a pool whose limit the core enforces. Memory that the driver still has from a malloc beyond the old limit is not
 * part of the size that the pool may keep.
 */
static void set_kept_size(struct zpool *pool)
{
	uint64_t before = atomic_load(&pool->core_limit_bytes), kept = atomic_load(&pool->core_kept_bytes);
	uint64_t allowed = !before ? UINT64_MAX : kept > before ? kept : before;
	uint64_t size = zp_pool_top(pool)->driver->total_size(pool->driver_pool);

	atomic_store(&pool->core_kept_bytes, size < allowed ? size : allowed);
}

int zpool_set_limit(struct zpool *pool, uint64_t limit_bytes)
{
	ZP_CANCEL_DISABLED_HERE;
	int err = zp_call_begin(pool, "zpool_set_limit()");
	if (err)
		return err;
	/*
	 * A filter with set_limit passes the limit on, less the memory that it holds itself. The layer below it must
	 * not be given the whole limit even for a moment: another thread's malloc would use it.
	 */
	for (unsigned int i = 0; !err && i < pool->layer_count; i++) {
		const struct zp_layer *layer = &pool->layers[i];
		if (!layer->driver->set_limit || (i > 0 && layer[-1].driver->set_limit))
			continue;
		err = layer->driver->set_limit(layer->created.pool, limit_bytes);
		if (err)
			err = zp_call_driver_failed(layer->driver, "zpool_set_limit()", err);
	}
	if (err)
		return err;
	if (pool->malloc == zp_pool_limited_malloc)
		set_kept_size(pool);
	/* For a driver with a limit of its own, only zpool_dump() reads this. */
	atomic_store(&pool->core_limit_bytes, limit_bytes);
	zp_pool_verify(pool, "zpool_set_limit()");
	return zp_call_end(0);
}

/*
 * Finds the layer that a key is meant for: the one named in `part.key`, or else the first that has the key. *index is
 * that of the parameter, or -1 for the limit. Returns 0, or -EINVAL with the error text set.
 */
static int find_layer(struct zpool *pool, const char *key, const struct zp_layer **layer, int *index)
{
	const char *dot = strchr(key, '.'), *bare = dot ? dot + 1 : key;
	size_t part_length = dot ? (size_t)(dot - key) : 0;
	char part[ZP_TYPE_BYTES];

	*layer = NULL;
	if (dot && !zp_type_parse(key, part_length, part))
		part[0] = '\0'; /* No part has this name. */
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		if (dot && strcmp(pool->spec.parts[i].type, part) != 0)
			continue;
		*layer = &pool->layers[i];
		*index = zp_param_find((*layer)->driver, bare);
		if (*index >= 0 || strcmp(bare, ZP_LIMIT_KEY) == 0)
			return 0;
	}
	if (*layer)
		return zp_param_fail_unknown((*layer)->driver, bare);
	return zp_fail(
		EINVAL,
		"Pool \"%.200s\" has no part \"%.*s\", which the key \"%.64s\" names; give the name of a part before the dot.",
		pool->spec.text, (int)(part_length < sizeof(part) ? part_length : sizeof(part)), key, key);
}

static int set_limit_text(struct zpool *pool, const char *text)
{
	struct zpool_value value;
	int err = zp_param_parse(zpool_get_type(pool), &zp_limit_param, text, &value);
	return err ? err : zpool_set_limit(pool, value.number);
}

int zpool_set_param(struct zpool *pool, const char *key, const char *value)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_set_param()";
	struct zpool_value parsed;
	const struct zp_layer *layer;
	int index = -1;

	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!key || !value)
		return zp_fail(EINVAL, "%s was given no %s.", what, key ? "value" : "key");
	err = find_layer(pool, key, &layer, &index);
	if (err)
		return err;
	if (index < 0)
		return set_limit_text(pool, value);
	const struct zpool_param *param = &layer->driver->params[index];
	err = zp_param_parse(layer->driver->type, param, value, &parsed);
	if (err)
		return err;
	if (!layer->driver->set || !(param->flags & ZPOOL_PARAM_RUNTIME))
		return zp_fail(EOPNOTSUPP,
			       "Parameter \"%s\" of driver \"%s\" cannot be changed after the pool is created.",
			       param->key, layer->driver->type);
	parsed.given = 1;
	err = layer->driver->set(layer->created.pool, (uint32_t)index, &parsed);
	zp_pool_verify(pool, what);
	return err ? zp_call_driver_failed(layer->driver, what, err) : zp_call_end(0);
}
