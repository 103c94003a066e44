/* SPDX-License-Identifier: MIT
 *
 * range.c - calls on ranges of keys
 *
 * These calls walk a range key by key, and skip all keys of a missing leaf in one step.  If a range without a backing
 * would take more steps than the store has leaves, they walk over the leaves instead.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "range.h"

int zps_check_range(const struct zpool_store *store, uint64_t first, uint64_t count, uint64_t *last)
{
	if (!store || !count)
		return zpool_set_error(EINVAL, "A range of keys was given without a store or with a count of 0.");
	*last = first + (count - 1);
	if (*last < first || (store->unit_count && *last >= store->unit_count))
		return zpool_set_error(EINVAL,
				       "The range of %" PRIu64 " keys from %" PRIu64 " on ends beyond the store.",
				       count, first);
	return 0;
}

static bool has_leaf(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	bool found;

	zps_section_begin(context);
	found = zps_index_find(&store->index, key);
	zps_section_end(context);
	return found;
}

/* Returns the last key of the leaf that a key belongs to. */
static uint64_t leaf_end(uint64_t key)
{
	return key | (ZPS_LEAF_UNITS - 1);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Drop and zero in memory
 */

static void drop_unit(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!(zps_peek(store, context, key) & ZPS_STATE) || !zps_lock(store, context, key, false, &unit, &meta))
		return;
	zps_count(context, ZPS_DROPS, (meta & ZPS_STATE) != 0);
	zps_replace(store, context, unit, meta, ZPS_ABSENT, 0);
}

static void drop_by_keys(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	for (uint64_t key = first;; key++) {
		if (has_leaf(store, context, key))
			drop_unit(store, context, key);
		else
			key = leaf_end(key);
		if (key >= last)
			return;
	}
}

static void drop_by_leaves(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

	for (size_t i = 0; i < leaves; i++) {
		uint64_t base = zps_leaf_base(zps_index_leaf(&store->index, i));

		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			if (base + slot >= first && base + slot <= last)
				drop_unit(store, context, base + slot);
	}
}

static int zero_in_memory(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	struct zps_unit unit;
	uint32_t meta;

	for (uint64_t key = first;; key++) {
		if (!zps_lock(store, context, key, true, &unit, &meta))
			return zpool_set_error(
				ENOMEM,
				"There is no memory for the index of the whole range: the limit is reached, or the system has none.");
		zps_replace(store, context, unit, meta, ZPS_SAME, 0);
		if (key == last)
			return 0;
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Drop and zero with a backing: units that are in memory become dirty, and the others are changed in the backing at
 * once, because the index may have no room for all of them.
 */

/* Drops or zeroes a unit in memory; returns false if it is not there.  The caller holds the stripe for writing. */
static bool fill_present(struct zpool_store *store, struct zps_context *context, uint64_t key, bool drop)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!(zps_peek(store, context, key) & ZPS_STATE) || !zps_lock(store, context, key, false, &unit, &meta))
		return false;
	zps_replace(store, context, unit, meta, (drop ? ZPS_HOLE : ZPS_SAME) | ZPS_DIRTY, 0);
	return true;
}

static int fill_stripe(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last, bool drop)
{
	uint64_t absent = 0; /* counts the absent units directly before this key */
	int err = 0;

	for (uint64_t key = first; key <= last && !err; key++) {
		if (!fill_present(store, context, key, drop)) {
			absent++;
			continue;
		}
		if (absent)
			err = zps_fill_absent(store, context, key - absent, absent, drop);
		absent = 0;
	}
	return absent && !err ? zps_fill_absent(store, context, last + 1 - absent, absent, drop) : err;
}

static int fill_range(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last, bool drop)
{
	for (uint64_t key = first;;) {
		uint64_t end = zps_stripe_end(key) < last ? zps_stripe_end(key) : last;
		pthread_rwlock_t *stripe = zps_stripe(&store->backing, key);
		int err = zps_torn_check(store, context);

		if (err)
			return err;
		pthread_rwlock_wrlock(stripe);
		err = fill_stripe(store, context, key, end, drop);
		pthread_rwlock_unlock(stripe);
		if (err)
			return err;
		if (drop)
			zps_count(context, ZPS_DROPS, end - key + 1);
		if (end == last)
			return 0;
		key = end + 1;
	}
}

