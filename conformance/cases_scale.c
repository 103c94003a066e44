/* SPDX-License-Identifier: MIT
 *
 * cases_scale.c - many objects, and a large address range
 *
 * Tables fail at a power of two, or at a size that their author thought large enough.  The pool grows beyond such
 * points, and at several of them all objects are read and visited.
 *
 * Time and the host's memory bound how far the pool grows, so that a slow driver or a small machine makes the case
 * shorter instead of failing it.  After -ENOMEM, all objects stored so far must still be there.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "cases.h"
#include "leftovers.h"
#include "objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

enum { PROCESSOR_SECONDS = 6, WALL_SECONDS = 60, LOOK_EACH = 1024, TAG_BYTES = 8 };

/* When to stop growing: the bounds of resident pages, processor time and elapsed time. */
static struct {
	time_t processor_end, wall_end;
	unsigned long long resident_pages;
} bound;

static unsigned long long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file && fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages;
}

/* Returns the number in a file, or ~0 if it contains none (such as "max"). */
static unsigned long long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long number = ~0ull;

	if (file && fscanf(file, "%llu", &number) != 1)
		number = ~0ull;
	if (file)
		fclose(file);
	return number;
}

static unsigned long long available_bytes(void)
{
	unsigned long long kib = 0, most = number_in("/sys/fs/cgroup/memory.max");
	unsigned long long used = number_in("/sys/fs/cgroup/memory.current");
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
		;
	if (file)
		fclose(file);
	if (most != ~0ull && used != ~0ull && most - used < kib * 1024)
		return most > used ? most - used : 0;
	return kib ? kib * 1024 : ~0ull >> 1;
}

static time_t seconds_on(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec;
}

static void bound_set(void)
{
	bound.processor_end = seconds_on(CLOCK_PROCESS_CPUTIME_ID) + PROCESSOR_SECONDS;
	bound.wall_end = seconds_on(CLOCK_MONOTONIC) + WALL_SECONDS;
	bound.resident_pages = resident_pages() + available_bytes() / 3 / (unsigned long long)sysconf(_SC_PAGESIZE);
}

static bool bound_reached(void)
{
	return seconds_on(CLOCK_PROCESS_CPUTIME_ID) >= bound.processor_end ||
	       seconds_on(CLOCK_MONOTONIC) >= bound.wall_end || resident_pages() >= bound.resident_pages;
}

/* If every call is much slower, a part of the work is enough to show that the case itself works. */
static size_t scaled(size_t count)
{
	return ct_instrumented() || ct_verified() ? count / 16 : count;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Every object is visited, and counted
 */

struct visit {
	const struct ct_set *set;
	unsigned char *seen;
	size_t count;
};

static int visit_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct visit *visit = user;
	size_t position = ct_set_find(visit->set, handle);

	(void)pool;
	CT_CHECK(position != SIZE_MAX, "among %zu objects, the walk visits handle %#lx, which belongs to none of them",
		 visit->set->count, handle);
	CT_CHECK(!visit->seen[position], "among %zu objects, handle %#lx is visited twice", visit->set->count, handle);
	CT_CHECK(size == 0 || size >= visit->set->at[position].size,
		 "the walk reports an object of %zu bytes as one of %zu bytes", visit->set->at[position].size, size);
	visit->seen[position] = 1;
	visit->count++;
	return 0;
}

