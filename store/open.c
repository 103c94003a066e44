/* SPDX-License-Identifier: MIT
 *
 * open.c - opening and closing a store, and its statistics
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "store.h"
#include "support/cancel.h"

#define UNIT_BYTES_DEFAULT 4096
#define ACCEPT_PERCENT_DEFAULT 90

static bool has_limit(const char *spec)
{
	return strstr(spec, ":limit=") || strstr(spec, ",limit=");
}

/* The structure of a newer caller may be longer, if the members that this library does not know are 0. */
static int take_args(struct zpool_store_args *args, const struct zpool_store_args *given, size_t given_size)
{
	const unsigned char *bytes = (const unsigned char *)given;

	*args = (struct zpool_store_args)ZPOOL_STORE_ARGS_INIT;
	for (size_t i = sizeof(*args); given && i < given_size; i++)
		if (bytes[i])
			return zpool_set_error(
				E2BIG,
				"zpool_store_open() was given an argument that only a newer libzpool-store knows.");
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
		return zpool_set_error(EINVAL,
				       "A store's unit must be a power of two from %d to %d bytes, not %" PRIu64 ".",
				       ZPOOL_STORE_UNIT_BYTES_MIN, ZPOOL_STORE_UNIT_BYTES_MAX, args->unit_bytes);
	if (args->flags & ~(ZPOOL_STORE_CREATE | ZPOOL_STORE_EXCEED | ZPOOL_STORE_CHECKSUM))
		return zpool_set_error(EINVAL, "A store was opened with unknown flags (0x%x).",
				       (unsigned int)args->flags);
	if (args->accept_percent > 100)
		return zpool_set_error(EINVAL, "A store's accept_percent must be from 1 to 100, not %u.",
				       (unsigned int)args->accept_percent);
	if (args->limit_bytes && has_limit(args->pool))
		return zpool_set_error(
			EINVAL,
			"The store and its pool \"%s\" both have a limit: leave out the limit of the pool, because the limit of the store covers it.",
			args->pool);
	return 0;
}

static int open_pool(struct zpool_store *store, const struct zpool_store_args *args)
{
	struct zpool_open_args open_args = ZPOOL_OPEN_ARGS_INIT;

	open_args.name = args->name;
	if (store->backing.present) {
		open_args.evict = zps_evict_callback;
		open_args.user = store;
	}
	store->pool = zpool_open(args->pool, &open_args, sizeof(open_args));
	if (!store->pool)
		return -errno;
	store->spec_has_limit = has_limit(args->pool);
	store->evicts = zpool_evictable(store->pool);
	/* If the driver evicts, an object's header has the key, with which the evict callback finds the unit. */
	if (store->evicts)
		store->header_bytes += sizeof(uint64_t);
	if (store->evicts || store->checks)
		store->raw_header_bytes = store->header_bytes;
	return 0;
}

static int limit_it(struct zpool_store *store, uint64_t limit_bytes)
{
	uint64_t needed = zpool_store_get_total_size(store);

	if (!limit_bytes)
		return 0;
	if (limit_bytes <= needed)
		return zpool_set_error(ENOMEM,
				       "An empty store of this kind needs %" PRIu64
				       " bytes, so limit_bytes must be larger than that, not %" PRIu64 ".",
				       needed, limit_bytes);
	return zpool_store_set_limit(store, limit_bytes);
}

static int set_up_checksum(struct zpool_store *store, const struct zpool_store_args *args)
{
	store->checks = args->flags & ZPOOL_STORE_CHECKSUM;
	if (store->checks && !zps_has_checksum())
		return zpool_set_error(EOPNOTSUPP,
				       "This libzpool-store was built without libxxhash, so it has no checksums.");
	if (store->checks)
		store->header_bytes += ZPS_CHECKSUM_BYTES;
	return 0;
}

static int set_up_backing(struct zpool_store *store, const struct zpool_store_args *args)
{
	int err = zps_backing_open(&store->backing, args);

	if (err || !store->backing.present)
		return err;
	if (!store->unit_count)
		store->unit_count = store->backing.bytes / store->unit_bytes;
	store->may_exceed = args->flags & ZPOOL_STORE_EXCEED;
	store->accept_percent = args->accept_percent ? args->accept_percent : ACCEPT_PERCENT_DEFAULT;
	return 0;
}

static int set_up(struct zpool_store *store, const struct zpool_store_args *args)
{
	int err = zps_choose(args->compressor, &store->contexts.choice);
	size_t io_bytes;

	if (!err && args->recompressor)
		err = zps_choose(args->recompressor, &store->contexts.second);
	if (err)
		return err;
	store->unit_bytes = (size_t)args->unit_bytes;
	store->unit_count = args->unit_count;
	store->contexts.store = store;
	store->header_bytes = sizeof(uint32_t);
	err = zps_dictionaries_init(store, args);
	if (!err)
		err = set_up_checksum(store, args);
	if (!err)
		err = set_up_backing(store, args);
	if (!err)
		err = open_pool(store, args);
	if (err)
		return err;
	io_bytes = store->backing.present ? ZPS_IO_BYTES : 0;
	if (zps_contexts_init(&store->contexts, store->unit_bytes + store->header_bytes, io_bytes) ||
	    zps_index_init(&store->index, &store->contexts))
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	store->touch = (store->backing.present ? ZPS_REFERENCED : 0) | (args->recompressor ? ZPS_FRESH : 0);
	if (args->recompressor)
		err = zps_recompression_init(store);
	return err ? err : limit_it(store, args->limit_bytes);
}

