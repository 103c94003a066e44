/* SPDX-License-Identifier: MIT
 *
 * cases_objects.c - which sizes and flags zpool_malloc() accepts, and that objects keep their contents
 */
#include "cases.h"
#include "objects.h"

#include <stdlib.h>
#include <string.h>

/* Every size up to two pages, and then steps up to the largest size that cover every remainder modulo 64. */
static size_t next_size(size_t size)
{
	size_t next = size < 8192 ? size + 1 : size + 61;

	return size < ct.max_bytes && next > ct.max_bytes ? ct.max_bytes : next;
}

static void every_size_is_stored(void)
{
	enum { WINDOW = 256 };
	struct zpool *pool = ct_pool();
	struct ct_object window[WINDOW];
	size_t made = 0;

	for (size_t size = 1; size <= ct.max_bytes; size = next_size(size)) {
		struct ct_object *object = &window[made % WINDOW];

		if (made++ >= WINDOW) {
			ct_object_check(pool, object, "after 256 objects of other sizes were stored");
			zpool_free(pool, object->handle);
		}
		ct_object_make(pool, object, size, size);
		ct_object_check(pool, object, "just stored");
	}
	for (size_t i = 0; i < WINDOW && i < made; i++)
		ct_object_check(pool, &window[i], "at the end");
	zpool_destroy_pool(pool);
}

/* A pool may refuse to hold so much, and an object that it refused has size 0. */
static void try_large(struct zpool *pool, struct ct_object *object, size_t size, uint64_t tag)
{
	int result = ct_object_try(pool, object, size, ZPOOL_GFP_KERNEL, tag);

	CT_CHECK(result == 0 || result == -ENOMEM, "malloc of %zu bytes, of at most %zu, returned %s: %s", size,
		 ct.largest_bytes, ct_error_name(result), zpool_last_error());
	if (result == 0)
		ct_object_check(pool, object, "just stored");
	else
		object->size = 0;
}

/* The power of two, and sizes above it that may be stored differently. */
static size_t large_size(size_t power, size_t i, size_t largest)
{
	size_t size = i == 2 ? power + power / 2 : power + i;

	return size < largest ? size : largest;
}

/*
 * Most cases store no objects above ct.max_bytes.  Here some of every power of two up to the largest size live next to
 * each other.
 */
static void large_objects_share_no_bytes(void)
{
	enum { ALIKE = 3, STORED_MAX = 256, SIZE_MAX_BYTES = 16 << 20 };
	const size_t largest = ct.largest_bytes < SIZE_MAX_BYTES ? ct.largest_bytes : SIZE_MAX_BYTES;
	struct ct_object stored[STORED_MAX];
	struct zpool *pool;
	size_t count = 0;

	if (ct.largest_bytes <= ct.max_bytes)
		ct_skip("the largest object of %s has %zu bytes, and other cases store it", ct.spec, ct.largest_bytes);
	pool = ct_pool();
	for (size_t power = ct.max_bytes; power < largest; power *= 2)
		for (size_t i = 0; i < ALIKE; i++, count++)
			try_large(pool, &stored[count], large_size(power, i, largest), count);
	for (size_t i = 0; i < ALIKE; i++, count++)
		try_large(pool, &stored[count], largest - i % 2, count);
	for (size_t round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++)
			if (stored[i].size > 0)
				ct_object_check(pool, &stored[i], "next to other large objects");
		for (size_t i = round; i < count; i += 2)
			if (stored[i].size > 0) {
				zpool_free(pool, stored[i].handle);
				try_large(pool, &stored[i], stored[i].size, stored[i].tag + STORED_MAX);
			}
	}
	for (size_t i = 0; i < count; i++)
		if (stored[i].size > 0)
			ct_object_check(pool, &stored[i], "after others were stored again");
	zpool_destroy_pool(pool);
}

static void impossible_sizes_are_refused(void)
{
	struct zpool *pool = ct_pool();
	const size_t above[] = { ct.largest_bytes + 1,
				 ct.largest_bytes + 7,
				 ct.largest_bytes * 2,
				 (size_t)1 << 31,
				 ((size_t)1 << 31) + 8,
				 UINT32_MAX,
				 (size_t)UINT32_MAX + 1 + 100,
				 SIZE_MAX / 2,
				 SIZE_MAX - 4096,
				 SIZE_MAX - 7,
				 SIZE_MAX };
	unsigned long handle = 0x5a5a5a5aul;
	uint64_t total;
	struct ct_object object;

	ct_object_make(pool, &object, ct.max_bytes, 1);
	total = zpool_get_total_size(pool);
	CT_REFUSED(zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &handle), EINVAL);
	for (size_t i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		int result;

		/* With a size_t of 32 bits, 2^32 + 100 would be truncated to 100. */
		if (above[i] <= ct.largest_bytes)
			continue;
		ct_message_mark();
		result = zpool_malloc(pool, above[i], ZPOOL_GFP_KERNEL, &handle);
		CT_CHECK(result == -ENOSPC,
			 "result of malloc of %zu bytes, above the maximum of %zu: got %s, expected -ENOSPC", above[i],
			 ct.largest_bytes, ct_error_name(result));
		ct_message_expect(__FILE__, __LINE__, "zpool_malloc() of a size above the maximum");
		CT_REFUSED(zpool_malloc(pool, above[i], ZPOOL_GFP_ZERO, &handle), ENOSPC);
	}
	CT_CHECK(handle == 0x5a5a5a5aul, "a refused malloc changed *handle to %#lx", handle);
	CT_CHECK(zpool_get_total_size(pool) == total, "refused mallocs changed the total size from %llu to %llu",
		 (unsigned long long)total, (unsigned long long)zpool_get_total_size(pool));
	ct_object_check(pool, &object, "after refused mallocs");
	zpool_destroy_pool(pool);
}

