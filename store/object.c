/* SPDX-License-Identifier: MIT
 *
 * object.c - packing values into objects of the pool, and reading them back
 *
 * An object is a header and the payload.  The header starts with a 32-bit word, whose lower half is the length of the
 * value less 1 and whose upper half is the length of the payload less 1; if both are equal, the value is stored as it
 * is.  If the driver evicts, the key follows, from which the evict callback, which gets only a handle, finds the unit.
 * In a store with checksums, the checksum of the payload follows; it need not cover the lengths, which are compared
 * with those in the index.  If the store has dictionaries, a payload of zstd begins with a version; see dictionary.h.
 *
 * If the header has neither a key nor a checksum, a value that is stored as it is needs none, because the index has its
 * length.  Its object is then the value alone, so a unit that does not shrink fits wherever its length fits.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "checksum.h"
#include "store.h"

#define LENGTHS_BYTES sizeof(uint32_t)
#define CACHE_LINE_BYTES 64
#define PREFETCH_BYTES 4096

bool zps_is_same_filled(const struct zpool_store *store, const void *data, size_t bytes)
{
	return bytes == store->unit_bytes &&
	       !memcmp(data, (const char *)data + sizeof(uint64_t), bytes - sizeof(uint64_t));
}

/* Splits the word with the two lengths at the start of an object, and returns false if they are not plausible. */
static bool lengths_split(uint32_t lengths, size_t *value_bytes, size_t *payload_bytes)
{
	*value_bytes = (lengths & 0xffff) + (size_t)1;
	*payload_bytes = (lengths >> 16) + (size_t)1;
	return *payload_bytes <= *value_bytes;
}

/*
 * Compresses a value, and returns the length, or 0 if the object would not become shorter than with the value as it is.
 */
static size_t compress(const struct zpool_store *store, const struct zps_packer *packer, const void *data, size_t bytes,
		       void *to)
{
	size_t extra_bytes = store->header_bytes - store->raw_header_bytes + 1;
	size_t length;

	if (!packer->choice->compressor || bytes <= extra_bytes)
		return 0;
	length = zps_compress(store, packer, data, bytes, to, bytes - extra_bytes);
	return length <= bytes - extra_bytes ? length : 0;
}

static void write_header(const struct zpool_store *store, unsigned char *image, uint64_t key, size_t bytes,
			 size_t length)
{
	uint32_t lengths = (uint32_t)(bytes - 1) | (uint32_t)(length - 1) << 16;

	memcpy(image, &lengths, sizeof(lengths));
	if (store->evicts)
		memcpy(image + LENGTHS_BYTES, &key, sizeof(key));
	if (store->checks) {
		unsigned char *payload = image + store->header_bytes;
		uint64_t checksum = zps_checksum(key, payload, length);

		memcpy(payload - ZPS_CHECKSUM_BYTES, &checksum, sizeof(checksum));
	}
}

struct zps_packed zps_pack_with(const struct zpool_store *store, const struct zps_packer *packer, unsigned char *image,
				uint64_t key, const void *data, size_t bytes)
{
	unsigned char *payload = image + store->header_bytes;
	size_t length = compress(store, packer, data, bytes, payload);
	struct zps_packed packed = { .from = image, .meta = ZPS_OBJECT };

	if (bytes < store->unit_bytes)
		packed.meta |= ZPS_SHORT;
	if (!length) {
		length = bytes;
		packed.meta |= ZPS_RAW;
	}
	packed.meta |= (uint32_t)(length - 1) << ZPS_LENGTH_SHIFT;
	packed.bytes = zps_object_bytes(store, packed.meta);
	if ((packed.meta & ZPS_RAW) && !store->raw_header_bytes) {
		packed.from = data;
		return packed;
	}
	if (packed.meta & ZPS_RAW)
		memcpy(payload, data, bytes);
	write_header(store, image, key, bytes, length);
	return packed;
}

/*
 * Starts to load an object's cache lines.  They arrive together, while those that a copy or a decompressor asks for
 * arrive a few at a time.
 */
static void prefetch(const void *object, size_t bytes, bool is_written)
{
	const char *end = (const char *)object + (bytes < PREFETCH_BYTES ? bytes : PREFETCH_BYTES);

	for (const char *line = object; line < end; line += CACHE_LINE_BYTES) {
		if (is_written)
			__builtin_prefetch(line, 1);
		else
			__builtin_prefetch(line);
	}
}

