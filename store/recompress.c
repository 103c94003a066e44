/* SPDX-License-Identifier: MIT
 *
 * recompress.c - recompression of idle values with a second, stronger compressor
 *
 * A unit is pinned while its value is compressed, so it cannot change; then the pin becomes a lock, and the word is
 * replaced.  If other threads use the unit at that moment, the result is discarded, because the unit is not idle.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "store.h"

struct zps_recompression {
	pthread_mutex_t lock; /* guards all members, so that one thread recompresses at a time */
	void *state;          /* is the second compressor's state */
	size_t hand;          /* is the number of the leaf at which the program's next call continues */
	size_t idle_hand;     /* is the same for zps_recompress_idle() */
	size_t bytes;         /* is the length of this structure with its buffers */
	unsigned char *value;
	unsigned char image[];
};

/* Counts the memory of recompression.  With a new dictionary, the state may have grown. */
static void count_memory(struct zpool_store *store)
{
	struct zps_recompression *recompression = store->recompression;

	atomic_store_explicit(&store->contexts.extra_bytes,
			      recompression->bytes +
				      store->contexts.second.compressor->context_bytes(recompression->state),
			      memory_order_relaxed);
}

int zps_recompression_init(struct zpool_store *store)
{
	const struct zps_choice *choice = &store->contexts.second;
	size_t image_bytes = store->unit_bytes + store->header_bytes;
	size_t bytes = sizeof(struct zps_recompression) + image_bytes + store->unit_bytes;
	struct zps_recompression *recompression;

	if (!choice->compressor)
		return zpool_set_error(
			EINVAL,
			"A store's recompressor cannot be \"none\", which compresses nothing: name a compressor, or leave it NULL.");
	recompression = calloc(1, bytes);
	if (!recompression)
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	pthread_mutex_init(&recompression->lock, NULL);
	store->recompression = recompression;
	recompression->value = recompression->image + image_bytes;
	recompression->state = choice->compressor->create(choice->level);
	if (!recompression->state)
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	recompression->bytes = bytes;
	/*
	 * Compressing something once makes the compressor allocate all of its memory, so that its size can be counted.
	 */
	choice->compressor->compress(recompression->state, recompression->value, store->unit_bytes,
				     recompression->image, store->unit_bytes - 1);
	count_memory(store);
	return 0;
}

void zps_recompression_fini(struct zpool_store *store)
{
	struct zps_recompression *recompression = store->recompression;

	if (!recompression)
		return;
	if (recompression->state)
		store->contexts.second.compressor->destroy(recompression->state);
	pthread_mutex_destroy(&recompression->lock);
	free(recompression);
}

static void set_bits(struct zps_unit unit, uint32_t bits)
{
	atomic_fetch_or_explicit(&unit.leaf->meta[unit.slot], bits, memory_order_relaxed);
}

/* Replaces the object of a pinned unit, unless the unit is in use.  The pin ends in either case. */
static void replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit,
		    const struct zps_packed *packed)
{
	unsigned long handle;
	uint32_t old, meta;

	if (zps_object_new(store, packed, &handle)) {
		zps_unit_unpin(unit);
		return;
	}
	if (!zps_unit_upgrade(unit, &old)) {
		zps_unit_unpin(unit);
		zps_object_free(store, handle);
		return;
	}
	zps_count(context, ZPS_RECOMPRESSED, 1);
	zps_count(context, ZPS_RECOMPRESS_SAVED, zps_object_bytes(store, old) - packed->bytes);
	meta = packed->meta | (old & (ZPS_DIRTY | ZPS_WRITING | ZPS_REFERENCED)) | ZPS_SECOND;
	zps_replace(store, context, unit, old, meta, handle);
}

/* Recompresses the value of a pinned unit, and ends the pin. */
static void recompress_pinned(struct zpool_store *store, struct zps_context *context, uint64_t key,
			      struct zps_unit unit, uint32_t meta)
{
	struct zps_recompression *recompression = store->recompression;
	int64_t length = zps_value_read(store, context, key, meta, unit.leaf->word[unit.slot], recompression->value,
					store->unit_bytes);
	struct zps_packer packer = { &store->contexts.second, recompression->state, 0 };
	struct zps_packed packed;

