/* SPDX-License-Identifier: MIT
 *
 * open.c - the life of a store, and its statistics
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define UNIT_BYTES_DEFAULT 4096

/* A newer caller's structure may be longer, as long as it asks for nothing that is not known here. */
static int take_args(struct zpool_store_args *args, const struct zpool_store_args *given, size_t given_size)
{
	const unsigned char *bytes = (const unsigned char *)given;

	*args = (struct zpool_store_args)ZPOOL_STORE_ARGS_INIT;
	for (size_t i = sizeof(*args); given && i < given_size; i++)
		if (bytes[i])
			return zpool_set_error(E2BIG, "zpool_store_open() was given an argument that only a newer "
						      "libzpool-store knows.");
	if (given)
		memcpy(args, given, given_size < sizeof(*args) ? given_size : sizeof(*args));
	if (!args->pool)
		args->pool = "zsmalloc";
	if (!args->compressor)
		args->compressor = "lz4";
	if (!args->unit_bytes)
		args->unit_bytes = UNIT_BYTES_DEFAULT;
	if (args->unit_bytes < ZPOOL_STORE_UNIT_BYTES_MIN || args->unit_bytes > ZPOOL_STORE_UNIT_BYTES_MAX ||
	    (args->unit_bytes & (args->unit_bytes - 1)))
		return zpool_set_error(EINVAL, "A store's unit is a power of two from %d to %d bytes, not %" PRIu64 ".",
				       ZPOOL_STORE_UNIT_BYTES_MIN, ZPOOL_STORE_UNIT_BYTES_MAX, args->unit_bytes);
	if (args->limit_bytes && (strstr(args->pool, ":limit=") || strstr(args->pool, ",limit=")))
		return zpool_set_error(EINVAL,
				       "The store and its pool \"%s\" both have a limit: leave out the pool's, "
				       "for the store's covers it.",
				       args->pool);
	return 0;
}

static int open_pool(struct zpool_store *store, const struct zpool_store_args *args)
{
	struct zpool_open_args open_args = ZPOOL_OPEN_ARGS_INIT;

	open_args.name = args->name;
	store->pool = zpool_open(args->pool, &open_args, sizeof(open_args));
	return store->pool ? 0 : -errno;
}

static int limit_it(struct zpool_store *store, uint64_t limit_bytes)
{
	uint64_t needed = zpool_store_get_total_size(store);

	if (!limit_bytes)
		return 0;
	if (limit_bytes <= needed)
		return zpool_set_error(ENOMEM,
				       "An empty store of this kind holds %" PRIu64 " bytes, and its limit is "
				       "%" PRIu64 ".",
				       needed, limit_bytes);
	return zpool_store_set_limit(store, limit_bytes);
}

static int set_up(struct zpool_store *store, const struct zpool_store_args *args)
{
	int err = zps_choose(args->compressor, &store->contexts.choice);

	if (err)
		return err;
	store->unit_bytes = (size_t)args->unit_bytes;
	store->unit_count = args->unit_count;
	store->contexts.store = store;
	err = open_pool(store, args);
	if (err)
		return err;
	if (zps_contexts_init(&store->contexts, store->unit_bytes + ZPS_HEADER_BYTES) ||
	    zps_index_init(&store->index, &store->contexts))
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	return limit_it(store, args->limit_bytes);
}

struct zpool_store *zpool_store_open(const struct zpool_store_args *args, size_t args_size)
{
	struct zpool_store_args own;
	struct zpool_store *store;
	int err = take_args(&own, args, args_size);

	if (err) {
		errno = -err;
		return NULL;
	}
	store = calloc(1, sizeof(*store));
	if (!store) {
		errno = -zpool_set_error(ENOMEM, "There is no memory for a store.");
		return NULL;
	}
	pthread_mutex_init(&store->limit_lock, NULL);
	err = set_up(store, &own);
	if (err) {
		zpool_store_close(store);
		errno = -err;
		return NULL;
	}
	return store;
}

void zpool_store_close(struct zpool_store *store)
{
	if (!store)
		return;
	zpool_destroy_pool(store->pool);
	zps_index_fini(&store->index);
	zps_contexts_fini(&store->contexts);
	pthread_mutex_destroy(&store->limit_lock);
	free(store);
}

int zpool_store_compact(struct zpool_store *store, uint64_t budget_bytes, uint64_t budget_ns)
{
	int result;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_compact() was given no store.");
	result = zpool_compact(store->pool, budget_bytes, budget_ns, NULL);
	if (result != 1)
		(void)zpool_trim(store->pool, NULL);
	return result == 1;
}

int zpool_store_get_stats(struct zpool_store *store, struct zpool_store_stats *stats, size_t stats_size)
{
	struct zpool_store_stats all;

	if (!store || !stats || !stats_size)
		return zpool_set_error(EINVAL, "zpool_store_get_stats() was given no store or nowhere to put its "
					       "statistics.");
	all = (struct zpool_store_stats){
		.units = zps_contexts_sum(&store->contexts, ZPS_UNITS),
		.same_filled = zps_contexts_sum(&store->contexts, ZPS_SAME_FILLED),
		.incompressible = zps_contexts_sum(&store->contexts, ZPS_INCOMPRESSIBLE),
		.original_bytes = zps_contexts_sum(&store->contexts, ZPS_ORIGINAL_BYTES),
		.stored_bytes = zps_contexts_sum(&store->contexts, ZPS_STORED_BYTES),
		.pool_bytes = zpool_get_total_size(store->pool),
		.index_bytes = zps_index_bytes(&store->index),
		.context_bytes = zps_contexts_bytes(&store->contexts),
		.puts = zps_contexts_sum(&store->contexts, ZPS_PUTS),
		.hits = zps_contexts_sum(&store->contexts, ZPS_HITS),
		.misses = zps_contexts_sum(&store->contexts, ZPS_MISSES),
		.drops = zps_contexts_sum(&store->contexts, ZPS_DROPS),
		.refused_limit = zps_contexts_sum(&store->contexts, ZPS_REFUSED_LIMIT),
		.refused_too_large = zps_contexts_sum(&store->contexts, ZPS_REFUSED_TOO_LARGE),
		.refused_other = zps_contexts_sum(&store->contexts, ZPS_REFUSED_OTHER),
		.damaged = zps_contexts_sum(&store->contexts, ZPS_DAMAGED),
	};
	memset(stats, 0, stats_size);
	memcpy(stats, &all, stats_size < sizeof(all) ? stats_size : sizeof(all));
	return 0;
}