/* Frees a store without writing anything; it may be one that could not be opened completely. */
static void end(struct zpool_store *store)
{
	zpool_destroy_pool(store->pool);
	zps_torn_fini(store);
	zps_index_fini(&store->index);
	zps_recompression_fini(store);
	zps_contexts_fini(&store->contexts);
	zps_dictionaries_fini(store);
	zps_backing_close(&store->backing);
	for (unsigned int i = 0; i < ZPS_HANDLE_LOCKS; i++)
		pthread_mutex_destroy(&store->handle_lock[i]);
	pthread_mutex_destroy(&store->limit_lock);
	pthread_mutex_destroy(&store->watch_lock);
	free(store);
}

/* Opening and closing files and the functions of the program are cancellation points. */
struct zpool_store *zpool_store_open(const struct zpool_store_args *args, size_t args_size)
{
	ZP_CANCEL_DISABLED_HERE;
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
	pthread_mutex_init(&store->watch_lock, NULL);
	pthread_mutex_init(&store->torn.lock, NULL);
	for (unsigned int i = 0; i < ZPS_HANDLE_LOCKS; i++)
		pthread_mutex_init(&store->handle_lock[i], NULL);
	err = set_up(store, &own);
	if (err) {
		/* The program keeps a backing of its own if the store cannot be opened. */
		if (own.backing)
			store->backing.call.close = NULL;
		end(store);
		errno = -err;
		return NULL;
	}
	return store;
}

void zpool_store_close(struct zpool_store *store)
{
	ZP_CANCEL_DISABLED_HERE;

	if (!store)
		return;
	(void)zps_watch_end(store);
	(void)zpool_store_flush(store);
	end(store);
}

int zpool_store_compact(struct zpool_store *store, uint64_t budget_bytes, uint64_t budget_ns)
{
	int result;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_compact() was given no store.");
	result = zpool_compact(store->pool, budget_bytes, budget_ns, NULL);
	if (result != 1)
		(void)zpool_trim(store->pool, NULL);
	zps_dictionaries_reclaim(store);
	return result == 1;
}

struct zpool *zpool_store_get_pool(struct zpool_store *store)
{
	if (store)
		return store->pool;
	errno = -zpool_set_error(EINVAL, "zpool_store_get_pool() was given no store.");
	return NULL;
}

int zpool_store_get_stats(struct zpool_store *store, struct zpool_store_stats *stats, size_t stats_size)
{
	struct zpool_store_stats all;

	if (!store || !stats || !stats_size)
		return zpool_set_error(EINVAL,
				       "zpool_store_get_stats() was given no store, no stats, or a stats_size of 0.");
	all = (struct zpool_store_stats){
		.units = zps_contexts_sum(&store->contexts, ZPS_UNITS),
		.same_filled = zps_contexts_sum(&store->contexts, ZPS_SAME_FILLED),
		.incompressible = zps_contexts_sum(&store->contexts, ZPS_INCOMPRESSIBLE),
		.original_bytes = zps_contexts_sum(&store->contexts, ZPS_ORIGINAL_BYTES),
		.stored_bytes = zps_contexts_sum(&store->contexts, ZPS_STORED_BYTES),
		.pool_bytes = zpool_get_total_size(store->pool),
		.index_bytes = zps_index_bytes(&store->index) +
			       atomic_load_explicit(&store->torn.copied_bytes, memory_order_relaxed),
		.context_bytes = zps_contexts_bytes(&store->contexts),
		.puts = zps_contexts_sum(&store->contexts, ZPS_PUTS),
		.hits = zps_contexts_sum(&store->contexts, ZPS_HITS),
		.misses = zps_contexts_sum(&store->contexts, ZPS_MISSES),
		.drops = zps_contexts_sum(&store->contexts, ZPS_DROPS),
		.refused_limit = zps_contexts_sum(&store->contexts, ZPS_REFUSED_LIMIT),
		.refused_too_large = zps_contexts_sum(&store->contexts, ZPS_REFUSED_TOO_LARGE),
		.refused_other = zps_contexts_sum(&store->contexts, ZPS_REFUSED_OTHER),
		.damaged = zps_contexts_sum(&store->contexts, ZPS_DAMAGED),
		.refused_backing = zps_contexts_sum(&store->contexts, ZPS_REFUSED_BACKING),
		.dirty = zps_contexts_sum(&store->contexts, ZPS_DIRTY_UNITS),
		.loaded = zps_contexts_sum(&store->contexts, ZPS_LOADED),
		.written_back = zps_contexts_sum(&store->contexts, ZPS_WRITTEN_BACK),
		.written_through = zps_contexts_sum(&store->contexts, ZPS_WRITTEN_THROUGH),
		.evicted = zps_contexts_sum(&store->contexts, ZPS_EVICTED),
		.second_chances = zps_contexts_sum(&store->contexts, ZPS_SECOND_CHANCES),
		.load_errors = zps_contexts_sum(&store->contexts, ZPS_LOAD_ERRORS),
		.write_errors = zps_contexts_sum(&store->contexts, ZPS_WRITE_ERRORS),
		.recompressed = zps_contexts_sum(&store->contexts, ZPS_RECOMPRESSED),
		.recompress_saved = zps_contexts_sum(&store->contexts, ZPS_RECOMPRESS_SAVED),
		.pressure_events = zps_contexts_sum(&store->contexts, ZPS_PRESSURE_EVENTS),
		.flushes = zps_contexts_sum(&store->contexts, ZPS_FLUSHES),
		.through_too_large = zps_contexts_sum(&store->contexts, ZPS_THROUGH_TOO_LARGE),
		.evict_ns = zps_contexts_sum(&store->contexts, ZPS_EVICT_NS),
	};
	zps_dictionaries_stats(store, &all);
	memset(stats, 0, stats_size);
	memcpy(stats, &all, stats_size < sizeof(all) ? stats_size : sizeof(all));
	return 0;
}