/* Eviction can read the key of any object, so an object is locked while it is written or freed. */
static void handle_lock(struct zpool_store *store, unsigned long handle)
{
	if (store->evicts)
		pthread_mutex_lock(&store->handle_lock[handle % ZPS_HANDLE_LOCKS]);
}

static void handle_unlock(struct zpool_store *store, unsigned long handle)
{
	if (store->evicts)
		pthread_mutex_unlock(&store->handle_lock[handle % ZPS_HANDLE_LOCKS]);
}

static int write_object(struct zpool_store *store, unsigned long handle, const void *image, size_t bytes)
{
	void *address = zpool_map_handle(store->pool, handle, ZPOOL_MM_WO);

	if (address) {
		prefetch(address, bytes, true);
		memcpy(address, image, bytes);
		zpool_unmap_handle(store->pool, handle);
		return 0;
	}
	return zpool_obj_write(store->pool, handle, image, bytes, 0) == (int64_t)bytes ? 0 : -EIO;
}

int zps_object_new(struct zpool_store *store, const struct zps_packed *packed, unsigned long *handle)
{
	int err = zpool_malloc(store->pool, packed->bytes, ZPOOL_GFP_KERNEL, handle);

	if (err)
		return err;
	handle_lock(store, *handle);
	err = write_object(store, *handle, packed->from, packed->bytes);
	handle_unlock(store, *handle);
	if (err)
		zps_object_free(store, *handle);
	return err;
}

size_t zps_value_bytes(struct zpool_store *store, uint32_t meta, uint64_t word)
{
	size_t value_bytes, payload_bytes;
	uint32_t lengths;

	if (!(meta & ZPS_SHORT))
		return store->unit_bytes;
	if (meta & ZPS_RAW)
		return (meta >> ZPS_LENGTH_SHIFT) + (size_t)1;
	if (zpool_obj_read(store->pool, (unsigned long)word, &lengths, sizeof(lengths), 0) !=
		    (int64_t)sizeof(lengths) ||
	    !lengths_split(lengths, &value_bytes, &payload_bytes))
		return 0;
	return value_bytes;
}

void zps_object_free(struct zpool_store *store, unsigned long handle)
{
	handle_lock(store, handle);
	zpool_free(store->pool, handle);
	handle_unlock(store, handle);
}

