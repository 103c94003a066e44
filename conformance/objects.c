/* SPDX-License-Identifier: MIT
 *
 * objects.c - objects with known contents, and sets of them
 */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

void ct_bytes_get(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	int64_t got;

	if (ct_can(ZPOOL_CAP_MAP)) {
		const char *address = zpool_map_handle(pool, handle, ZPOOL_MM_RO);

		CT_CHECK(address != NULL, "handle %#lx is live, but zpool_map_handle() returned NULL, %s: %s", handle,
			 ct_error_name(-errno), zpool_last_error());
		memcpy(buf, address + offset, len);
		zpool_unmap_handle(pool, handle);
		return;
	}
	got = zpool_obj_read(pool, handle, buf, len, offset);
	CT_CHECK(got == (int64_t)len, "reading %zu bytes at %zu of live handle %#lx returned %s: %s", len, offset,
		 handle, ct_error_name(got), zpool_last_error());
}

void ct_bytes_put(struct zpool *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	int64_t put;

	if (ct_can(ZPOOL_CAP_MAP)) {
		char *address = zpool_map_handle(pool, handle, ZPOOL_MM_RW);

		CT_CHECK(address != NULL, "handle %#lx is live, but zpool_map_handle() returned NULL, %s: %s", handle,
			 ct_error_name(-errno), zpool_last_error());
		memcpy(address + offset, buf, len);
		zpool_unmap_handle(pool, handle);
		return;
	}
	put = zpool_obj_write(pool, handle, buf, len, offset);
	CT_CHECK(put == (int64_t)len, "writing %zu bytes at %zu of live handle %#lx returned %s: %s", len, offset,
		 handle, ct_error_name(put), zpool_last_error());
}

int ct_object_try(struct zpool *pool, struct ct_object *object, size_t size, zpool_gfp_t gfp, uint64_t tag)
{
	unsigned long handle = 0;
	int result = zpool_malloc(pool, size, gfp, &handle);

	if (result != 0) {
		CT_CHECK(handle == 0, "a malloc that returned %s wrote %#lx to *handle", ct_error_name(result), handle);
		return result;
	}
	CT_CHECK(handle != 0, "malloc of %zu bytes succeeded with handle 0", size);
	if (ct_can(ZPOOL_CAP_MAP)) {
		void *address = zpool_map_handle(pool, handle, ZPOOL_MM_WO);

		CT_CHECK(address != NULL, "mapping new handle %#lx returned NULL, %s: %s", handle,
			 ct_error_name(-errno), zpool_last_error());
		ct_pattern_fill(address, size, tag, 0);
		zpool_unmap_handle(pool, handle);
	} else {
		void *bytes = malloc(size);

		CT_CHECK(bytes != NULL, "the test suite is out of memory");
		ct_pattern_fill(bytes, size, tag, 0);
		ct_bytes_put(pool, handle, bytes, size, 0);
		free(bytes);
	}
	object->handle = handle;
	object->size = size;
	object->tag = tag;
	return 0;
}

void ct_object_make(struct zpool *pool, struct ct_object *object, size_t size, uint64_t tag)
{
	int result = ct_object_try(pool, object, size, ZPOOL_GFP_KERNEL, tag);

	CT_CHECK(result == 0, "malloc of %zu bytes returned %s: %s", size, ct_error_name(result), zpool_last_error());
}

static void check_bytes(const struct ct_object *object, const void *bytes, const char *when)
{
	size_t at = ct_pattern_differs(bytes, object->size, object->tag, 0);

	CT_CHECK(at == object->size, "%s: byte %zu of the %zu of handle %#lx is not what was written", when, at,
		 object->size, object->handle);
}

void ct_object_check(struct zpool *pool, const struct ct_object *object, const char *when)
{
	if (ct_can(ZPOOL_CAP_MAP)) {
		const void *address = zpool_map_handle(pool, object->handle, ZPOOL_MM_RO);

		CT_CHECK(address != NULL, "%s: mapping live handle %#lx (%zu bytes) returned NULL, %s: %s", when,
			 object->handle, object->size, ct_error_name(-errno), zpool_last_error());
		check_bytes(object, address, when);
		zpool_unmap_handle(pool, object->handle);
	} else {
		void *bytes = malloc(object->size);

		CT_CHECK(bytes != NULL, "the test suite is out of memory");
		ct_bytes_get(pool, object->handle, bytes, object->size, 0);
		check_bytes(object, bytes, when);
		free(bytes);
	}
}

bool ct_handle_is_dead(struct zpool *pool, unsigned long handle)
{
	char byte;

	if (ct_can(ZPOOL_CAP_MAP)) {
		if (!zpool_map_handle(pool, handle, ZPOOL_MM_RO))
			return true;
		zpool_unmap_handle(pool, handle);
		return false;
	}
	return zpool_obj_read(pool, handle, &byte, 1, 0) < 0;
}
