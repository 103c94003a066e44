/* SPDX-License-Identifier: MIT
 *
 * load.c - get and prefetch of units from the backing
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "range.h"
#include "store.h"

/* While puts may exceed the limit, the pool has none; but units that were read can be read again. */
static bool is_full(struct zpool_store *store)
{
	uint64_t limit = atomic_load_explicit(&store->limit_bytes, memory_order_relaxed);

	return limit && atomic_load_explicit(&store->exceeded, memory_order_relaxed) &&
	       zpool_store_get_total_size(store) >= limit;
}

/* Without a limit, units need not leave for others to be kept. */
static bool has_limit(struct zpool_store *store)
{
	return store->spec_has_limit || atomic_load_explicit(&store->limited, memory_order_relaxed);
}

/*
 * Keeps a value that was read from the backing as a clean unit, if the unit is still absent.  Returns 0, -ENOMEM if
 * there is no room for it, or -ENOSPC or another -errno if the driver cannot hold it, for which eviction does not help.
 * The caller holds the stripe, so the value is still the one in the backing.
 */
static int keep(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *value)
{
	struct zps_packed packed = { .meta = ZPS_SAME };
	unsigned long handle = 0;
	uint64_t word;
	struct zps_unit unit;
	uint32_t old;
	bool found;

	if (is_full(store))
		return -ENOMEM;
	if (zps_is_same_filled(store, value, store->unit_bytes)) {
		memcpy(&word, value, sizeof(word));
	} else {
		int err;

		packed = zps_pack(store, context, key, value, store->unit_bytes);
		err = zps_object_new(store, &packed, &handle);
		if (err)
			return err;
		word = handle;
	}
	found = zps_lock(store, context, key, true, &unit, &old);
	if (found && !(old & ZPS_STATE)) {
		zps_replace(store, context, unit, old, packed.meta | (store->touch & ZPS_FRESH), word);
		return 0;
	}
	if (found)
		zps_unit_unlock(unit, old);
	if (handle)
		zps_object_free(store, handle);
	return found ? 0 : -ENOMEM;
}

static int read_units(struct zpool_store *store, struct zps_context *context, uint64_t key, uint64_t count)
{
	int err = zps_backing_read(&store->backing, context->io, (size_t)count * store->unit_bytes,
				   key * store->unit_bytes);

	zps_count(context, err ? ZPS_LOAD_ERRORS : ZPS_LOADED, err ? 1 : count);
	return err;
}

int64_t zps_load(struct zpool_store *store, struct zps_context *context, uint64_t key, void *buf, size_t room,
		 bool is_kept)
{
	pthread_rwlock_t *stripe = zps_stripe(&store->backing, key);
	int64_t result = (int64_t)store->unit_bytes;
	int err = 0, keep_err = 0;

	if (room < store->unit_bytes)
		return zpool_set_error(ENOBUFS, "The value has %zu bytes, and there is room for %zu.",
				       store->unit_bytes, room);
	pthread_rwlock_rdlock(stripe);
	if (zps_peek(store, context, key) & ZPS_STATE) {
		result = -EAGAIN;
	} else {
		err = read_units(store, context, key, 1);
		if (!err) {
			memcpy(buf, context->io, store->unit_bytes);
			keep_err = is_kept ? keep(store, context, key, context->io) : 0;
		}
	}
	pthread_rwlock_unlock(stripe);
	if (err || !is_kept)
		return err ? err : result;
	/* There was no room to keep this unit in memory, so room is made for the next ones. */
	if (keep_err == -ENOMEM && has_limit(store))
		zps_begin_making_room(store);
	zps_keep_making_room(store, context);
	zps_train_when_due(store, context);
	return result;
}

/*
 * Loads a run of absent units with one read, and passes over those that the driver cannot hold.  Returns how many keys
 * are done, or 0 if there is no room, or if the read failed with *err.  The caller holds the stripe.
 */
static uint64_t load_run(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last,
			 int *err)
{
	uint64_t room = store->contexts.io_bytes / store->unit_bytes;
	uint64_t count = 0;

	while (count <= last - first && count < room && !(zps_peek(store, context, first + count) & ZPS_STATE))
		count++;
	if (!count)
		return 1;
	*err = read_units(store, context, first, count);
	if (*err)
		return 0;
	for (uint64_t i = 0; i < count; i++)
		if (keep(store, context, first + i, context->io + i * store->unit_bytes) == -ENOMEM)
			return 0;
	return count;
}

static int prefetch(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	uint64_t key = first;
	uint64_t count = 1;
	int err = 0;

	while (key <= last && count) {
		pthread_rwlock_t *stripe = zps_stripe(&store->backing, key);
		uint64_t end = zps_stripe_end(key) < last ? zps_stripe_end(key) : last;

		pthread_rwlock_rdlock(stripe);
		while (key <= end && (count = load_run(store, context, key, end, &err)))
			key += count;
		pthread_rwlock_unlock(stripe);
	}
	return err;
}

int zpool_store_prefetch(struct zpool_store *store, uint64_t first, uint64_t count)
{
	struct zps_context *context;
	uint64_t last;
	int err = zps_check_range(store, first, count, &last);

	if (err || !store->backing.present)
		return err;
	context = zps_context_get(&store->contexts);
	err = prefetch(store, context, first, last);
	zps_context_put(context);
	return err;
}
