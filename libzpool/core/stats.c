/* SPDX-License-Identifier: MIT
 *
 * The statistics of a pool, and the table of their members for programs that show them.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "core/calls.h"
#include "core/pool.h"
#include "support/cancel.h"

#define COUNT(name, label)                                                                                             \
	{                                                                                                              \
#name, label, offsetof(struct zpool_stats, name), ZPOOL_UNIT_COUNT                                     \
	}
#define BYTES(name, label)                                                                                             \
	{                                                                                                              \
#name, label, offsetof(struct zpool_stats, name), ZPOOL_UNIT_BYTES                                     \
	}

static const struct zpool_stats_member members[] = {
	COUNT(objects, "objects"),
	BYTES(stored_bytes, "stored in them"),
	BYTES(pool_bytes, "held"),
	BYTES(pool_bytes_peak, "held at most"),
	COUNT(pages, "pages"),
	COUNT(free_slots, "free slots"),
	COUNT(mapped_handles, "handles mapped"),
	COUNT(compactions, "compactions"),
	BYTES(compact_moved_bytes, "moved by compaction"),
	BYTES(compact_released_bytes, "released by compaction"),
	COUNT(evictions, "evictions"),
	COUNT(evict_refused, "evictions refused"),
	COUNT(malloc_failed_limit, "mallocs failed: limit"),
	COUNT(malloc_failed_memory, "mallocs failed: no memory"),
	COUNT(malloc_failed_again, "mallocs failed: lock taken"),
	COUNT(refused_handles, "handles refused"),
	COUNT(errors, "errors found"),
};
enum { MEMBER_COUNT = sizeof(members) / sizeof(*members) };

_Static_assert(MEMBER_COUNT * sizeof(uint64_t) == sizeof(struct zpool_stats),
	       "each member of struct zpool_stats needs its line in this table");

const struct zpool_stats_member *zpool_stats_member(unsigned int index)
{
	return index < MEMBER_COUNT ? &members[index] : NULL;
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

	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!stats || stats_size == 0)
		return zp_fail(EINVAL, "%s was given no buffer for the statistics.", what);
	if (!zp_pool_top(pool)->driver->stats)
		return zp_call_fail_unsupported(what, pool);
	err = zp_layer_stats(zp_pool_top(pool), &own);
	if (err)
		return zp_call_driver_failed(zp_pool_top(pool)->driver, what, err);
	memset(stats, 0, stats_size);
	memcpy(stats, &own, stats_size < sizeof(own) ? stats_size : sizeof(own));
	return zp_call_end(0);
}
