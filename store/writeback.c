/* SPDX-License-Identifier: MIT
 *
 * writeback.c - writing dirty units to the backing
 *
 * Consecutive dirty units are written together: up to ZPS_IO_BYTES of data with one write, and a run of zeroes or of
 * dropped units with one call.  While a unit is written it stays dirty, and other threads may read and replace it.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "range.h"
#include "store.h"

enum kind { NONE, DATA, ZEROES, HOLES };

static enum kind kind_of(uint32_t meta, uint64_t word)
{
	if (!(meta & ZPS_DIRTY))
		return NONE;
	if ((meta & ZPS_STATE) == ZPS_HOLE)
		return HOLES;
	return (meta & ZPS_STATE) == ZPS_SAME && !word ? ZEROES : DATA;
}

static void set_bits(struct zps_unit unit, uint32_t bits)
{
	atomic_fetch_or_explicit(&unit.leaf->meta[unit.slot], bits, memory_order_relaxed);
}

/*
 * Sets WRITING in a dirty unit of the wanted kind (NONE: of any kind), copies data to `to`, and returns the kind.
 * Returns NONE if the unit need not be written, or if its value cannot be read, which sets *err.  With `err` NULL, the
 * caller stages such a unit once more, and it counts as damaged only then.
 */
static enum kind stage(struct zpool_store *store, struct zps_context *context, uint64_t key, enum kind wanted,
		       unsigned char *to, int *err)
{
	enum kind kind = NONE;
	struct zps_unit unit;
	uint32_t meta;
	int64_t length;

	if (!zps_pin(store, context, key, 0, &unit, &meta))
		return NONE;
	kind = kind_of(meta, unit.leaf->word[unit.slot]);
	if (wanted != NONE && kind != wanted)
		kind = NONE;
	if (kind == DATA) {
		length = zps_value_read(store, context, key, meta, unit.leaf->word[unit.slot], to, store->unit_bytes);
		if (length < 0 && err) {
			*err = (int)length;
			zps_count(context, ZPS_DAMAGED, 1);
		}
		if (length < 0)
			kind = NONE;
	}
	if (kind != NONE)
		set_bits(unit, ZPS_WRITING);
	zps_unit_unpin(unit);
	return kind;
}

/*
 * Clears WRITING, and DIRTY if the unit was written.  A put or a spoil has cleared WRITING already; then the unit stays
 * dirty.
 */
static void unstage(struct zpool_store *store, struct zps_context *context, uint64_t key, bool written)
{
	uint32_t done = ZPS_WRITING | (written ? ZPS_DIRTY : 0);
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_pin(store, context, key, 0, &unit, &meta))
		return;
	while ((meta & ZPS_WRITING) &&
	       !atomic_compare_exchange_weak_explicit(&unit.leaf->meta[unit.slot], &meta, meta & ~done,
						      memory_order_relaxed, memory_order_relaxed))
		continue;
	if ((meta & ZPS_WRITING) && written) {
		zps_count(context, ZPS_DIRTY_UNITS, UINT64_MAX);
		zps_count(context, ZPS_WRITTEN_BACK, 1);
	}
	zps_unit_unpin(unit);
}

/* Removes a dropped unit from the index after the backing has discarded it. */
static void forget(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_lock(store, context, key, false, &unit, &meta))
		return;
	if (meta & ZPS_WRITING) {
		zps_count(context, ZPS_WRITTEN_BACK, 1);
		zps_replace(store, context, unit, meta, ZPS_ABSENT, 0);
	} else {
		zps_unit_unlock(unit, meta);
	}
}

/*
 * Writes the units from `first` on that can be written with one call, and returns how many keys are done, at least one.
 */