bool zps_object_key(struct zpool_store *store, unsigned long handle, uint64_t *key)
{
	int64_t done;

	handle_lock(store, handle);
	done = zpool_obj_read(store->pool, handle, key, sizeof(*key), LENGTHS_BYTES);
	handle_unlock(store, handle);
	return done == (int64_t)sizeof(*key);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Reading
 */

/* Returns the address of an object, or of a copy in the context if the driver cannot map it, or NULL. */
static const unsigned char *object_begin(struct zpool_store *store, struct zps_context *context, unsigned long handle,
					 size_t bytes)
{
	const unsigned char *address = zpool_map_handle(store->pool, handle, ZPOOL_MM_RO);

	if (address) {
		prefetch(address, bytes, false);
		return address;
	}
	return zpool_obj_read(store->pool, handle, context->copy, bytes, 0) == (int64_t)bytes ? context->copy : NULL;
}

static void object_end(struct zpool_store *store, const struct zps_context *context, unsigned long handle,
		       const unsigned char *object)
{
	if (object && object != context->copy)
		zpool_unmap_handle(store->pool, handle);
}

static int damaged(void)
{
	return zpool_set_error(
		EIO,
		"The pool did not return the bytes that were stored: the program overwrote memory of the pool, or its driver is faulty. Open the pool with the spec guard+DRIVER to find out which.");
}

static int too_little_room(size_t room, size_t value_bytes)
{
	return zpool_set_error(ENOBUFS, "The value has %zu bytes, and there is room for %zu.", value_bytes, room);
}

static bool checksum_matches(uint64_t key, const unsigned char *payload, size_t bytes)
{
	uint64_t checksum;

	memcpy(&checksum, payload - ZPS_CHECKSUM_BYTES, sizeof(checksum));
	return checksum == zps_checksum(key, payload, bytes);
}

static const struct zps_choice *choice_of(const struct zpool_store *store, uint32_t meta)
{
	return meta & ZPS_SECOND ? &store->contexts.second : &store->contexts.choice;
}

unsigned int zps_object_version(struct zpool_store *store, uint32_t meta, uint64_t word)
{
	unsigned char version;

	if ((meta & ZPS_RAW) || !zps_has_version(store, choice_of(store, meta)) ||
	    zpool_obj_read(store->pool, (unsigned long)word, &version, 1, store->header_bytes) != 1)
		return 0;
	return version <= ZPS_DICTIONARIES ? version : 0;
}

/* Decompresses a payload, and returns false if it does not have the length that its header says. */
static bool decompress(const struct zpool_store *store, const struct zps_context *context, uint32_t meta,
		       const unsigned char *payload, size_t payload_bytes, void *buf, size_t value_bytes)
{
	const struct zps_choice *choice = choice_of(store, meta);
	void *state = (meta & ZPS_SECOND) && context->second ? context->second : context->state;

	return choice->compressor &&
	       zps_decompress(store, choice, state, payload, payload_bytes, buf, value_bytes) == value_bytes;
}

/* Returns the length of an object's value, or 0 if the lengths in its header do not agree with those in the index. */
static size_t checked_value_bytes(const struct zpool_store *store, uint32_t meta, const unsigned char *object)
{
	size_t value_bytes, payload_bytes;
	uint32_t lengths;

	memcpy(&lengths, object, sizeof(lengths));
	if (!lengths_split(lengths, &value_bytes, &payload_bytes) || payload_bytes - 1 != meta >> ZPS_LENGTH_SHIFT ||
	    value_bytes > store->unit_bytes || (value_bytes < store->unit_bytes) != !!(meta & ZPS_SHORT) ||
	    (value_bytes == payload_bytes) != !!(meta & ZPS_RAW))
		return 0;
	return value_bytes;
}

/* Copies the value of an object to `buf`.  The lengths are checked first, so that damage is found early. */
static int64_t unpack(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta,
		      const unsigned char *object, void *buf, size_t room)
{
	size_t payload_bytes = (meta >> ZPS_LENGTH_SHIFT) + (size_t)1;
	size_t value_bytes = payload_bytes;

	if (!object)
		return damaged();
	if (!(meta & ZPS_RAW) || store->raw_header_bytes) {
		value_bytes = checked_value_bytes(store, meta, object);
		object += store->header_bytes;
	}
	if (!value_bytes)
		return damaged();
	if (value_bytes > room)
		return too_little_room(room, value_bytes);
	if (store->checks && !checksum_matches(key, object, payload_bytes))
		return damaged();
	if (meta & ZPS_RAW)
		memcpy(buf, object, value_bytes);
	else if (!decompress(store, context, meta, object, payload_bytes, buf, value_bytes))
		return damaged();
	return (int64_t)value_bytes;
}

static int64_t fill(const struct zpool_store *store, uint64_t word, unsigned char *buf, size_t room)
{
	if (room < store->unit_bytes)
		return too_little_room(room, store->unit_bytes);
	for (size_t at = 0; at < store->unit_bytes; at += sizeof(word))
		memcpy(buf + at, &word, sizeof(word));
	return (int64_t)store->unit_bytes;
}

static int64_t copy(const struct zpool_store *store, uint64_t word, unsigned char *buf, size_t room)
{
	if (room < store->unit_bytes)
		return too_little_room(room, store->unit_bytes);
	memcpy(buf, (const void *)(uintptr_t)word, store->unit_bytes);
	return (int64_t)store->unit_bytes;
}

int64_t zps_value_read(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta,
		       uint64_t word, void *buf, size_t room)
{
	const unsigned char *object;
	int64_t result;

	if ((meta & ZPS_STATE) == ZPS_SAME)
		return zps_is_copied(meta) ? copy(store, word, buf, room) : fill(store, word, buf, room);
	object = object_begin(store, context, (unsigned long)word, zps_object_bytes(store, meta));
	result = unpack(store, context, key, meta, object, buf, room);
	object_end(store, context, (unsigned long)word, object);
	return result;
}
