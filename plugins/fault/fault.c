/* SPDX-License-Identifier: MIT
 *
 * fault - a filter that makes calls fail
 *
 * Programs seldom meet a full pool, a map that is refused, or an eviction that fails, so that their code for these
 * cases is seldom run.  As a layer above any driver, fault makes the nth or a share of all mallocs, maps or evictions
 * fail in ways that the driver itself could fail, and forwards all other calls.
 *
 * Each of the three kinds has a counter of its calls.  A call fails if its number is `nth`, or if a hash of seed, kind
 * and number is below `share` in a thousand.  So with the same seed, the same calls in the same order fail again; with
 * several threads, the same number of calls fail, but not necessarily the same ones.  Setting one of a kind's two
 * parameters restarts its counter.
 *
 * Failed mallocs return -ENOMEM, and failed maps NULL with ENOMEM; zpool_obj_read() and zpool_obj_write() count as
 * maps.  For a failed eviction the owner's callback is not called, and the driver is informed that the object stays.
 *
 * Handles are those of the driver below, hidden by a veil (filter.h).  There is no lock.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "create.h"
#include "filter.h"
#include "secret.h"

enum fault_kind { FAULT_MALLOC, FAULT_MAP, FAULT_EVICT, FAULT_KINDS };
enum { FAULT_SHARE_ALL = 1000 };

/* Indexes of the parameters: nth and share of each kind, then the seed. */
enum { FAULT_PARAM_SEED = 2 * FAULT_KINDS, FAULT_PARAMS };

#define NTH_PARAM(key_, what)                                                                                          \
	{                                                                                                              \
		.key = (key_),                                                                                         \
		.help = "the number of the " what " that fails, counted from the time when this was set; 0: none",     \
		.default_value = "0", .max = UINT64_MAX, .type = ZPOOL_PARAM_UINT, .flags = ZPOOL_PARAM_RUNTIME        \
	}
#define SHARE_PARAM(key_, what)                                                                                        \
	{                                                                                                              \
		.key = (key_), .help = "how many " what " in a thousand fail, at random", .default_value = "0",        \
		.max = FAULT_SHARE_ALL, .type = ZPOOL_PARAM_UINT, .flags = ZPOOL_PARAM_RUNTIME                         \
	}

static const struct zpool_param fault_params[FAULT_PARAMS] = {
	NTH_PARAM("malloc_nth", "malloc"),
	SHARE_PARAM("malloc_share", "mallocs"),
	NTH_PARAM("map_nth", "map"),
	SHARE_PARAM("map_share", "maps"),
	NTH_PARAM("evict_nth", "eviction"),
	SHARE_PARAM("evict_share", "evictions"),
	[FAULT_PARAM_SEED] = {
		.key = "seed",
		.help = "the seed of the random choice",
		.default_value = "1",
		.max = UINT64_MAX,
		.type = ZPOOL_PARAM_UINT,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

static const char *const fault_names[FAULT_KINDS] = { "malloc", "map", "eviction" };

struct fault_plan {
	_Atomic(uint64_t) nth;
	_Atomic(uint64_t) share; /* in a thousand */
	_Atomic(uint64_t) calls;
	_Atomic(uint64_t) failed;
};

struct fault_pool {
	struct zp_filter filter; /* first: callbacks of filter.h take the pool */
	struct fault_plan plans[FAULT_KINDS];
	_Atomic(uint64_t) seed;
};

/* Counts a call, and returns true if it has to fail. */
static bool fault_due(struct fault_pool *pool, enum fault_kind kind)
{
	struct fault_plan *plan = &pool->plans[kind];
	uint64_t nth = atomic_load_explicit(&plan->nth, memory_order_relaxed);
	uint64_t share = atomic_load_explicit(&plan->share, memory_order_relaxed);
	uint64_t number, hash;

	if (!nth && !share)
		return false;
	number = atomic_fetch_add_explicit(&plan->calls, 1, memory_order_relaxed) + 1;
	hash = zp_mix(zp_mix(atomic_load_explicit(&pool->seed, memory_order_relaxed) + kind) + number);
	if (number != nth && hash % FAULT_SHARE_ALL >= share)
		return false;
	atomic_fetch_add_explicit(&plan->failed, 1, memory_order_relaxed);
	pool->filter.host->error(pool->filter.core,
				 "Filter \"fault\" made %s number %llu fail, as its parameters demand.",
				 fault_names[kind], (unsigned long long)number);
	return true;
}

static int fault_evict(void *pool_, unsigned long below)
{
	struct fault_pool *pool = pool_;

	return fault_due(pool, FAULT_EVICT) ? -EBUSY : zp_filter_evict(&pool->filter, below);
}

static int fault_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct fault_pool *pool = pool_;
	struct fault_plan *plan = &pool->plans[index / 2 % FAULT_KINDS];

	if (index == FAULT_PARAM_SEED) {
		atomic_store_explicit(&pool->seed, value->number, memory_order_relaxed);
		return 0;
	}
	atomic_store_explicit(&plan->calls, 0, memory_order_relaxed);
	atomic_store_explicit(index % 2 ? &plan->share : &plan->nth, value->number, memory_order_relaxed);
	return 0;
}

static int fault_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct fault_pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool)
		return -ENOMEM;
	for (uint32_t i = 0; i < FAULT_PARAMS; i++)
		(void)fault_set(pool, i, zp_create_value(args, i));
	err = zp_filter_init(&pool->filter, args, out, fault_evict);
	if (err)
		goto free_pool;
	err = zp_filter_limit(&pool->filter, args->limit_bytes, sizeof(*pool));
	if (err)
		goto fini_filter;
	out->pool = pool;
	return 0;