static uint64_t write_run(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last,
			  int *err)
{
	uint64_t room = store->contexts.io_bytes / store->unit_bytes;
	enum kind kind = stage(store, context, first, NONE, context->io, err);
	uint64_t offset = first * store->unit_bytes;
	uint64_t count = 1;

	if (kind == NONE)
		return 1;
	while (count <= last - first && (kind != DATA || count < room) &&
	       stage(store, context, first + count, kind, context->io + (kind == DATA ? count * store->unit_bytes : 0),
		     NULL) != NONE)
		count++;
	if (kind == DATA)
		*err = zps_backing_write(&store->backing, context->io, count * store->unit_bytes, offset);
	else
		*err = zps_backing_fill(&store->backing, kind == HOLES, offset, count * store->unit_bytes, context->io,
					store->contexts.io_bytes);
	if (*err)
		zps_count(context, ZPS_WRITE_ERRORS, 1);
	for (uint64_t i = 0; i < count; i++)
		if (kind == HOLES && !*err)
			forget(store, context, first + i);
		else
			unstage(store, context, first + i, !*err);
	return count;
}

int zps_write_units(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	uint64_t done = 0;
	int first_err = 0;

	while (done <= last - first) {
		int err = 0;

		done += write_run(store, context, first + done, last, &err);
		zps_errors_note(context, err);
		if (!first_err)
			first_err = err;
	}
	return first_err;
}

void zps_spoil(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_pin(store, context, key, 0, &unit, &meta))
		return;
	while ((meta & ZPS_STATE) && !atomic_compare_exchange_weak_explicit(&unit.leaf->meta[unit.slot], &meta,
									    (meta | ZPS_DIRTY) & ~ZPS_WRITING,
									    memory_order_relaxed, memory_order_relaxed))
		continue;
	if ((meta & ZPS_STATE) && !(meta & ZPS_DIRTY))
		zps_count(context, ZPS_DIRTY_UNITS, 1);
	zps_unit_unpin(unit);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Flush and sync
 */

static bool is_dirty(const struct zps_leaf *leaf)
{
	for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
		if (atomic_load_explicit(&leaf->meta[slot], memory_order_relaxed) & ZPS_DIRTY)
			return true;
	return false;
}

static int write_locked(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	pthread_rwlock_t *stripe = zps_stripe(&store->backing, first);
	int err;

	pthread_rwlock_wrlock(stripe);
	err = zps_write_units(store, context, first, last);
	pthread_rwlock_unlock(stripe);
	return err;
}

/*
 * A flush has a bit for each group of ZPS_STRIPE_UNITS consecutive keys, which is set if some of them could not be
 * written: they stay dirty, but the group's other leaves must not repeat the writes.  The memory is allocated only when
 * a write fails; if there is none, the writes are repeated.
 */
static void set_failed(const struct zpool_store *store, unsigned char **failed, uint64_t key)
{
	uint64_t bytes = (store->unit_count - 1) / ZPS_STRIPE_UNITS / 8 + 1;
	uint64_t group = key / ZPS_STRIPE_UNITS;

	if (!*failed && bytes == (size_t)bytes)
		*failed = calloc((size_t)bytes, 1);
	if (*failed)
		(*failed)[group / 8] |= (unsigned char)(1U << group % 8);
}

static bool has_failed(const unsigned char *failed, uint64_t key)
{
	uint64_t group = key / ZPS_STRIPE_UNITS;

	return failed && (failed[group / 8] & 1U << group % 8);
}

/* For each dirty leaf, writes the keys of the range that share the leaf's stripe, so that they are in order. */
static void write_leaves(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);
	unsigned char *failed = NULL;

	for (size_t i = 0; i < leaves; i++) {
		const struct zps_leaf *leaf = zps_index_leaf(&store->index, i);
		uint64_t end = zps_stripe_end(zps_leaf_base(leaf));
		uint64_t begin = end - (ZPS_STRIPE_UNITS - 1);

		if (end >= first && begin <= last && is_dirty(leaf) && !has_failed(failed, end) &&
		    write_locked(store, context, begin < first ? first : begin, end < last ? end : last))
			set_failed(store, &failed, end);
	}
	free(failed);
}

