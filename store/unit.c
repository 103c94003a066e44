/* SPDX-License-Identifier: MIT
 *
 * unit.c - put, get and drop of single units
 *
 * A put compresses the value into its context's image and makes the object before it looks for the unit; then it locks
 * the unit only while it changes the word.  A get pins the unit while it decompresses, so that the object is not freed.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store.h"

int zps_check_key(const struct zpool_store *store, uint64_t key)
{
	if (store->unit_count && key >= store->unit_count)
		return zpool_set_error(EINVAL,
				       "The key %" PRIu64 " is beyond the store, whose keys are below %" PRIu64 ".",
				       key, store->unit_count);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Units
 */

static struct zps_unit unit_in(struct zps_leaf *leaf, uint64_t key)
{
	return (struct zps_unit){ leaf, (unsigned int)(key % ZPS_LEAF_UNITS) };
}

/* A unit whose leaf is being removed refuses the pin; the search is repeated until the leaf is no longer found. */
bool zps_pin(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t flag, struct zps_unit *unit,
	     uint32_t *meta)
{
	do {
		zps_section_begin(context);
		*unit = unit_in(zps_index_find(&store->index, key), key);
		*meta = unit->leaf ? zps_unit_pin(*unit, flag) : 0;
		zps_section_end(context);
	} while (*meta & ZPS_GONE);
	return unit->leaf;
}

static bool add_leaf(struct zpool_store *store, uint64_t key)
{
	uint64_t growth = 0;
	bool added;

	if (atomic_load_explicit(&store->limited, memory_order_relaxed))
		growth = zps_index_growth_bytes(&store->index);
	if (growth && !zps_limit_reserve(store, growth, true)) {
		if (!zps_index_sweep(&store->index))
			return false;
		growth = 0;
	}
	added = zps_index_add(&store->index, key);
	if (growth)
		zps_limit_release(store, growth);
	return added;
}

bool zps_lock(struct zpool_store *store, struct zps_context *context, uint64_t key, bool add, struct zps_unit *unit,
	      uint32_t *meta)
{
	for (;;) {
		zps_section_begin(context);
		*unit = unit_in(zps_index_find(&store->index, key), key);
		*meta = unit->leaf ? zps_unit_lock(*unit) : 0;
		zps_section_end(context);
		if (unit->leaf && !(*meta & ZPS_GONE))
			return true;
		if (!unit->leaf && (!add || !add_leaf(store, key)))
			return false;
	}
}

uint32_t zps_peek(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_leaf *leaf;
	uint32_t meta;

	zps_section_begin(context);
	leaf = zps_index_find(&store->index, key);
	meta = leaf ? zps_unit_meta(unit_in(leaf, key)) : 0;
	zps_section_end(context);
	return meta & ZPS_GONE ? 0 : meta;
}

/* Adds a unit's share to the counts of what is in the store (sign 1), or subtracts it (sign UINT64_MAX). */
static void account(struct zpool_store *store, struct zps_context *context, uint32_t meta, uint64_t word, uint64_t sign)
{
	uint32_t state = meta & ZPS_STATE;
	unsigned int version;
	size_t value_bytes;

	if (meta & ZPS_DIRTY)
		zps_count(context, ZPS_DIRTY_UNITS, sign);
	if (state == ZPS_ABSENT || state == ZPS_HOLE)
		return;
	value_bytes = zps_value_bytes(store, meta, word);
	zps_count(context, ZPS_UNITS, sign);
	zps_count(context, ZPS_ORIGINAL_BYTES, sign * value_bytes);
	if (state == ZPS_SAME && !zps_is_copied(meta)) {
		zps_count(context, ZPS_SAME_FILLED, sign);
		return;
	}
	zps_count(context, ZPS_STORED_BYTES,
		  sign * (zps_is_copied(meta) ? value_bytes : zps_object_bytes(store, meta)));
	if (meta & ZPS_RAW)
		zps_count(context, ZPS_INCOMPRESSIBLE, sign);
	version = zps_object_version(store, meta, word);
	if (version)
		zps_count(context, zps_version_count(version), sign);
}