fini_filter:
	zp_filter_fini(&pool->filter);
free_pool:
	free(pool);
	return err;
}

static int fault_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct fault_pool *pool = pool_;

	return zp_filter_limit(&pool->filter, limit_bytes, sizeof(*pool));
}

static void fault_destroy(void *pool_)
{
	struct fault_pool *pool = pool_;

	zp_filter_fini(&pool->filter);
	free(pool);
}

static uint64_t fault_total_size(void *pool)
{
	return zp_filter_total_size(pool) + sizeof(struct fault_pool);
}

static int fault_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct fault_pool *pool = pool_;

	return fault_due(pool, FAULT_MALLOC) ? -ENOMEM : zp_filter_malloc(&pool->filter, size, gfp, handle);
}

static void *fault_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct fault_pool *pool = pool_;

	if (!fault_due(pool, FAULT_MAP))
		return zp_filter_map(&pool->filter, handle, mode);
	errno = ENOMEM;
	return NULL;
}

static int64_t fault_read(void *pool_, unsigned long handle, void *buf, size_t len, size_t offset)
{
	struct fault_pool *pool = pool_;

	return fault_due(pool, FAULT_MAP) ? -ENOMEM : zp_filter_read(&pool->filter, handle, buf, len, offset);
}

static int64_t fault_write(void *pool_, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct fault_pool *pool = pool_;

	return fault_due(pool, FAULT_MAP) ? -ENOMEM : zp_filter_write(&pool->filter, handle, buf, len, offset);
}

static int fault_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct fault_pool *pool = pool_;
	struct zpool_stats now = { 0 };
	int err = zp_filter_stats(&pool->filter, &now, sizeof(now));

	if (err)
		return err;
	now.malloc_failed_memory += atomic_load_explicit(&pool->plans[FAULT_MALLOC].failed, memory_order_relaxed);
	now.pool_bytes += sizeof(*pool);
	now.pool_bytes_peak += sizeof(*pool);
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}

ZPOOL_DRIVER_DEFINE(fault, ZPOOL_VERSION, "filter: makes mallocs, maps and evictions fail",
		    .flags_required = ZPOOL_DRIVER_FILTER, .flags_ignorable = ZP_FILTER_FLAGS, .params = fault_params,
		    .param_count = FAULT_PARAMS, .max_object_bytes = ZP_FILTER_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZP_FILTER_ALIGNMENT_BYTES, .create = fault_create, .destroy = fault_destroy,
		    .malloc = fault_malloc, .free = zp_filter_free, .total_size = fault_total_size, .map = fault_map,
		    .unmap = zp_filter_unmap, .read = fault_read, .write = fault_write, .shrink = zp_filter_shrink,
		    .compact = zp_filter_compact, .obj_size = zp_filter_obj_size, .stats = fault_stats,
		    .each_class = zp_filter_each_class, .each_object = zp_filter_each_object, .set = fault_set,
		    .set_limit = fault_set_limit, .trim = zp_filter_trim, .fork = zp_filter_fork)
