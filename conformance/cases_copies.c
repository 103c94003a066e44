/* SPDX-License-Identifier: MIT
 *
 * cases_copies.c - zpool_obj_size(), zpool_obj_read() and zpool_obj_write()
 */
#include "cases.h"
#include "objects.h"

#include <stdlib.h>
#include <string.h>

/* Skips the case if the driver can neither copy objects nor report their size.  Returns a pool with one object. */
static struct zpool *pool_with(struct ct_object *object, size_t size)
{
	struct zpool *pool = ct_pool();
	int64_t result;
	char byte;

	ct_object_make(pool, object, size, 4711);
	result = zpool_obj_read(pool, object->handle, &byte, 1, 0);
	if (result == -EOPNOTSUPP) {
		zpool_destroy_pool(pool);
		ct_skip("%s can neither copy objects nor report their size", ct.spec);
	}
	CT_CHECK(result == 1, "reading one byte returned %s: %s", ct_error_name(result), zpool_last_error());
	return pool;
}

/* Returns the end of the range that may be copied. */
static size_t usable_of(struct zpool *pool, const struct ct_object *object)
{
	int64_t usable = zpool_obj_size(pool, object->handle);

	return usable > 0 ? (size_t)usable : object->size;
}

static void obj_size_covers_the_request(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_need(ZPOOL_CAP_OBJ_SIZE);
	ct_set_init(&set, 2000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	for (size_t i = 0; i < set.count; i++) {
		int64_t first = zpool_obj_size(pool, set.at[i].handle);

		CT_CHECK(first >= (int64_t)set.at[i].size, "zpool_obj_size() of an object of %zu bytes returned %s",
			 set.at[i].size, ct_error_name(first));
		CT_CHECK(zpool_obj_size(pool, set.at[i].handle) == first,
			 "zpool_obj_size() returned different sizes for the same object");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void copy_ranges(size_t size, uint64_t copies)
{
	struct ct_object object;
	struct zpool *pool = pool_with(&object, size);
	unsigned char *model = malloc(object.size), *buf = malloc(object.size);

	CT_CHECK(model && buf, "the test suite is out of memory");
	ct_pattern_fill(model, object.size, object.tag, 0);
	for (uint64_t i = 0; i < copies; i++) {
		/* Some ranges are the whole object. */
		size_t offset = i % 16 < 2 ? 0 : ct_rng_below(&ct.rng, object.size);
		size_t len = i % 16 < 2 ? object.size : 1 + ct_rng_below(&ct.rng, object.size - offset);
		int64_t done;

		if (i % 2 == 0) {
			ct_pattern_fill(buf, len, i, 0);
			done = zpool_obj_write(pool, object.handle, buf, len, offset);
			memcpy(model + offset, buf, len);
			CT_CHECK(done == (int64_t)len, "writing %zu bytes at %zu of %zu returned %s", len, offset,
				 object.size, ct_error_name(done));
			ct_bytes_get(pool, object.handle, buf, object.size, 0);
			CT_CHECK(memcmp(buf, model, object.size) == 0,
				 "writing %zu bytes at offset %zu stored other bytes", len, offset);
		} else {
			ct_bytes_put(pool, object.handle, &i, 1, offset);
			memcpy(model + offset, &i, 1);
			done = zpool_obj_read(pool, object.handle, buf, len, offset);
			CT_CHECK(done == (int64_t)len, "reading %zu bytes at %zu of %zu returned %s", len, offset,
				 object.size, ct_error_name(done));
			CT_CHECK(memcmp(buf, model + offset, len) == 0,
				 "reading %zu bytes at offset %zu returned other bytes", len, offset);
		}
	}
	free(model);
	free(buf);
	zpool_destroy_pool(pool);
}

static void read_and_write_copy_the_exact_range(void)
{
	copy_ranges(ct.max_bytes / 2 + 1, 1200);
	copy_ranges(ct.max_bytes, 600);
}

static void copies_reach_the_last_usable_byte(void)
{
	struct ct_object object;
	struct zpool *pool = pool_with(&object, ct_size(1000));
	size_t usable = usable_of(pool, &object);
	unsigned char byte = 0xa5, got = 0;
	int64_t done = zpool_obj_write(pool, object.handle, &byte, 1, usable - 1);

	CT_CHECK(done == 1, "writing the last of %zu usable bytes returned %s", usable, ct_error_name(done));
	done = zpool_obj_read(pool, object.handle, &got, 1, usable - 1);
	CT_CHECK(done == 1 && got == byte,
		 "reading the last of %zu usable bytes returned %s and the byte %#x, which should be %#x", usable,
		 ct_error_name(done), got, byte);
	zpool_destroy_pool(pool);
}

static void ranges_outside_the_object_are_refused(void)
{
	struct ct_object object;
	struct zpool *pool = pool_with(&object, ct_size(1000));
	size_t usable = usable_of(pool, &object);
	const struct {
		size_t len, offset;
	} ranges[] = {
		{ 0, 0 },          { 0, usable },         { 1, usable },          { 2, usable - 1 },
		{ usable + 1, 0 }, { usable, 1 },         { 1, SIZE_MAX },        { SIZE_MAX, 1 },
		{ SIZE_MAX, 0 },   { 16, SIZE_MAX - 15 }, { SIZE_MAX, SIZE_MAX }, { SIZE_MAX - 8, 16 },
	};
	unsigned char *buf = malloc(usable + 16);

	CT_CHECK(buf != NULL, "the test suite is out of memory");
	memset(buf, 0x3c, usable + 16);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		int64_t done;

		ct_message_mark();
		done = zpool_obj_read(pool, object.handle, buf, ranges[i].len, ranges[i].offset);
		CT_CHECK(done == -EINVAL,
			 "result of reading %zu bytes at offset %zu of %zu usable: got %s, expected -EINVAL",
			 ranges[i].len, ranges[i].offset, usable, ct_error_name(done));
		ct_message_expect(__FILE__, __LINE__, "zpool_obj_read() of a range outside the object");
		ct_message_mark();
		done = zpool_obj_write(pool, object.handle, buf, ranges[i].len, ranges[i].offset);
		CT_CHECK(done == -EINVAL,
			 "result of writing %zu bytes at offset %zu of %zu usable: got %s, expected -EINVAL",
			 ranges[i].len, ranges[i].offset, usable, ct_error_name(done));
		ct_message_expect(__FILE__, __LINE__, "zpool_obj_write() of a range outside the object");
	}
	for (size_t i = 0; i < usable + 16; i++)
		CT_CHECK(buf[i] == 0x3c, "a refused read changed byte %zu of the caller's buffer", i);
	ct_object_check(pool, &object, "after refused writes");
	free(buf);
	zpool_destroy_pool(pool);
}

/*
 * A copy may need a mapping of its own.  If the object has the maximum of mappings, the documented error is returned
 * and nothing is copied.
 */
static void copy_of_a_fully_mapped_object_works_or_is_busy(void)
{
	struct ct_object object;
	const size_t size = ct_size(100);
	struct zpool *pool = pool_with(&object, size);
	unsigned char buf[100];
	unsigned int mapped = 0;
	int64_t done;

	ct_need(ZPOOL_CAP_MAP);
	while (zpool_map_handle(pool, object.handle, ZPOOL_MM_RW))
		CT_CHECK(++mapped <= 60, "a handle was mapped %u times at once; the maximum is 60", mapped);
	memset(buf, 0x77, sizeof(buf));
	done = zpool_obj_read(pool, object.handle, buf, size, 0);
	CT_CHECK(done == (int64_t)size || done == -EBUSY, "reading an object mapped %u times returned %s", mapped,
		 ct_error_name(done));
	if (done == -EBUSY)
		CT_CHECK(buf[0] == 0x77, "a read that returned -EBUSY wrote to the buffer");
	else
		CT_CHECK(ct_pattern_differs(buf, size, object.tag, 0) == size,
			 "zpool_obj_read() returned other bytes than were stored");
	ct_pattern_fill(buf, size, object.tag, 0);
	done = zpool_obj_write(pool, object.handle, buf, size, 0);
	CT_CHECK(done == (int64_t)size || done == -EBUSY, "writing an object mapped %u times returned %s", mapped,
		 ct_error_name(done));
	while (mapped-- > 0)
		zpool_unmap_handle(pool, object.handle);
	ct_object_check(pool, &object, "after copies of mapped objects");
	zpool_free(pool, object.handle);
	CT_CHECK(ct_handle_is_dead(pool, object.handle), "the object cannot be freed, because a copy left it mapped");
	zpool_destroy_pool(pool);
}

const struct ct_case ct_cases_copies[] = {
	{ "obj_size_covers_the_request", "zpool_obj_size() is at least the size asked for, and never changes.",
	  obj_size_covers_the_request, 0 },
	{ "read_and_write_copy_the_exact_range",
	  "zpool_obj_read() and zpool_obj_write() copy exactly the range asked for.",
	  read_and_write_copy_the_exact_range, 0 },
	{ "copies_reach_the_last_usable_byte", "A copy may extend to zpool_obj_size(), beyond the size asked for.",
	  copies_reach_the_last_usable_byte, 0 },
	{ "ranges_outside_the_object_are_refused",
	  "A range that is empty or not entirely inside the object gives -EINVAL, and nothing is copied.",
	  ranges_outside_the_object_are_refused, 0 },
	{ "copy_of_a_fully_mapped_object_works_or_is_busy",
	  "A copy of an object that has the maximum of mappings succeeds or returns -EBUSY, and leaves no mapping behind.",
	  copy_of_a_fully_mapped_object_works_or_is_busy, 0 },
	{ NULL, NULL, NULL, 0 },
};
