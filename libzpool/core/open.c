/* SPDX-License-Identifier: MIT
 *
 * Creating a pool, from a spec to a stack of layers, and destroying it; and zpool_has_pool().
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "core/fork.h"
#include "core/pool.h"
#include "core/pools.h"
#include "core/stack.h"
#include "core/verify.h"
#include "support/cancel.h"

/* the largest value that Linux supports */
enum { MAX_NODE = 1023 };

static _Atomic unsigned int pools_made;

/*
 * Copies the members that the caller's header knew over the defaults. Members that this library does not know must be
 * zero.
 */
static int take_args(const struct zpool_open_args *given, size_t size, struct zpool_open_args *args)
{
	*args = (struct zpool_open_args)ZPOOL_OPEN_ARGS_INIT;
	if (!given)
		return 0;
	if (size == 0)
		return zp_fail(EINVAL,
			       "zpool_open() was given arguments of size 0; give sizeof(struct zpool_open_args).");
	for (size_t i = sizeof(*args); i < size; i++)
		if (((const unsigned char *)given)[i])
			return zp_fail(
				E2BIG,
				"zpool_open() was given arguments from a newer version of zpool.h than this library knows (byte %zu of %zu is set); use a newer libzpool.",
				i, size);
	memcpy(args, given, size < sizeof(*args) ? size : sizeof(*args));
	return 0;
}

static int check_page_source(const struct zpool_page_source *source)
{
	if (!source)
		return 0;
	/* the size in the first release; later members may be missing */
	const size_t least = offsetof(struct zpool_page_source, release) + sizeof(source->release);
	if (source->struct_size < least || source->flags)
		return zp_fail(EINVAL,
			       "The page source has struct_size %u and flags 0x%x; this library supports %zu and 0.",
			       source->struct_size, source->flags, least);
	if (!source->reserve || !source->commit || !source->decommit || !source->release)
		return zp_fail(EINVAL,
			       "The page source lacks one of its functions reserve, commit, decommit and release.");
	return 0;
}

static int check_args(const struct zpool_open_args *args)
{
	if (args->gfp & ~ZPOOL_GFP_ALL)
		return zp_fail(EINVAL, "The pool was opened with unknown flags 0x%x.", args->gfp & ~ZPOOL_GFP_ALL);
	if (args->node < -1 || args->node > MAX_NODE)
		return zp_fail(EINVAL, "NUMA node %d is not valid: give a number from 0 to %d, or -1 for any node.",
			       args->node, MAX_NODE);
	return check_page_source(args->page_source);
}

/* The name is <type>-<number>, unless the caller chose one. */
static char *make_name(const struct zpool *pool)
{
	char digits[12], *digit = digits + sizeof(digits);
	const char *type = pool->spec.parts[pool->layer_count - 1].type;
	char *name, *end;

	if (pool->args.name)
		return strdup(pool->args.name);
	unsigned int number = atomic_fetch_add(&pools_made, 1);
	*--digit = '\0';
	do
		*--digit = (char)('0' + number % 10);
	while (number /= 10);
	*--digit = '-';
	name = malloc(strlen(type) + (size_t)(digits + sizeof(digits) - digit));
	if (name) {
		end = stpcpy(name, type);
		(void)strcpy(end, digit);
	}
	return name;
}

static void *map_unsupported(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)pool, (void)handle, (void)mode;
	errno = EOPNOTSUPP;
	return NULL;
}

static int unmap_unsupported(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return -EOPNOTSUPP;
}

/* Returns true if every layer enforces the limit itself; otherwise the core enforces it. */
static bool keeps_limit(const struct zpool *pool)
{
	for (unsigned int i = 0; i < pool->layer_count; i++)
		if (!pool->layers[i].driver->set_limit)
			return false;
	return true;
}

/* Copies the members that every call needs to the front of the pool. */
static void fill_front(struct zpool *pool)
{
	const struct zp_layer *top = zp_pool_top(pool);
	pool->driver_pool = top->created.pool;
	bool limited = !keeps_limit(pool);
	pool->malloc_context = limited ? (void *)pool : pool->driver_pool;
	pool->malloc = limited ? zp_pool_limited_malloc : top->driver->malloc;
	pool->core_limit_bytes = pool->limit_bytes;
	pool->free = top->driver->free;
	pool->map = top->driver->map ? top->driver->map : map_unsupported;
	pool->unmap = top->driver->unmap ? top->driver->unmap : unmap_unsupported;
	pool->max_object_bytes = top->created.max_object_bytes;
}