int zpool_store_drop_range(struct zpool_store *store, uint64_t first, uint64_t count)
{
	struct zps_context *context;
	uint64_t last;
	int err = zps_check_range(store, first, count, &last);

	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	if (store->backing.present)
		err = fill_range(store, context, first, last, true);
	else if (zps_is_longer_than_store(store, first, last))
		drop_by_leaves(store, context, first, last);
	else
		drop_by_keys(store, context, first, last);
	zps_context_put(context);
	return err;
}

int zpool_store_zero_range(struct zpool_store *store, uint64_t first, uint64_t count)
{
	struct zps_context *context;
	uint64_t last;
	int err = zps_check_range(store, first, count, &last);

	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	if (store->backing.present)
		err = fill_range(store, context, first, last, false);
	else
		err = zero_in_memory(store, context, first, last);
	zps_context_put(context);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Extents
 */

/* With a backing, one call looks at no more units than this. */
#define BACKING_EXTENT_UNITS_MAX ((uint64_t)1 << 20)

/*
 * This is the last answer of the backing, which applies to the units before `end`.  A unit that was in memory when the
 * backing was asked may have been evicted since, and is data although the backing had a hole there.  So the answer that
 * units are a hole is used only for units that were absent before the backing was asked: those before `absent_end`.
 */
struct known {
	uint64_t absent_end;
	uint64_t looked_at; /* is for how many units the last look was, which the next one doubles */
	uint64_t end;
	enum zpool_store_extent kind;
};

#define FIRST_LOOK_UNITS 128

/* Sets known->absent_end for an absent key.  A look that was too long would cost more than the extent. */

static void look_ahead(struct zpool_store *store, struct zps_context *context, struct known *known, uint64_t key,
		       uint64_t last)
{
	known->looked_at = known->looked_at ? 2 * known->looked_at : FIRST_LOOK_UNITS;
	if (known->looked_at < last - key)
		last = key + known->looked_at;
	while (key++ < last)
		if (!has_leaf(store, context, key))
			key = leaf_end(key);
		else if (zps_peek(store, context, key) & ZPS_STATE)
			break;
	known->absent_end = key;
}

/* Returns the kind of an absent unit; a unit of which only a part is a hole counts as data. */
static enum zpool_store_extent kind_in_backing(struct zpool_store *store, struct zps_context *context,
					       struct known *known, uint64_t key, uint64_t last)
{
	const struct zpool_store_backing *call = &store->backing.call;
	uint64_t bytes = (last - key + 1) * store->unit_bytes;
	int64_t length = -1;
	int is_hole = 0;

	if (key < known->end)
		return known->kind;
	if (key >= known->absent_end)
		look_ahead(store, context, known, key, last);
	if (call->next_extent)
		length = call->next_extent(call->user, key * store->unit_bytes, bytes, &is_hole);
	if (length <= 0 || (uint64_t)length > bytes)
		is_hole = 0;
	known->kind = is_hole && (uint64_t)length >= store->unit_bytes ? ZPOOL_STORE_HOLE : ZPOOL_STORE_DATA;
	if (known->kind == ZPOOL_STORE_HOLE)
		known->end = key + (uint64_t)length / store->unit_bytes;
	else if (length > 0 && !is_hole)
		known->end = key + ((uint64_t)length + store->unit_bytes - 1) / store->unit_bytes;
	else
		known->end = key + 1;
	if (known->kind == ZPOOL_STORE_HOLE && known->end > known->absent_end)
		known->end = known->absent_end;
	return known->kind;
}

static enum zpool_store_extent kind_of(struct zpool_store *store, struct zps_context *context, struct known *known,
				       uint64_t key, uint64_t last)
{
	enum zpool_store_extent kind = ZPOOL_STORE_DATA;
	uint32_t state = zps_peek(store, context, key) & ZPS_STATE;
	struct zps_unit unit;
	uint32_t meta;

	if (state != ZPS_ABSENT && zps_pin(store, context, key, 0, &unit, &meta)) {
		state = meta & ZPS_STATE;
		if (state == ZPS_SAME && !unit.leaf->word[unit.slot])
			kind = ZPOOL_STORE_ZERO;
		zps_unit_unpin(unit);
	}
	if (state == ZPS_HOLE)
		return ZPOOL_STORE_HOLE;
	if (state != ZPS_ABSENT)
		return kind;
	return store->backing.present ? kind_in_backing(store, context, known, key, last) : ZPOOL_STORE_HOLE;
}

/*
 * Walks over all leaves, and returns the lowest key with a value that is at least `first` and below `last`, or `last`.
 */
static uint64_t first_value(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

	for (size_t i = 0; i < leaves; i++) {
		uint64_t base = zps_leaf_base(zps_index_leaf(&store->index, i));

		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			if (base + slot >= first && base + slot < last &&
			    (zps_peek(store, context, base + slot) & ZPS_STATE))
				last = base + slot;
	}
	return last;
}

/* Returns the last key of the extent that begins at `first`, and stores its kind. */
static uint64_t extent_end(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last,
			   enum zpool_store_extent *kind)
{
	struct known known = { 0, 0, 0, ZPOOL_STORE_HOLE };

	*kind = kind_of(store, context, &known, first, last);
	for (uint64_t key = first; key < last; key++) {
		/* All keys of a missing leaf are of the same kind, as far as the backing's last answer applies. */
		if (!has_leaf(store, context, key)) {
			uint64_t end = leaf_end(key);

			if (store->backing.present && end >= known.end)
				end = known.end > key ? known.end - 1 : key;
			key = end;
			if (key >= last)
				break;
		}
		if (kind_of(store, context, &known, key + 1, last) != *kind)
			return key;
	}
	return last;
}

/* Finds the end of an extent without a backing; the end of a long hole is found by a walk over the leaves. */
static uint64_t long_extent_end(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last,
				enum zpool_store_extent *kind)
{
	uint64_t value = first_value(store, context, first, last);
	uint64_t end;

	*kind = ZPOOL_STORE_HOLE;
	if (value > first)
		return value - 1;
	/*
	 * Data cannot be longer than the leaves, and this bound also ends the walk early if the data is dropped
	 * meanwhile.
	 */
	end = first + ZPS_LEAF_UNITS * atomic_load(&store->index.leaf_count);
	return extent_end(store, context, first, end < last ? end : last, kind);
}

int zpool_store_next_extent(struct zpool_store *store, uint64_t first, uint64_t max_count, uint64_t *count)
{
	enum zpool_store_extent kind = ZPOOL_STORE_HOLE;
	struct zps_context *context;
	uint64_t last, end;

	if (!store || !max_count || !count)
		return zpool_set_error(EINVAL,
				       "zpool_store_next_extent() was given no store, no count, or a max_count of 0.");
	if (zps_check_key(store, first))
		return -EINVAL;
	last = store->unit_count ? store->unit_count - 1 : UINT64_MAX;
	if (store->backing.present && max_count > BACKING_EXTENT_UNITS_MAX)
		max_count = BACKING_EXTENT_UNITS_MAX;
	if (max_count - 1 < last - first)
		last = first + (max_count - 1);
	context = zps_context_get(&store->contexts);
	if (!store->backing.present && zps_is_longer_than_store(store, first, last))
		end = long_extent_end(store, context, first, last, &kind);
	else
		end = extent_end(store, context, first, last, &kind);
	zps_context_put(context);
	/* An extent of all 2^64 keys is one longer than a count can express. */
	*count = end - first == UINT64_MAX ? UINT64_MAX : end - first + 1;
	return (int)kind;
}