static void expect_all_there(struct zpool *pool, const struct ct_set *set)
{
	struct visit visit = { set, calloc(set->count + 1, 1), 0 };
	uint64_t stored = 0, total = zpool_get_total_size(pool);
	struct zpool_stats stats;

	CT_CHECK(visit.seen != NULL, "the test suite is out of memory");
	for (size_t i = 0; i < set->count; i++)
		stored += set->at[i].size;
	CT_CHECK(total >= stored, "%zu objects have %llu bytes, but the pool holds only %llu", set->count,
		 (unsigned long long)stored, (unsigned long long)total);
	if (ct_can(ZPOOL_CAP_OBJECTS)) {
		CT_MUST(zpool_each_object(pool, visit_object, &visit));
		CT_CHECK(visit.count == set->count, "objects visited by a walk: expected %zu, got %zu", set->count,
			 visit.count);
	}
	if (ct_can(ZPOOL_CAP_STATS)) {
		CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
		CT_CHECK(stats.objects == set->count, "%zu objects are live, but the statistics show %llu", set->count,
			 (unsigned long long)stats.objects);
	}
	free(visit.seen);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Many objects
 */

static size_t small_size(void)
{
	return ct_size(8 + ct_rng_below(&ct.rng, 120));
}

/* Returns false if the pool cannot grow further. */
static bool grow_to(struct zpool *pool, struct ct_set *set, size_t count)
{
	while (set->count < count) {
		int result = ct_set_try(pool, set, small_size(), ZPOOL_GFP_KERNEL);

		CT_CHECK(result == 0 || result == -ENOMEM, "malloc with %zu live objects returned %s: %s", set->count,
			 ct_error_name(result), zpool_last_error());
		if (result != 0 || (set->count % LOOK_EACH == 0 && bound_reached()))
			return false;
	}
	return true;
}

static int evict_of_many(struct zpool *pool, unsigned long handle, void *user)
{
	struct ct_set *set = user;
	size_t position = ct_set_find(set, handle);

	CT_CHECK(position != SIZE_MAX,
		 "among %zu objects, the callback is asked to evict handle %#lx, which belongs to none of them",
		 set->count, handle);
	ct_set_free(pool, set, position);
	return 0;
}

/* Three quarters are freed, so that compaction makes the pool smaller and zpool_shrink() can still empty pages. */
static void free_compact_and_shrink_many(struct zpool *pool, struct ct_set *set)
{
	unsigned int reclaimed = 0;
	uint64_t before;

	ct_set_thin_mapped(pool, set, set->count / 4, &ct.rng);
	ct_trim(pool);
	before = zpool_get_total_size(pool);
	if (ct_can(ZPOOL_CAP_COMPACT)) {
		CT_MUST(zpool_compact(pool, 0, 0, NULL));
		CT_CHECK(
			zpool_get_total_size(pool) < before,
			"three quarters of many objects were freed and %zu are left, but compaction left all %llu bytes in the pool",
			set->count, (unsigned long long)before);
		ct_set_check(pool, set, "in a pool of many objects, after compaction");
		expect_all_there(pool, set);
	}
	if (ct_can(ZPOOL_CAP_EVICT)) {
		int result = zpool_shrink(pool, 5, &reclaimed);

		/* All objects may be on fewer pages than that. */
		CT_CHECK(result == 0 ? reclaimed >= 5 : result == -EINVAL && set->count == 0,
			 "a zpool_shrink() of 5 pages in a pool of %zu objects returned %s and reclaimed %u pages",
			 set->count, ct_error_name(result), reclaimed);
		expect_all_there(pool, set);
	}
}

static void pool_stores_a_hundred_thousand_objects(void)
{
	static const size_t points[] = { 1100, 4200, 20100, 65600, 110000 };
	struct ct_set set;
	struct zpool *pool = ct_pool_evicting(evict_of_many, &set);
	size_t stored;

	bound_set();
	ct_set_init(&set, points[sizeof(points) / sizeof(points[0]) - 1] + 1);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		bool more = grow_to(pool, &set, scaled(points[i]));

		ct_set_check(pool, &set, "in a pool of many objects");
		expect_all_there(pool, &set);
		if (!more)
			break;
	}
	stored = set.count;
	ct_set_thin(pool, &set, stored / 2, &ct.rng);
	expect_all_there(pool, &set);
	grow_to(pool, &set, stored);
	ct_set_check(pool, &set, "in a pool of many objects, of which half were stored again");
	expect_all_there(pool, &set);
	free_compact_and_shrink_many(pool, &set);
	ct_set_free_all(pool, &set);
	expect_all_there(pool, &set);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* The driver may free the tables of a large pool in another way than those of a small one. */
static void large_pools_leak_nothing(void)
{
	size_t count = 25000;
	unsigned long handle;

	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind has memory and files of its own, and detects leaks itself");
	bound_set();
	for (int round = 1; round <= 4; round++) {
		struct ct_leftovers before;
		struct zpool *pool;
		size_t stored = 0;

		ct_leftovers_look(&before);
		pool = ct_pool();
		while (stored < count &&
		       zpool_malloc(pool, 64 < ct.max_bytes ? 64 : ct.max_bytes, ZPOOL_GFP_KERNEL, &handle) == 0) {
			stored++;
			if (round == 1 && stored % LOOK_EACH == 0 && bound_reached())
				count = stored;
		}
		zpool_destroy_pool(pool);
		/* The first round may allocate memory that the C library caches for the next one. */
		if (round > 1 &&
		    ct_leftovers_compare(&before, 1024, "or more objects that were freed by destroying their pool",
					 round == 4))
			return;
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Many addresses: large objects, of which a few bytes are written, so that most pages get no memory
 */

static bool is_tagged(const struct ct_object *object)
{
	return object->tag != 0;
}

/* The tag, which is the object's number plus one, is stored at the object's start and end. */
static void put_tags(struct zpool *pool, const struct ct_object *object)
{
	ct_bytes_put(pool, object->handle, &object->tag, TAG_BYTES, 0);
	ct_bytes_put(pool, object->handle, &object->tag, TAG_BYTES, object->size - TAG_BYTES);
}

static void check_tags(struct zpool *pool, const struct ct_set *set, const char *when)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct ct_object *object = &set->at[i];
		uint64_t tags[2];

		if (!is_tagged(object))
			continue;
		ct_bytes_get(pool, object->handle, &tags[0], TAG_BYTES, 0);
		ct_bytes_get(pool, object->handle, &tags[1], TAG_BYTES, object->size - TAG_BYTES);
		CT_CHECK(
			tags[0] == object->tag && tags[1] == object->tag,
			"%s: object %llu of %zu starts with the bytes of object %llu and ends with those of object %llu",
			when, (unsigned long long)object->tag, set->count, (unsigned long long)tags[0],
			(unsigned long long)tags[1]);
	}
}

static int compare_addresses(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return x < y ? -1 : x > y;
}

/* Maps all objects at once and checks that no two overlap. */
static void expect_disjoint(struct zpool *pool, const struct ct_set *set)
{
	uintptr_t *addresses = calloc(set->count + 1, sizeof(*addresses));

	CT_CHECK(addresses != NULL, "the test suite is out of memory");
	for (size_t i = 0; i < set->count; i++) {
		addresses[i] = (uintptr_t)zpool_map_handle(pool, set->at[i].handle, ZPOOL_MM_RO);
		CT_CHECK(addresses[i] != 0, "with %zu objects mapped, mapping another returned NULL: %s", i,
			 zpool_last_error());
	}
	qsort(addresses, set->count, sizeof(*addresses), compare_addresses);
	for (size_t i = 1; i < set->count; i++)
		CT_CHECK(addresses[i] - addresses[i - 1] >= set->at[0].size,
			 "among %zu objects of %zu bytes, two overlap: they are at %#llx and %#llx", set->count,
			 set->at[0].size, (unsigned long long)addresses[i - 1], (unsigned long long)addresses[i]);
	for (size_t i = 0; i < set->count; i++)
		zpool_unmap_handle(pool, set->at[i].handle);
	free(addresses);
}

/* Returns false if the pool cannot grow further.  tag_each is the distance between two tagged objects. */
static bool grow_addresses(struct zpool *pool, struct ct_set *set, size_t size, size_t tag_each, uint64_t bytes)
{
	while (zpool_get_total_size(pool) < bytes && set->count < set->capacity) {
		struct ct_object object = { 0, size, 0 };
		int result = zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &object.handle);

		CT_CHECK(result == 0 || result == -ENOMEM, "malloc in a pool of %llu bytes returned %s: %s",
			 (unsigned long long)zpool_get_total_size(pool), ct_error_name(result), zpool_last_error());
		if (result != 0)
			return false;
		if (set->count % tag_each == 0)
			object.tag = set->count + 1;
		if (is_tagged(&object))
			put_tags(pool, &object);
		ct_set_add(set, &object);
		if (set->count % LOOK_EACH == 0 && bound_reached())
			return false;
	}
	return true;
}