static int check_empty_size(struct zpool *pool)
{
	uint64_t size = zp_pool_top(pool)->driver->total_size(pool->driver_pool);
	if (!pool->limit_bytes || size <= pool->limit_bytes)
		return 0;
	return zp_fail(ENOMEM, "A limit of %llu byte%s is too low: the empty pool \"%s\" already holds %llu.",
		       (unsigned long long)pool->limit_bytes, ZPOOL_PLURAL(pool->limit_bytes), pool->name,
		       (unsigned long long)size);
}

static void pool_free(struct zpool *pool)
{
	zp_stack_destroy(pool);
	(void)pthread_mutex_destroy(&pool->core_limit_lock);
	zp_spec_clear(&pool->spec);
	free(pool->name);
	free(pool);
}

static struct zpool *open_pool(const char *text, const struct zpool_open_args *args,
			       int (*kernel_evict)(struct zpool *pool, unsigned long handle))
{
	struct zp_spec spec;
	int err = text ? zp_spec_parse(text, &spec) : zp_fail(EINVAL, "No spec was given: name a driver.");
	if (err)
		goto fail;

	/* Aligned so that the front fills one cache line. */
	size_t bytes = sizeof(struct zpool) + spec.part_count * sizeof(struct zp_layer);
	bytes = (bytes + 63) & ~(size_t)63;
	struct zpool *pool = aligned_alloc(64, bytes);
	if (!pool) {
		zp_spec_clear(&spec);
		err = zp_fail(ENOMEM, "Out of memory for a pool.");
		goto fail;
	}
	memset(pool, 0, bytes);
	(void)pthread_mutex_init(&pool->core_limit_lock, NULL);
	pool->spec = spec;
	pool->layer_count = spec.part_count;
	pool->args = *args;
	pool->kernel_evict = kernel_evict;
	pool->name = make_name(pool);
	pool->args.name = pool->name;
	err = pool->name ? zp_stack_resolve(pool) : zp_fail(ENOMEM, "Out of memory for a pool's name.");
	if (!err)
		err = zp_stack_create(pool);
	if (!err) {
		fill_front(pool);
		err = check_empty_size(pool);
	}
	if (err) {
		pool_free(pool);
		goto fail;
	}
	pool->opened = true;
	zp_pools_add(pool);
	if (!zp_fork_armed)
		zp_log(ZPOOL_LOG_WARNING, "Out of memory at start: pools may not work in forked children.");
	zp_log(ZPOOL_LOG_DEBUG, "Created pool \"%s\" from \"%s\".", pool->name, pool->spec.text);
	return pool;
fail:
	errno = -err;
	return NULL;
}

struct zpool *zpool_open(const char *spec, const struct zpool_open_args *args, size_t args_size)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zpool_open_args own;
	int err = take_args(args, args_size, &own);
	if (!err)
		err = check_args(&own);
	if (err) {
		errno = -err;
		return NULL;
	}
	return open_pool(spec, &own, NULL);
}

struct zpool *zpool_create_pool(const char *type, zpool_gfp_t gfp, const struct zpool_ops *ops)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.gfp = gfp;
	int err = check_args(&args);
	if (err) {
		errno = -err;
		return NULL;
	}
	return open_pool(type, &args, ops ? ops->evict : NULL);
}

bool zpool_has_pool(const char *type)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zp_spec spec;
	struct zp_record *record;

	int err = type ? zp_spec_parse(type, &spec) : zp_fail(EINVAL, "zpool_has_pool() was given no name.");
	if (err)
		return false;
	for (unsigned int i = 0; !err && i < spec.part_count; i++) {
		err = zp_registry_get(spec.parts[i].type, &record);
		if (err)
			break;
		err = zp_stack_check_place(&record->driver, i + 1 == spec.part_count);
		zp_registry_put(record);
	}
	zp_spec_clear(&spec);
	return !err;
}

void zpool_destroy_pool(struct zpool *pool)
{
	ZP_CANCEL_DISABLED_HERE;
	/*
	 * In a forked child, a driver without fork support must not be called, not even to destroy its pool; see
	 * orphan().
	 */
	if (!pool || pool->inherited)
		return;
	zp_pool_verify(pool, "the last call");
	zp_pools_remove(pool);
	pool_free(pool);
}