static void write_range(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	for (uint64_t key = first;;) {
		uint64_t end = zps_stripe_end(key) < last ? zps_stripe_end(key) : last;

		(void)write_locked(store, context, key, end);
		if (end == last)
			return;
		key = end + 1;
	}
}

/*
 * After a failed fsync(2), the kernel may have dropped pages that were written before.  Therefore all units in memory
 * become dirty, and the next flush writes them again.
 */
static void spoil_all(struct zpool_store *store, struct zps_context *context)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

	for (size_t i = 0; i < leaves; i++) {
		const struct zps_leaf *leaf = zps_index_leaf(&store->index, i);

		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			if (atomic_load_explicit(&leaf->meta[slot], memory_order_relaxed) & ZPS_STATE)
				zps_spoil(store, context, zps_leaf_base(leaf) + slot);
	}
}

static int flush_now(struct zpool_store *store, struct zps_context *context)
{
	struct zps_backing *backing = &store->backing;
	uint64_t number = atomic_fetch_add_explicit(&backing->flushes_begun, 1, memory_order_acq_rel) + 1;
	int err = zps_backing_flush(backing);

	if (err) {
		spoil_all(store, context);
		backing->flush_err = err;
		atomic_fetch_add_explicit(&backing->flush_failures, 1, memory_order_release);
	} else {
		backing->flush_done = number;
	}
	zps_count(context, err ? ZPS_WRITE_ERRORS : ZPS_FLUSHES, 1);
	return err;
}

/*
 * The system reports a lost write to the first flush only.  So flushes take turns, and each one fails if another one
 * has failed since it began to write, when there were `failures`.  A flush that began after this call's writes were
 * complete includes them.
 */
static int flush_backing(struct zpool_store *store, struct zps_context *context, uint64_t failures)
{
	struct zps_backing *backing = &store->backing;
	/* This adds 0, because the next flush sees what this thread has written only after a change of the counter. */
	uint64_t begun = atomic_fetch_add_explicit(&backing->flushes_begun, 0, memory_order_acq_rel);
	int err = 0;

	pthread_mutex_lock(&backing->flush_lock);
	if (atomic_load_explicit(&backing->flush_failures, memory_order_relaxed) != failures)
		err = zpool_set_error(-backing->flush_err,
				      "%s failed to flush what was written, during a flush of another thread: %s.",
				      backing->name, strerror(-backing->flush_err));
	else if (backing->flush_done <= begun)
		err = flush_now(store, context);
	pthread_mutex_unlock(&backing->flush_lock);
	return err;
}

/* The backing is flushed even if some units could not be written, because the others were. */
static int write_and_flush(struct zpool_store *store, uint64_t first, uint64_t last, bool all)
{
	struct zps_context *context = zps_context_get(&store->contexts);
	uint64_t failures = atomic_load_explicit(&store->backing.flush_failures, memory_order_acquire);
	bool by_leaves = all || zps_is_longer_than_store(store, first, last);
	int err;

	zps_errors_begin(context);
	if (by_leaves)
		write_leaves(store, context, first, last);
	else
		write_range(store, context, first, last);
	zps_errors_note(context, flush_backing(store, context, failures));
	err = zps_errors_end(context);
	if (all && !err)
		zps_torn_mend(store, context);
	zps_context_put(context);
	return err;
}

int zpool_store_flush(struct zpool_store *store)
{
	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_flush() was given no store.");
	return store->backing.present ? write_and_flush(store, 0, store->unit_count - 1, true) : 0;
}

int zpool_store_sync(struct zpool_store *store, uint64_t first, uint64_t count)
{
	uint64_t last;
	int err = zps_check_range(store, first, count, &last);

	if (err || !store->backing.present)
		return err;
	return write_and_flush(store, first, last, false);
}