void zps_replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, uint32_t old_meta,
		 uint32_t meta, uint64_t word)
{
	uint64_t old_word = unit.leaf->word[unit.slot];

	/*
	 * The new object is counted before the unlock, because another thread may replace and free it right afterwards.
	 */
	account(store, context, meta, word, 1);
	unit.leaf->word[unit.slot] = word;
	zps_unit_unlock(unit, meta);
	account(store, context, old_meta, old_word, UINT64_MAX);
	if ((old_meta & ZPS_STATE) == ZPS_OBJECT)
		zps_object_free(store, (unsigned long)old_word);
	else if (zps_is_copied(old_meta))
		zps_copied_free(store, old_word);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Put
 */

static int no_room_in_index(const struct zpool_store *store)
{
	if (atomic_load_explicit(&store->limited, memory_order_relaxed))
		return zpool_set_error(
			ENOMEM,
			"The store's limit leaves no room for another key: drop some keys, or raise the limit with zpool_store_set_limit().");
	return zpool_set_error(ENOMEM, "There is no memory for the store's index.");
}

/*
 * Makes a value the unit's, and returns 0.  Returns -ENOMEM if there is no room in the index; then the caller still
 * owns the object.
 */
static int publish(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta, uint64_t word)
{
	struct zps_unit unit;
	uint32_t old;

	if (!zps_lock(store, context, key, true, &unit, &old))
		return no_room_in_index(store);
	meta |= store->touch & ZPS_FRESH;
	if (store->backing.present) {
		meta |= ZPS_DIRTY;
		/* What is written again and again is in use, like what is read. */
		if (old & ZPS_STATE)
			meta |= ZPS_REFERENCED;
	}
	zps_replace(store, context, unit, old, meta, word);
	return 0;
}

/* One try.  -ENOMEM: there is no room. */
static int put_in_memory(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data,
			 const struct zps_packed *packed)
{
	unsigned long handle = 0;
	uint64_t word;
	int err;

	if (!packed->bytes) {
		memcpy(&word, data, sizeof(word));
		return publish(store, context, key, packed->meta, word);
	}
	err = zps_object_new(store, packed, &handle);
	if (err)
		return err;
	err = publish(store, context, key, packed->meta, handle);
	if (err)
		zps_object_free(store, handle);
	return err;
}

/*
 * If the limit is reached, units are evicted until the value fits; each time that this does not suffice, the holes that
 * they have left are gathered before others are evicted.  If none can be evicted, the value is written to the backing
 * at once; and if the backing fails, the limit is exceeded if the program has allowed that.
 */
static int put_with_backing(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data,
			    const struct zps_packed *packed)
{
	bool may_exceed;
	int err, room = 0;

	for (unsigned int turn = 0;; turn++) {
		err = put_in_memory(store, context, key, data, packed);
		if (err != -ENOMEM || room)
			break;
		zps_begin_making_room(store);
		if (turn % 2)
			zps_gather_room(store);
		else
			room = zps_make_room(store, context, ZPS_ROOM_PAGES);
	}
	if (err != -ENOMEM && err != -ENOSPC)
		return err;
	may_exceed = err == -ENOMEM && store->may_exceed && atomic_load(&store->limited);
	/* If the backing has failed during the eviction and the limit may be exceeded, it is not tried again. */
	if (!may_exceed || room == -EAGAIN) {
		const bool is_too_large = err == -ENOSPC;

		err = zps_write_through(store, context, key, data);
		zps_count(context, ZPS_THROUGH_TOO_LARGE, !err && is_too_large);
		if (!err || !may_exceed)
			return err;
	}
	zps_limit_exceed(store, true);
	return put_in_memory(store, context, key, data, packed);
}

/* Without the checksum, the driver would accept the value: the message of the driver would not say so. */
static int too_large_with_checksum(const struct zpool_store *store)
{
	return zpool_set_error(ENOSPC,
			       "The value does not shrink, and with its checksum it is longer than %zu bytes, which is "
			       "what the store's driver accepts: use smaller units, the driver libc, or no checksums.",
			       zpool_max_object_size(store->pool));
}

static int put(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data, size_t bytes)
{
	struct zps_packed packed = { .meta = ZPS_SAME };
	int err;

	/* The unit's leaf arrives while the value is compressed. */
	zps_section_begin(context);
	zps_index_prefetch(&store->index, key);
	zps_section_end(context);
	if (!zps_is_same_filled(store, data, bytes))
		packed = zps_pack(store, context, key, data, bytes);
	if (store->backing.present)
		return put_with_backing(store, context, key, data, &packed);
	err = put_in_memory(store, context, key, data, &packed);
	if (err == -ENOSPC && store->checks && bytes <= zpool_max_object_size(store->pool))
		return too_large_with_checksum(store);
	return err;
}

static void count_put(const struct zpool_store *store, struct zps_context *context, int err)
{
	if (!err)
		zps_count(context, ZPS_PUTS, 1);
	else if (err == -ENOMEM)
		zps_count(context, ZPS_REFUSED_LIMIT, 1);
	else if (store->backing.present)
		zps_count(context, ZPS_REFUSED_BACKING, 1);
	else
		zps_count(context, err == -ENOSPC ? ZPS_REFUSED_TOO_LARGE : ZPS_REFUSED_OTHER, 1);
}

int zpool_store_put(struct zpool_store *store, uint64_t key, const void *data, size_t bytes)
{
	struct zps_context *context;
	int err;

	if (!store || !data)
		return zpool_set_error(EINVAL, "zpool_store_put() was given no store or no data.");
	if (!bytes || bytes > store->unit_bytes)
		return zpool_set_error(EINVAL, "A value of this store has 1 to %zu bytes, not %zu.", store->unit_bytes,
				       bytes);
	if (store->backing.present && bytes != store->unit_bytes)
		return zpool_set_error(EINVAL, "A value of this store, which has a backing, has %zu bytes, not %zu.",
				       store->unit_bytes, bytes);
	err = zps_check_key(store, key);
	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	err = put(store, context, key, data, bytes);
	count_put(store, context, err);
	if (store->backing.present && !err)
		zps_keep_making_room(store, context);
	if (!err)
		zps_train_when_due(store, context);
	zps_context_put(context);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Get
 */

/* Returns the length of the value, -ENOENT if there is none in memory, or another -errno with the error set. */
static int64_t get_from_memory(struct zpool_store *store, struct zps_context *context, uint64_t key, void *buf,
			       size_t room, uint32_t touch)
{
	int64_t result = -ENOENT;
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_pin(store, context, key, touch, &unit, &meta))
		return -ENOENT;
	if ((meta & ZPS_STATE) == ZPS_HOLE)
		result = zps_value_read(store, context, key, ZPS_SAME, 0, buf, room);
	else if (meta & ZPS_STATE)
		result = zps_value_read(store, context, key, meta, unit.leaf->word[unit.slot], buf, room);
	zps_unit_unpin(unit);
	if (result >= 0 || result == -ENOBUFS)
		zps_count(context, ZPS_HITS, 1);
	else if (result != -ENOENT)
		zps_count(context, ZPS_DAMAGED, 1);
	return result;
}

static int no_value(uint64_t key)
{
	return zpool_set_error(ENOENT, "The store has no value under the key %" PRIu64 ".", key);
}

int64_t zpool_store_read(struct zpool_store *store, uint64_t key, void *buf, size_t room, uint32_t flags)
{
	bool is_reused = !(flags & ZPOOL_STORE_NOREUSE);
	struct zps_context *context;
	int64_t result;

	if (!store || !buf)
		return zpool_set_error(EINVAL, "A value cannot be read without a store or without a buffer.");
	if (flags & ~ZPOOL_STORE_NOREUSE)
		return zpool_set_error(EINVAL, "zpool_store_read() was given unknown flags (0x%x).",
				       (unsigned int)flags);
	if (zps_check_key(store, key))
		return -EINVAL;
	context = zps_context_get(&store->contexts);
	do {
		result = get_from_memory(store, context, key, buf, room, is_reused ? store->touch : 0);
		if (result != -ENOENT)
			break;
		if (store->backing.present)
			result = zps_load(store, context, key, buf, room, is_reused);
		if (result != -EAGAIN)
			zps_count(context, ZPS_MISSES, 1);
	} while (result == -EAGAIN);
	zps_context_put(context);
	return result == -ENOENT ? no_value(key) : result;
}

int64_t zpool_store_get(struct zpool_store *store, uint64_t key, void *buf, size_t room)
{
	return zpool_store_read(store, key, buf, room, 0);
}

int zpool_store_drop(struct zpool_store *store, uint64_t key)
{
	struct zps_context *context;
	struct zps_unit unit;
	bool was_there;
	uint32_t meta;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_drop() was given no store.");
	if (zps_check_key(store, key))
		return -EINVAL;
	if (store->backing.present)
		return zpool_store_drop_range(store, key, 1);
	context = zps_context_get(&store->contexts);
	was_there = zps_lock(store, context, key, false, &unit, &meta) && (meta & ZPS_STATE);
	if (unit.leaf)
		zps_replace(store, context, unit, meta, ZPS_ABSENT, 0);
	zps_count(context, ZPS_DROPS, was_there);
	zps_context_put(context);
	return was_there ? 0 : no_value(key);
}