static void unknown_malloc_flags_are_refused(void)
{
	struct zpool *pool = ct_pool();
	unsigned long handle = 77;
	struct ct_object object;

	for (unsigned int bit = 0; bit < 32; bit++) {
		zpool_gfp_t gfp = 1u << bit;

		if (gfp & ZPOOL_GFP_ALL)
			continue;
		CT_REFUSED(zpool_malloc(pool, ct_size(64), gfp, &handle), EINVAL);
		CT_REFUSED(zpool_malloc(pool, ct_size(64), gfp | ZPOOL_GFP_ZERO, &handle), EINVAL);
	}
	CT_CHECK(handle == 77, "a malloc with unknown flags changed *handle to %#lx", handle);
	CT_MUST(ct_object_try(pool, &object, ct_size(200), ZPOOL_GFP_HIGHMEM, 1));
	CT_MUST(ct_object_try(pool, &object, ct_size(200), ZPOOL_GFP_MOVABLE, 2));
	CT_MUST(ct_object_try(pool, &object, ct_size(200), ZPOOL_GFP_HIGHMEM | ZPOOL_GFP_MOVABLE | ZPOOL_GFP_ZERO, 3));
	ct_object_check(pool, &object, "stored with hints");
	zpool_destroy_pool(pool);
}

static void live_handles_differ(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	/* ct_set_add() fails the case if the handle is 0 or already live. */
	ct_set_init(&set, 20000);
	for (int round = 0; round < 4; round++) {
		while (set.count < 20000)
			ct_set_make(pool, &set, 1 + ct_rng_below(&ct.rng, ct_size(64)));
		ct_set_thin(pool, &set, 5000, &ct.rng);
	}
	ct_set_check(pool, &set, "after 65000 mallocs");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* The object has all usable bytes: the size asked for, plus what the driver adds by rounding if that is known. */
static void check_zero(struct zpool *pool, unsigned long handle, size_t size)
{
	int64_t usable = zpool_obj_size(pool, handle);
	size_t bytes = usable > 0 ? (size_t)usable : size;
	unsigned char *buf = malloc(bytes);

	CT_CHECK(buf != NULL, "the test suite is out of memory");
	ct_bytes_get(pool, handle, buf, bytes, 0);
	for (size_t i = 0; i < bytes; i++)
		CT_CHECK(
			buf[i] == 0,
			"byte %zu of the %zu usable bytes (%zu requested) of an object allocated with ZPOOL_GFP_ZERO is %#x",
			i, bytes, size, buf[i]);
	free(buf);
}

static void gfp_zero_clears_reused_memory(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, 600);
	for (int round = 0; round < 6; round++) {
		ct_set_fill(pool, &set, 600, &ct.rng);
		ct_set_thin(pool, &set, 100, &ct.rng);
		for (int i = 0; i < 300; i++) {
			size_t size = ct_rng_size(&ct.rng, ct.max_bytes);
			unsigned long handle;

			CT_MUST(zpool_malloc(pool, size, ZPOOL_GFP_ZERO, &handle));
			check_zero(pool, handle, size);
			zpool_free(pool, handle);
		}
		ct_set_check(pool, &set, "next to objects that were zeroed");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void contents_survive_all_operations(void)
{
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	struct ct_set set;

	ct_set_init(&set, 3000);
	ct_set_fill(pool, &set, 3000, &ct.rng);
	ct_set_check(pool, &set, "after filling the pool");
	for (int round = 0; round < 5; round++) {
		ct_set_thin(pool, &set, 700 + 300 * (size_t)round, &ct.rng);
		ct_set_check(pool, &set, "after random frees");
		ct_trim(pool);
		ct_set_check(pool, &set, "after zpool_trim()");
		if (ct_can(ZPOOL_CAP_COMPACT)) {
			int result = zpool_compact(pool, 0, 0, NULL);

			CT_CHECK(result == 0, "compact without a budget returned %s", ct_error_name(result));
			ct_set_check(pool, &set, "after zpool_compact()");
		}
		if (ct_can(ZPOOL_CAP_EVICT)) {
			zpool_shrink(pool, 50, NULL);
			ct_set_check(pool, &set, "after a zpool_shrink() whose callback refused everything");
		}
		ct_set_fill(pool, &set, 3000, &ct.rng);
		ct_set_check(pool, &set, "after filling up again");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* No two objects may share a byte: each is filled to its last usable byte, and then all are read. */
static void all_usable_bytes_can_be_written(void)
{
	enum { OBJECTS = 1500 };
	struct zpool *pool = ct_pool();
	unsigned long handles[OBJECTS];
	size_t sizes[OBJECTS];

	ct_need(ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_MAP);
	for (size_t i = 0; i < OBJECTS; i++) {
		size_t size = ct_rng_size(&ct.rng, ct.max_bytes);
		int64_t usable;
		char *address;

		CT_MUST(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handles[i]));
		usable = zpool_obj_size(pool, handles[i]);
		CT_CHECK(usable >= (int64_t)size, "zpool_obj_size() of an object of %zu bytes returned %lld", size,
			 (long long)usable);
		sizes[i] = (size_t)usable;
		address = zpool_map_handle(pool, handles[i], ZPOOL_MM_RW);
		CT_CHECK(address != NULL, "zpool_map_handle() returned NULL: %s", zpool_last_error());
		ct_pattern_fill(address, sizes[i], i, 0);
		zpool_unmap_handle(pool, handles[i]);
	}
	for (size_t i = 0; i < OBJECTS; i++) {
		char *address = zpool_map_handle(pool, handles[i], ZPOOL_MM_RO);
		size_t at;

		CT_CHECK(address != NULL, "zpool_map_handle() returned NULL: %s", zpool_last_error());
		at = ct_pattern_differs(address, sizes[i], i, 0);
		CT_CHECK(at == sizes[i], "byte %zu of object %zu, of %zu usable, was overwritten by another object", at,
			 i, sizes[i]);
		zpool_unmap_handle(pool, handles[i]);
	}
	zpool_destroy_pool(pool);
}

/*
 * Fills and empties a pool many times: whatever a free forgets (a slot, a chunk, a page) adds up, so that the pool
 * grows or malloc fails early.
 */
static void churn_loses_no_space(void)
{
	struct zpool *pool = ct_pool();
	uint64_t first = 0, last;
	struct ct_set set;

	ct_set_init(&set, 800);
	for (int round = 0; round < 60; round++) {
		ct_set_fill(pool, &set, 800, &ct.rng);
		if (round == 5)
			first = zpool_get_total_size(pool);
		ct_set_thin(pool, &set, 0, &ct.rng);
	}
	ct_set_fill(pool, &set, 800, &ct.rng);
	last = zpool_get_total_size(pool);
	CT_CHECK(last < first + first / 2 + (256u << 10),
		 "a pool of 800 random objects held %llu bytes in the sixth round, but %llu later",
		 (unsigned long long)first, (unsigned long long)last);
	ct_set_check(pool, &set, "after 60 rounds of filling and emptying");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_objects[] = {
	{ "every_size_is_stored", "Every size from 1 to zpool_max_object_size() can be stored and read back.",
	  every_size_is_stored, 0 },
	{ "large_objects_share_no_bytes",
	  "Objects of up to zpool_max_object_size() bytes keep their contents next to each other.",
	  large_objects_share_no_bytes, 0 },
	{ "impossible_sizes_are_refused",
	  "Size 0 gives -EINVAL and a size above the maximum -ENOSPC; neither changes *handle or the pool.",
	  impossible_sizes_are_refused, 0 },
	{ "unknown_malloc_flags_are_refused",
	  "Allocation hints are accepted, and unknown allocation flags give -EINVAL.", unknown_malloc_flags_are_refused,
	  0 },
	{ "live_handles_differ", "Handles are never 0, and no two live objects share one.", live_handles_differ, 0 },
	{ "gfp_zero_clears_reused_memory",
	  "Every usable byte of an object allocated with ZPOOL_GFP_ZERO reads as zero, whatever was stored there before.",
	  gfp_zero_clears_reused_memory, 0 },
	{ "contents_survive_all_operations",
	  "An object's contents survive mallocs and frees of others, trim, compaction and refused eviction.",
	  contents_survive_all_operations, 0 },
	{ "all_usable_bytes_can_be_written",
	  "All zpool_obj_size() bytes of an object may be written, even beyond the size asked for.",
	  all_usable_bytes_can_be_written, 0 },
	{ "churn_loses_no_space", "Freed space can be reused, also for objects of other sizes.", churn_loses_no_space,
	  0 },
	{ NULL, NULL, NULL, 0 },
};