static void check_addresses(struct zpool *pool, const struct ct_set *set, const char *when)
{
	check_tags(pool, set, when);
	expect_all_there(pool, set);
	if (ct_can(ZPOOL_CAP_MAP))
		expect_disjoint(pool, set);
}

static void pool_grows_beyond_half_a_gibibyte(void)
{
	static const uint64_t points[] = { 33 * MIB, 130 * MIB, 260 * MIB, 560 * MIB, 2100 * MIB };
	size_t size = ct.max_bytes < 65536 ? ct.max_bytes : 65536;
	/* Only the first 4 KiB and the last bytes of an object are written, 64 MiB in all. */
	size_t tag_each = size <= 8192 ? 8 : 4, count = sizeof(points) / sizeof(points[0]);
	struct zpool *pool = ct_pool();
	struct ct_set set;

	if (size < 1024)
		ct_skip("%s stores objects of at most %zu bytes, so that the case would have to write too many of them",
			ct.spec, size);
	bound_set();
	/* With small objects, the last step would need as much memory as it has addresses. */
	count -= size < 16384;
	ct_set_init(&set, (size_t)(points[count - 1] / size) + 4096);
	for (size_t i = 0; i < count; i++) {
		bool more = grow_addresses(pool, &set, size, tag_each, scaled((size_t)points[i]));

		check_addresses(pool, &set, "in a large pool");
		if (!more)
			break;
	}
	ct_set_thin(pool, &set, set.count / 2, &ct.rng);
	check_addresses(pool, &set, "in a large pool of which half was freed");
	while (set.count < set.capacity / 2 && !bound_reached() &&
	       grow_addresses(pool, &set, size, SIZE_MAX, zpool_get_total_size(pool) + MIB))
		;
	check_addresses(pool, &set, "in a large pool of which half was stored again");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_scale[] = {
	{ "pool_stores_a_hundred_thousand_objects",
	  "A pool stores as many objects as fit into memory; each can be read, is visited by a walk, and is counted.",
	  pool_stores_a_hundred_thousand_objects, 0 },
	{ "large_pools_leak_nothing", "zpool_destroy_pool() releases everything of a pool of 25,000 objects.",
	  large_pools_leak_nothing, 0 },
	{ "pool_grows_beyond_half_a_gibibyte",
	  "A pool grows beyond half a GiB, and with large objects beyond 2 GiB: no object overlaps another, and none is lost.",
	  pool_grows_beyond_half_a_gibibyte, 0 },
	{ NULL, NULL, NULL, 0 },
};
