/* SPDX-License-Identifier: MIT
 *
 * through.c - direct writes: changes of units that are not in memory, which go to the backing at once
 *
 * A unit in memory stays dirty until it is written, so a write that fails can be repeated.  A unit that is not in
 * memory has no such copy: a direct write that fails may leave it torn, half old and half new, in the backing.
 * Therefore the store then takes the new value into memory, dirty, even if that exceeds the limit.  A get returns this
 * value, and the next flush writes it again.  Zero bytes and holes need no object.  Any other value is copied to memory
 * from malloc(3), because the pool has no room for it or does not accept its length.
 *
 * Each such failure leaves a record of its range of keys.  While there are ZPS_TORN_MAX records, the store begins no
 * direct write before it could repeat the one of the oldest record.  So a backing that fails for a long time does not
 * fill the memory.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

void zps_copied_free(struct zpool_store *store, uint64_t word)
{
	free((void *)(uintptr_t)word);
	atomic_fetch_sub(&store->torn.copied_bytes, store->unit_bytes);
	zps_limit_release(store, 0);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Records
 */

static bool take_oldest(struct zps_torn *torn, struct zps_torn_range *range)
{
	bool found;

	pthread_mutex_lock(&torn->lock);
	found = torn->count;
	if (found) {
		*range = torn->range[0];
		atomic_fetch_sub(&torn->count, 1);
		memmove(torn->range, torn->range + 1, torn->count * sizeof(*range));
	}
	pthread_mutex_unlock(&torn->lock);
	return found;
}

/* There is room for another record, because each call takes or adds one at a time, as zps_torn_check() allows. */
static void add_newest(struct zps_torn *torn, struct zps_torn_range range)
{
	pthread_mutex_lock(&torn->lock);
	torn->range[torn->count] = range;
	atomic_fetch_add(&torn->count, 1);
	pthread_mutex_unlock(&torn->lock);
}

/* Removes a copied value from memory after it was written.  Returns false if it is dirty, and so must stay. */
static bool remove_copied(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_is_copied(zps_peek(store, context, key)) || !zps_lock(store, context, key, false, &unit, &meta))
		return true;
	if (zps_is_copied(meta) && !(meta & ZPS_DIRTY)) {
		zps_replace(store, context, unit, meta, ZPS_ABSENT, 0);
		return true;
	}
	zps_unit_unlock(unit, meta);
	return !zps_is_copied(meta);
}

/*
 * Writes what is dirty in a range.  If another thread's flush fails after the write, the copied values are dirty again,
 * and the write is repeated.
 */
static int write_range(struct zpool_store *store, struct zps_context *context, struct zps_torn_range range)
{
	pthread_rwlock_t *stripe = zps_stripe(&store->backing, range.first);
	bool removed = false;
	int err = 0;

	pthread_rwlock_wrlock(stripe);
	while (!err && !removed) {
		zps_errors_begin(context);
		(void)zps_write_units(store, context, range.first, range.last);
		err = zps_errors_end(context);
		removed = true;
		for (uint64_t key = range.first; !err && key <= range.last; key++)
			removed = remove_copied(store, context, key) && removed;
	}
	pthread_rwlock_unlock(stripe);
	return err;
}

/* Completes the write of the oldest record.  Returns 0 also if there is none, or -errno with the error set. */
static int mend_oldest(struct zpool_store *store, struct zps_context *context)
{
	struct zps_torn_range range;
	int err;

	if (!take_oldest(&store->torn, &range))
		return 0;
	err = write_range(store, context, range);
	if (err)
		add_newest(&store->torn, range);
	return err;
}

int zps_torn_check(struct zpool_store *store, struct zps_context *context)
{
	int err = 0;

	while (!err && atomic_load_explicit(&store->torn.count, memory_order_relaxed) >= ZPS_TORN_MAX)
		err = mend_oldest(store, context);
	return err;
}

void zps_torn_mend(struct zpool_store *store, struct zps_context *context)
{
	unsigned int count = atomic_load_explicit(&store->torn.count, memory_order_relaxed);

	while (count--)
		(void)mend_oldest(store, context);
}

