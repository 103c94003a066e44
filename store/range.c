/* SPDX-License-Identifier: MIT
 *
 * range.c - many keys at once
 *
 * A range is gone through leaf by leaf, key after key; one that has more leaves' worth of keys than the
 * store has leaves
 * is gone through by way of the chunks instead.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "store.h"

/* 0, and the last key, or -EINVAL with the error told. */
static int check_range(const struct zpool_store *store, uint64_t first, uint64_t count, uint64_t *last)
{
	if (!store || !count)
		return zpool_set_error(EINVAL, "A range of keys was asked for without a store, or of no key.");
	*last = first + (count - 1);
	if (*last < first || (store->unit_count && *last >= store->unit_count))
		return zpool_set_error(EINVAL,
				       "The range of %" PRIu64 " keys from %" PRIu64 " on goes beyond the store.",
				       count, first);
	return 0;
}

static bool is_longer_than_store(const struct zpool_store *store, uint64_t first, uint64_t last)
{
	return (last - first) / ZPS_LEAF_UNITS > atomic_load(&store->index.leaf_count);
}

static void drop_unit(struct zpool_store *store, struct zps_context *context, struct zps_unit unit)
{
	if (zps_unit_state(unit) != ZPS_ABSENT && zps_replace(store, context, unit, ZPS_ABSENT, 0))
		zps_count(context, ZPS_DROPS, 1);
}

static void drop_in_leaf(struct zpool_store *store, struct zps_context *context, struct zps_leaf *leaf, uint64_t first,
			 uint64_t last)
{
	for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
		if (leaf->base + slot >= first && leaf->base + slot <= last)
			drop_unit(store, context, (struct zps_unit){ leaf, slot });
}

int zpool_store_drop_range(struct zpool_store *store, uint64_t first, uint64_t count)
{
	struct zps_context *context;
	uint64_t last;
	int err = check_range(store, first, count, &last);

	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	if (is_longer_than_store(store, first, last)) {
		size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

		for (size_t i = 0; i < leaves; i++)
			drop_in_leaf(store, context, zps_index_leaf(&store->index, i), first, last);
	} else {
		for (uint64_t base = first - first % ZPS_LEAF_UNITS;; base += ZPS_LEAF_UNITS) {
			struct zps_leaf *leaf = zps_find(store, context, base).leaf;

			if (leaf)
				drop_in_leaf(store, context, leaf, first, last);
			if (last - base < ZPS_LEAF_UNITS)
				break;
		}
	}
	zps_context_put(context);
	return 0;
}

int zpool_store_zero_range(struct zpool_store *store, uint64_t first, uint64_t count)
{
	struct zps_context *context;
	uint64_t last;
	int err = check_range(store, first, count, &last);

	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	for (uint64_t key = first; !err; key++) {
		struct zps_unit unit = zps_find_or_add(store, context, key);

		if (unit.leaf)
			zps_replace(store, context, unit, ZPS_SAME, 0);
		else
			err = -ENOMEM;
		if (key == last)
			break;
	}
	zps_context_put(context);
	return err ? zpool_set_error(ENOMEM,
				     "There is no memory for the index of the whole range: the limit is reached, "
				     "or the system has none.")
		   : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Extents
 */

static enum zpool_store_extent kind_of(struct zps_unit unit)
{
	enum zpool_store_extent kind = ZPOOL_STORE_DATA;
	uint32_t state;

	if (zps_unit_state(unit) == ZPS_ABSENT)
		return ZPOOL_STORE_HOLE;
	state = zps_unit_pin(unit);
	if (state == ZPS_ABSENT)
		kind = ZPOOL_STORE_HOLE;
	else if (state == ZPS_SAME && !unit.leaf->word[unit.slot])
		kind = ZPOOL_STORE_ZERO;
	zps_unit_unpin(unit);
	return kind;
}

/* The first key from `first` on and below `last` that has a value, found by way of the chunks; `last` if none has. */
static uint64_t first_value(const struct zpool_store *store, uint64_t first, uint64_t last)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

	for (size_t i = 0; i < leaves; i++) {
		struct zps_leaf *leaf = zps_index_leaf(&store->index, i);

		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			if (leaf->base + slot >= first && leaf->base + slot < last &&
			    kind_of((struct zps_unit){ leaf, slot }) != ZPOOL_STORE_HOLE)
				last = leaf->base + slot;
	}
	return last;
}

/* The last key of the extent, which begins at `first`. */
static uint64_t extent_end(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last,
			   enum zpool_store_extent *kind)
{
	struct zps_leaf *leaf = NULL;
	uint64_t key = first;

	for (;; key++) {
		enum zpool_store_extent here = ZPOOL_STORE_HOLE;

		if (!leaf || key % ZPS_LEAF_UNITS == 0)
			leaf = zps_find(store, context, key).leaf;
		if (leaf)
			here = kind_of((struct zps_unit){ leaf, (unsigned int)(key % ZPS_LEAF_UNITS) });
		if (key == first)
			*kind = here;
		else if (here != *kind)
			return key - 1;
		if (!leaf) /* on to the end of the leaf that is not there */
			key |= ZPS_LEAF_UNITS - 1;
		if (key >= last)
			return last;
	}
}

int zpool_store_next_extent(struct zpool_store *store, uint64_t first, uint64_t max_count, uint64_t *count)
{
	enum zpool_store_extent kind = ZPOOL_STORE_HOLE;
	struct zps_context *context;
	uint64_t last, end;

	if (!store || !max_count || !count)
		return zpool_set_error(EINVAL,
				       "zpool_store_next_extent() was given no store, no key or nowhere to put the "
				       "length.");
	if (zps_check_key(store, first))
		return -EINVAL;
	last = store->unit_count ? store->unit_count - 1 : UINT64_MAX;
	if (max_count - 1 < last - first)
		last = first + (max_count - 1);
	context = zps_context_get(&store->contexts);
	if (is_longer_than_store(store, first, last)) {
		uint64_t value = first_value(store, first, last);

		/* Data is no longer than the store; and if it is dropped just now, the walk still ends soon. */
		end = value > first ? value - 1 : first + ZPS_LEAF_UNITS * atomic_load(&store->index.leaf_count);
		if (value == first)
			end = extent_end(store, context, first, end < last ? end : last, &kind);
	} else {
		end = extent_end(store, context, first, last, &kind);
	}
	zps_context_put(context);
	/* All 2^64 keys are one more than a count can say. */
	*count = end - first == UINT64_MAX ? UINT64_MAX : end - first + 1;
	return (int)kind;
}
