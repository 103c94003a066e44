/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/stack.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/callback.h"
#include "base/error.h"
#include "base/log.h"
#include "core/page_source.h"
#include "core/param.h"
#include "core/pool.h"
#include "core/thread_exit.h"
#include "core/watched.h"

/* ------------------------------------------------------------------------------------------------------------------
 * The host table that drivers call; `core` is the layer of the driver
 */

__attribute__((format(printf, 3, 4))) static void host_log(void *core, enum zpool_log_level level, const char *format,
							   ...)
{
	const struct zp_layer *layer = core;
	char prefix[ZP_TYPE_BYTES + 80];
	va_list args;

	if ((int)level < ZPOOL_LOG_ERROR || level > ZPOOL_LOG_DEBUG)
		level = ZPOOL_LOG_ERROR;
	(void)snprintf(prefix, sizeof(prefix), "%s (%.64s): ", layer->driver->type, layer->pool->name);
	va_start(args, format);
	zp_vlog(level, prefix, format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void host_error(void *core, const char *format, ...)
{
	va_list args;
	(void)core;
	va_start(args, format);
	zp_error_from_driver(format, args);
	va_end(args);
}

static int host_thread_exit_add(void *core, void (*fn)(void *arg), void *arg)
{
	return zp_thread_exit_add(core, fn, arg);
}

static void host_thread_exit_cancel(void *core, void (*fn)(void *arg), void *arg)
{
	(void)core;
	zp_thread_exit_cancel(fn, arg);
}

static const void *host_malloc_caller(void *core)
{
	(void)core;
	return zp_pool_malloc_caller();
}

static int host_opened(void *core)
{
	const struct zp_layer *layer = core;

	return layer->pool->opened;
}

static int host_lower_create(void *core, int (*evict)(void *evict_context, unsigned long handle), void *evict_context,
			     struct zpool_lower *lower, size_t lower_size);
static void host_lower_destroy(void *core, struct zpool_lower *lower);

static const struct zpool_host host = {
	.struct_size = sizeof(host),
	.abi_minor = ZPOOL_ABI_MINOR,
	.log = host_log,
	.error = host_error,
	.thread_exit_add = host_thread_exit_add,
	.thread_exit_cancel = host_thread_exit_cancel,
	.lower_create = host_lower_create,
	.lower_destroy = host_lower_destroy,
	.malloc_caller = host_malloc_caller,
	.opened = host_opened,
};

/* ------------------------------------------------------------------------------------------------------------------
 * One layer
 */

static int check_created(const struct zp_layer *layer)
{
	const struct zpool_created *created = &layer->created;
	const char *fault = NULL;

	if (!created->pool)
		fault = "no pool";
	else if (created->max_object_bytes == 0)
		fault = "a largest object of 0 bytes";
	else if (created->alignment_bytes < 8 || (created->alignment_bytes & (created->alignment_bytes - 1)))
		fault = "an alignment that is not a power of two of at least 8";
	if (!fault)
		return 0;
	if (created->pool)
		layer->driver->destroy(created->pool);
	return zp_fail(EIO, "Driver \"%s\" created a pool with %s; this is a bug in the driver.", layer->driver->type,
		       fault);
}

static int layer_create(struct zp_layer *layer, int (*evict)(void *evict_context, unsigned long handle),
			void *evict_context)
{
	const struct zpool *pool = layer->pool;
	const struct zpool_driver *driver = layer->driver;
	const struct zpool_create_args args = {
		.struct_size = sizeof(args),
		.value_size = sizeof(struct zpool_value),
		.host = &host,
		.core = layer,
		.name = pool->name,
		.gfp = pool->args.gfp,
		.node = pool->args.node,
		.limit_bytes = pool->limit_bytes,
		.evict = evict,
		.evict_context = evict_context,
		.page_source = zp_page_source_of(layer->pool),
		.values = layer->values,
		.value_count = driver->param_count,
		.lower_spec = layer->index + 1 < pool->layer_count
				      ? pool->spec.text + pool->spec.parts[layer->index].rest
				      : NULL,
	};

	layer->evict = evict;
	layer->evict_context = evict_context;
	layer->created = (struct zpool_created){ .struct_size = sizeof(layer->created),
						 .caps = zp_driver_caps(driver),
						 .max_object_bytes = driver->max_object_bytes,
						 .alignment_bytes = driver->alignment_bytes };
	(void)zp_error_take_driver_text();
	int err = zp_driver_errno(driver->create(&args, &layer->created));
	if (err)
		return zp_error_take_driver_text() ? err
						   : zp_fail(-err, "Driver \"%s\" could not create a pool: %s.",
							     driver->type, strerror(-err));
	(void)zp_error_take_driver_text();
	err = check_created(layer);
	layer->live = !err;
	return err;
}

static void layer_destroy(struct zp_layer *layer)
{
	layer->live = false;
	layer->driver->destroy(layer->created.pool);
	layer->created.pool = NULL;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Below a filter
 */

static int lower_create(struct zp_layer *layer, int (*evict)(void *evict_context, unsigned long handle),
			void *evict_context, struct zpool_lower *lower, size_t lower_size)
{
	if (layer->index + 1 >= layer->pool->layer_count)
		return zp_fail(EINVAL, "Driver \"%s\" needs a driver below it, but the spec has none.",
			       layer->driver->type);
	struct zp_layer *below = layer + 1;
	if (below->live)
		return zp_fail(EBUSY, "Driver \"%s\" created the driver below it twice.", layer->driver->type);
	int err = layer_create(below, evict, evict_context);
	if (err)
		return err;
	const struct zpool_lower own = {
		.struct_size = sizeof(own),
		.caps = below->created.caps,
		.driver = below->driver,
		.pool = below->created.pool,
		.max_object_bytes = below->created.max_object_bytes,
		.alignment_bytes = below->created.alignment_bytes,
	};
	memset(lower, 0, lower_size);
	memcpy(lower, &own, lower_size < sizeof(own) ? lower_size : sizeof(own));
	return 0;
}

static int host_lower_create(void *core, int (*evict)(void *evict_context, unsigned long handle), void *evict_context,
			     struct zpool_lower *lower, size_t lower_size)
{
	int err = lower_create(core, evict, evict_context, lower, lower_size);
	if (err)
		zp_error_keep();
	return err;
}

static void host_lower_destroy(void *core, struct zpool_lower *lower)
{
	struct zp_layer *layer = core;
	struct zp_layer *below = layer + 1;
	if (layer->index + 1 < layer->pool->layer_count && below->live && below->created.pool == lower->pool)
		layer_destroy(below);
	lower->pool = NULL;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The stack
 */

static int take_limit(struct zpool *pool, const char *type, const char *text, bool *given)
{
	struct zpool_value value;
	if (!text)
		return 0;
	if (*given)
		return zp_fail(EINVAL,
			       "The spec gives the limit twice, but a single limit applies to the whole stack.");
	int err = zp_param_parse(type, &zp_limit_param, text, &value);
	if (err)
		return err;
	pool->limit_bytes = value.number;
	*given = true;
	return 0;
}

int zp_stack_check_place(const struct zpool_driver *driver, bool last)
{
	bool filter = driver->flags_required & ZPOOL_DRIVER_FILTER;
	if (filter && last)
		return zp_fail(EINVAL, "\"%s\" is a filter and needs a driver below it: %s+zbud, for example.",
			       driver->type, driver->type);
	if (!filter && !last)
		return zp_fail(EINVAL, "\"%s\" is not a filter: it can only be the last part of a spec.", driver->type);
	return 0;
}

/* A pool counts as one user of a driver, even if several of its parts have that type. */
static struct zp_record *record_of_part_above(const struct zpool *pool, unsigned int i)
{
	for (unsigned int above = 0; above < i; above++)
		if (strcmp(pool->spec.parts[above].type, pool->spec.parts[i].type) == 0)
			return pool->layers[above].record;
	return NULL;
}

static int resolve_part(struct zpool *pool, unsigned int i, bool *limit_given)
{
	struct zp_layer *layer = &pool->layers[i];
	const struct zp_spec_part *part = &pool->spec.parts[i];
	const char *limit_text;
	int err = 0;

	layer->record = record_of_part_above(pool, i);
	if (!layer->record)
		err = zp_registry_get(part->type, &layer->record);
	if (err)
		return err;
	layer->driver = &layer->record->driver;
	err = zp_stack_check_place(layer->driver, i + 1 == pool->layer_count);
	if (err)
		return err;
	err = zp_param_values(layer->driver, part, &layer->values, &limit_text);
	return err ? err : take_limit(pool, part->type, limit_text, limit_given);
}

int zp_stack_resolve(struct zpool *pool)
{
	bool limit_given = false;
	int err = 0;
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		pool->layers[i].pool = pool;
		pool->layers[i].index = i;
	}
	for (unsigned int i = 0; !err && i < pool->layer_count; i++)
		err = resolve_part(pool, i, &limit_given);
	return err;
}

static int ask_owner(struct zpool *pool, unsigned long handle)
{
	ZP_CALLBACK_HERE;
	if (pool->kernel_evict)
		return pool->kernel_evict(pool, handle);
	return pool->args.evict(pool, handle, pool->args.user);
}

/* How a driver evicts objects of the pool's owner. */
static int evict_to_owner(void *evict_context, unsigned long handle)
{
	if (!zp_pool_may_evict())
		return -EAGAIN;
	const struct zp_turn *turns = zp_pool_give_up_turns();
	int err = ask_owner(evict_context, handle);
	zp_pool_take_back_turns(turns);
	return err;
}

int zp_stack_create(struct zpool *pool)
{
	bool evicts = pool->kernel_evict || pool->args.evict;
	int err = layer_create(zp_pool_top(pool), evicts ? evict_to_owner : NULL, evicts ? pool : NULL);

	for (unsigned int i = 1; !err && i < pool->layer_count; i++)
		if (!pool->layers[i].live)
			err = zp_fail(EIO,
				      "Filter \"%s\" did not create the driver below it; this is a bug in the filter.",
				      pool->layers[i - 1].driver->type);
	if (!err && zp_watched_init(pool) != 0)
		err = zp_fail(ENOMEM, "Out of memory for a pool.");
	return err;
}

static bool is_same_layer(const void *core, const void *layer)
{
	return core == layer;
}

/* Nothing may point to a layer once its memory is freed, nor to the code of its driver once that may be unloaded. */
static void drop_hooks(const struct zp_layer *layer)
{
	unsigned int count = zp_thread_exit_drop(is_same_layer, layer);

	if (count)
		zp_log(ZPOOL_LOG_ERROR,
		       "Driver \"%s\" did not cancel %u of its thread-exit hooks; libzpool drops %s now.",
		       layer->driver->type, count, count == 1 ? "it" : "them");
}

void zp_stack_destroy(struct zpool *pool)
{
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		struct zp_layer *layer = &pool->layers[i];
		if (layer->live && i > 0)
			zp_log(ZPOOL_LOG_ERROR,
			       "Filter \"%s\" did not destroy the driver below it; libzpool destroys it now.",
			       pool->layers[i - 1].driver->type);
		if (layer->live)
			layer_destroy(layer);
	}
	for (unsigned int i = 0; i < pool->layer_count; i++)
		drop_hooks(&pool->layers[i]);
	for (unsigned int i = 0; i < pool->layer_count; i++) {
		free(pool->layers[i].values);
		if (pool->layers[i].record && !record_of_part_above(pool, i))
			zp_registry_put(pool->layers[i].record);
	}
	/* No later call may report what a driver said about its destroy. */
	(void)zp_error_take_driver_text();
}