void zps_torn_fini(struct zpool_store *store)
{
	struct zps_torn_range range;

	while (take_oldest(&store->torn, &range))
		for (uint64_t key = range.first; key <= range.last; key++) {
			struct zps_leaf *leaf = zps_index_find(&store->index, key);
			unsigned int slot = key % ZPS_LEAF_UNITS;

			if (!leaf || !zps_is_copied(leaf->meta[slot]))
				continue;
			free((void *)(uintptr_t)leaf->word[slot]);
			/* Another record may have the same key. */
			leaf->meta[slot] = ZPS_ABSENT;
		}
	pthread_mutex_destroy(&store->torn.lock);
}

/*
 * Keeps a value in memory, dirty, whose write has failed, if the unit is still absent; otherwise the unit that is there
 * becomes dirty.  The index may exceed the limit here.  Returns false if the value is not needed, or if there is no
 * memory for the index.
 */
static bool keep(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta, uint64_t word)
{
	struct zps_unit unit;
	uint32_t old;

	while (!zps_lock(store, context, key, true, &unit, &old))
		if (!zps_index_add(&store->index, key))
			return false;
	if (!(old & ZPS_STATE)) {
		zps_replace(store, context, unit, old, meta | ZPS_DIRTY, word);
		return true;
	}
	zps_unit_unlock(unit, old);
	zps_spoil(store, context, key);
	return false;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Writing
 */

/* The caller holds the stripe of the key.  If the value is copied to `copy`, that becomes NULL. */
static int write_value(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data,
		       void **copy)
{
	struct zps_unit unit;
	uint32_t old;
	int err;

	memcpy(context->io, data, store->unit_bytes);
	err = zps_backing_write(&store->backing, context->io, store->unit_bytes, key * store->unit_bytes);
	if (!err) {
		if (zps_lock(store, context, key, false, &unit, &old))
			zps_replace(store, context, unit, old, ZPS_ABSENT, 0);
		return 0;
	}
	memcpy(*copy, data, store->unit_bytes);
	atomic_fetch_add(&store->torn.copied_bytes, store->unit_bytes);
	if (keep(store, context, key, ZPS_COPIED, (uint64_t)(uintptr_t)*copy)) {
		add_newest(&store->torn, (struct zps_torn_range){ key, key });
		*copy = NULL;
	} else {
		atomic_fetch_sub(&store->torn.copied_bytes, store->unit_bytes);
	}
	zps_limit_release(store, 0);
	return err;
}

/*
 * The value is copied to the context's buffer first, because the caller's buffer may not be aligned.  The memory for a
 * copy that outlives the call is allocated before the write, so that a failed write is not followed by a failed
 * allocation.
 */
int zps_write_through(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data)
{
	pthread_rwlock_t *stripe = zps_stripe(&store->backing, key);
	int err = zps_torn_check(store, context);
	void *copy = NULL;

	if (!err) {
		copy = malloc(store->unit_bytes);
		if (!copy)
			return zpool_set_error(ENOMEM, "There is no memory to write a value to the backing.");
		pthread_rwlock_wrlock(stripe);
		err = write_value(store, context, key, data, &copy);
		pthread_rwlock_unlock(stripe);
		free(copy);
		zps_count(context, err ? ZPS_WRITE_ERRORS : ZPS_WRITTEN_THROUGH, 1);
	}
	return err;
}

int zps_fill_absent(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t count, bool drop)
{
	int err = zps_backing_fill(&store->backing, drop, first * store->unit_bytes, count * store->unit_bytes,
				   context->io, store->contexts.io_bytes);

	if (!err)
		return 0;
	zps_count(context, ZPS_WRITE_ERRORS, 1);
	for (uint64_t i = 0; i < count; i++)
		(void)keep(store, context, first + i, drop ? ZPS_HOLE : ZPS_SAME, 0);
	add_newest(&store->torn, (struct zps_torn_range){ first, first + count - 1 });
	zps_limit_release(store, 0);
	return err;
}
