/* SPDX-License-Identifier: MIT
 *
 * unit.c - put, get and drop
 *
 * A put compresses into its context and makes the object before it looks for the unit; then it locks the unit for the
 * moment in which the word changes.  A get pins the unit while it decompresses, so that the object is not freed.
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

static struct zps_unit unit_in(struct zps_leaf *leaf, uint64_t key)
{
	return (struct zps_unit){ leaf, (unsigned int)(key % ZPS_LEAF_UNITS) };
}

struct zps_unit zps_find(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_leaf *leaf;

	zps_section_begin(context);
	leaf = zps_index_find(&store->index, key);
	zps_section_end(context);
	return unit_in(leaf, key);
}

struct zps_unit zps_find_or_add(struct zpool_store *store, struct zps_context *context, uint64_t key)
{
	struct zps_unit unit = zps_find(store, context, key);
	uint64_t growth = 0;

	if (unit.leaf)
		return unit;
	if (atomic_load_explicit(&store->limited, memory_order_relaxed))
		growth = zps_index_growth_bytes(&store->index);
	if (growth && !zps_limit_reserve(store, growth))
		return unit;
	unit = unit_in(zps_index_add(&store->index, key), key);
	if (growth)
		zps_limit_release(store, growth);
	return unit;
}

/* The four bytes at an object's head, and whether they can be true. */
static bool header_split(uint32_t header, size_t *value_bytes, size_t *payload_bytes)
{
	*value_bytes = (header & 0xffff) + (size_t)1;
	*payload_bytes = (header >> 16) + (size_t)1;
	return *payload_bytes <= *value_bytes;
}

static size_t header_of_object(struct zpool_store *store, unsigned long handle, size_t *payload_bytes)
{
	size_t value_bytes;
	uint32_t header;

	if (zpool_obj_read(store->pool, handle, &header, sizeof(header), 0) != (int64_t)sizeof(header) ||
	    !header_split(header, &value_bytes, payload_bytes))
		return 0;
	return value_bytes;
}

/* Add a unit's share of the live counts, or take it away. */
static void account(struct zpool_store *store, struct zps_context *context, uint32_t state, uint64_t word,
		    bool is_added)
{
	uint64_t sign = is_added ? 1 : UINT64_MAX;
	size_t value_bytes = store->unit_bytes;
	size_t payload_bytes = 0;

	zps_count(context, ZPS_UNITS, sign);
	if (state == ZPS_SAME) {
		zps_count(context, ZPS_SAME_FILLED, sign);
	} else {
		value_bytes = header_of_object(store, (unsigned long)word, &payload_bytes);
		zps_count(context, ZPS_STORED_BYTES, sign * (payload_bytes + ZPS_HEADER_BYTES));
		if (payload_bytes == value_bytes)
			zps_count(context, ZPS_INCOMPRESSIBLE, sign);
	}
	zps_count(context, ZPS_ORIGINAL_BYTES, sign * value_bytes);
}