	if (length < 0) {
		zps_unit_unpin(unit);
		return;
	}
	packer.version = zps_dictionary_begin(store, context);
	packed = zps_pack_with(store, &packer, recompression->image, key, recompression->value, (size_t)length);
	if (packed.bytes < zps_object_bytes(store, meta)) {
		replace(store, context, unit, &packed);
		return;
	}
	/* A value that is stored as it is needs no decompressor, so it may be marked as tried. */
	if (meta & ZPS_RAW)
		set_bits(unit, ZPS_SECOND);
	zps_unit_unpin(unit);
}

/*
 * Returns true if a value that the second compressor has shrunk was compressed with another than the current
 * dictionary.
 */
static bool is_outdated(struct zpool_store *store, uint32_t meta, uint64_t word)
{
	return zps_has_version(store, &store->contexts.second) && !(meta & ZPS_RAW) &&
	       zps_object_version(store, meta, word) != atomic_load(&store->dictionaries->current);
}

/* Returns true if the second compressor has to be run on the value of a pinned unit. */
static bool is_due(struct zpool_store *store, struct zps_unit unit, uint32_t meta, uint32_t flags)
{
	bool all = flags & ZPOOL_STORE_RECOMPRESS_ALL;

	if ((meta & ZPS_STATE) != ZPS_OBJECT)
		return false;
	if (meta & ZPS_SECOND)
		return all && is_outdated(store, meta, unit.leaf->word[unit.slot]);
	return all || !(meta & ZPS_FRESH);
}

/* Returns true if the second compressor was run on the value; otherwise the unit counts as idle from now on. */
static bool recompress(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t flags)
{
	struct zps_unit unit;
	uint32_t meta;

	if ((zps_peek(store, context, key) & ZPS_STATE) != ZPS_OBJECT || !zps_pin(store, context, key, 0, &unit, &meta))
		return false;
	if (is_due(store, unit, meta, flags)) {
		recompress_pinned(store, context, key, unit, meta);
		return true;
	}
	atomic_fetch_and_explicit(&unit.leaf->meta[unit.slot], ~ZPS_FRESH, memory_order_relaxed);
	zps_unit_unpin(unit);
	return false;
}

/*
 * Makes one pass over the leaves, or continues one that max_units has ended early, and returns true if max_units ends
 * this one.  A call without that limit makes a whole pass.
 */
static bool pass(struct zpool_store *store, struct zps_context *context, size_t *hand, uint32_t flags,
		 uint64_t max_units)
{
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);
	uint64_t units = 0;

	if (*hand >= leaves || !max_units)
		*hand = 0;
	while (*hand < leaves) {
		uint64_t base = zps_leaf_base(zps_index_leaf(&store->index, *hand));

		if (max_units && units >= max_units)
			return true;
		++*hand;
		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			units += recompress(store, context, base + slot, flags);
	}
	return false;
}

static bool pass_locked(struct zpool_store *store, size_t *hand, uint32_t flags, uint64_t max_units)
{
	struct zps_context *context = zps_context_get(&store->contexts);
	bool ended;

	pthread_mutex_lock(&store->recompression->lock);
	ended = pass(store, context, hand, flags, max_units);
	if (store->dictionaries) {
		count_memory(store);
		zps_limit_release(store, 0);
	}
	pthread_mutex_unlock(&store->recompression->lock);
	zps_context_put(context);
	return ended;
}

void zps_recompress_idle(struct zpool_store *store, uint64_t max_units)
{
	(void)pass_locked(store, &store->recompression->idle_hand, 0, max_units);
}

int zpool_store_recompress(struct zpool_store *store, uint32_t flags, uint64_t max_units)
{

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_recompress() was given no store.");
	if (flags & ~ZPOOL_STORE_RECOMPRESS_ALL)
		return zpool_set_error(EINVAL, "zpool_store_recompress() was given unknown flags (0x%x).",
				       (unsigned int)flags);
	if (!store->recompression)
		return zpool_set_error(EOPNOTSUPP, "The store was opened without a recompressor.");
	return pass_locked(store, &store->recompression->hand, flags, max_units);
}