bool zps_replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, uint32_t state,
		 uint64_t word)
{
	uint32_t old_state;
	uint64_t old_word;

	if (state != ZPS_ABSENT)
		account(store, context, state, word, true);
	old_state = zps_unit_lock(unit);
	old_word = unit.leaf->word[unit.slot];
	unit.leaf->word[unit.slot] = word;
	zps_unit_unlock(unit, state);
	if (old_state == ZPS_ABSENT)
		return false;
	account(store, context, old_state, old_word, false);
	if (old_state == ZPS_OBJECT)
		zpool_free(store->pool, (unsigned long)old_word);
	return true;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Put
 */

/* It is, if it equals itself one word further on. */
static bool is_same_filled(const struct zpool_store *store, const unsigned char *data, size_t bytes)
{
	return bytes == store->unit_bytes && !memcmp(data, data + sizeof(uint64_t), bytes - sizeof(uint64_t));
}

/* Fill the context's image.  Its length. */
static size_t pack(const struct zpool_store *store, struct zps_context *context, const void *data, size_t bytes)
{
	const struct zpool_store_compressor *compressor = store->contexts.choice.compressor;
	unsigned char *payload = context->image + ZPS_HEADER_BYTES;
	size_t length = 0;
	uint32_t header;

	if (compressor && bytes > 1)
		length = compressor->compress(context->state, data, bytes, payload, bytes - 1);
	if (!length || length >= bytes) {
		memcpy(payload, data, bytes);
		length = bytes;
	}
	header = (uint32_t)(bytes - 1) | (uint32_t)(length - 1) << 16;
	memcpy(context->image, &header, sizeof(header));
	return length + ZPS_HEADER_BYTES;
}

static int write_object(struct zpool_store *store, unsigned long handle, const void *image, size_t bytes)
{
	void *address = zpool_map_handle(store->pool, handle, ZPOOL_MM_WO);

	if (address) {
		memcpy(address, image, bytes);
		zpool_unmap_handle(store->pool, handle);
		return 0;
	}
	return zpool_obj_write(store->pool, handle, image, bytes, 0) == (int64_t)bytes ? 0 : -EIO;
}

static int make_object(struct zpool_store *store, struct zps_context *context, size_t bytes, unsigned long *handle)
{
	int err = zpool_malloc(store->pool, bytes, ZPOOL_GFP_KERNEL, handle);

	if (err)
		return err;
	err = write_object(store, *handle, context->image, bytes);
	if (err)
		zpool_free(store->pool, *handle);
	return err;
}

static int no_room_in_index(const struct zpool_store *store)
{
	if (atomic_load_explicit(&store->limited, memory_order_relaxed))
		return zpool_set_error(ENOMEM, "The store's limit leaves no room for another key. Drop something, or "
					       "raise the limit with zpool_store_set_limit().");
	return zpool_set_error(ENOMEM, "There is no memory for the store's index.");
}

static int put(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data, size_t bytes)
{
	struct zps_unit unit = zps_find_or_add(store, context, key);
	unsigned long handle = 0;
	uint64_t word;
	int err;

	if (!unit.leaf)
		return no_room_in_index(store);
	if (is_same_filled(store, data, bytes)) {
		memcpy(&word, data, sizeof(word));
		zps_replace(store, context, unit, ZPS_SAME, word);
		return 0;
	}
	err = make_object(store, context, pack(store, context, data, bytes), &handle);
	if (!err)
		zps_replace(store, context, unit, ZPS_OBJECT, handle);
	return err;
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
	err = zps_check_key(store, key);
	if (err)
		return err;
	context = zps_context_get(&store->contexts);
	err = put(store, context, key, data, bytes);
	if (!err)
		zps_count(context, ZPS_PUTS, 1);
	else if (err == -ENOMEM)
		zps_count(context, ZPS_REFUSED_LIMIT, 1);
	else
		zps_count(context, err == -ENOSPC ? ZPS_REFUSED_TOO_LARGE : ZPS_REFUSED_OTHER, 1);
	zps_context_put(context);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Get
 */

/* An object's address and length; where the driver maps none, a copy in the context's image. */
static const unsigned char *object_begin(struct zpool_store *store, struct zps_context *context, unsigned long handle,
					 size_t *bytes)
{
	const unsigned char *address = zpool_map_handle(store->pool, handle, ZPOOL_MM_RO);
	size_t most = store->unit_bytes + ZPS_HEADER_BYTES;
	int64_t size = zpool_obj_size(store->pool, handle);

	*bytes = size >= 0 && (uint64_t)size < most ? (size_t)size : most;
	if (address)
		return address;
	return zpool_obj_read(store->pool, handle, context->image, *bytes, 0) == (int64_t)*bytes ? context->image
												 : NULL;
}

static void object_end(struct zpool_store *store, const struct zps_context *context, unsigned long handle,
		       const unsigned char *object)
{
	if (object && object != context->image)
		zpool_unmap_handle(store->pool, handle);
}

static int damaged(void)
{
	return zpool_set_error(EIO,
			       "The pool did not return the bytes that were stored: the program overwrote memory of "
			       "the pool, or its driver is faulty. The pool spec guard+DRIVER finds which.");
}

static int too_little_room(size_t room, size_t value_bytes)
{
	return zpool_set_error(ENOBUFS, "The value has %zu bytes, and there is room for %zu.", value_bytes, room);
}

static int64_t unpack(struct zpool_store *store, struct zps_context *context, const unsigned char *object, size_t bytes,
		      void *buf, size_t room)
{
	const struct zpool_store_compressor *compressor = store->contexts.choice.compressor;
	size_t value_bytes, payload_bytes;
	uint32_t header;

	if (!object)
		return damaged();
	memcpy(&header, object, sizeof(header));
	if (!header_split(header, &value_bytes, &payload_bytes) || payload_bytes + ZPS_HEADER_BYTES > bytes ||
	    value_bytes > store->unit_bytes)
		return damaged();
	if (value_bytes > room)
		return too_little_room(room, value_bytes);
	object += ZPS_HEADER_BYTES;
	if (payload_bytes == value_bytes)
		memcpy(buf, object, value_bytes);
	else if (!compressor ||
		 compressor->decompress(context->state, object, payload_bytes, buf, value_bytes) != value_bytes)
		return damaged();
	return (int64_t)value_bytes;
}

static void fill(void *buf, uint64_t word, size_t bytes)
{
	unsigned char *to = buf;

	for (size_t at = 0; at < bytes; at += sizeof(word))
		memcpy(to + at, &word, sizeof(word));
}

static int64_t get(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, void *buf, size_t room)
{
	uint32_t state = zps_unit_pin(unit);
	uint64_t word = unit.leaf->word[unit.slot];
	int64_t result = -ENOENT;

	if (state == ZPS_SAME) {
		result = (int64_t)store->unit_bytes;
		if (room < store->unit_bytes)
			result = too_little_room(room, store->unit_bytes);
		else
			fill(buf, word, store->unit_bytes);
	} else if (state == ZPS_OBJECT) {
		size_t bytes;
		const unsigned char *object = object_begin(store, context, (unsigned long)word, &bytes);

		result = unpack(store, context, object, bytes, buf, room);
		object_end(store, context, (unsigned long)word, object);
	}
	zps_unit_unpin(unit);
	return result;
}

static int no_value(uint64_t key)
{
	return zpool_set_error(ENOENT, "The store has no value under the key %" PRIu64 ".", key);
}

int64_t zpool_store_get(struct zpool_store *store, uint64_t key, void *buf, size_t room)
{
	struct zps_context *context;
	struct zps_unit unit;
	int64_t result = -ENOENT;

	if (!store || !buf)
		return zpool_set_error(EINVAL, "zpool_store_get() was given no store or no buffer.");
	if (zps_check_key(store, key))
		return -EINVAL;
	context = zps_context_get(&store->contexts);
	unit = zps_find(store, context, key);
	if (unit.leaf)
		result = get(store, context, unit, buf, room);
	if (result >= 0 || result == -ENOBUFS)
		zps_count(context, ZPS_HITS, 1);
	else
		zps_count(context, result == -ENOENT ? ZPS_MISSES : ZPS_DAMAGED, 1);
	zps_context_put(context);
	return result == -ENOENT ? no_value(key) : result;
}

int zpool_store_drop(struct zpool_store *store, uint64_t key)
{
	struct zps_context *context;
	struct zps_unit unit;
	bool was_there;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_drop() was given no store.");
	if (zps_check_key(store, key))
		return -EINVAL;
	context = zps_context_get(&store->contexts);
	unit = zps_find(store, context, key);
	was_there = unit.leaf && zps_replace(store, context, unit, ZPS_ABSENT, 0);
	zps_count(context, ZPS_DROPS, was_there);
	zps_context_put(context);
	return was_there ? 0 : no_value(key);
}
