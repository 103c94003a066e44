/* SPDX-License-Identifier: MIT
 *
 * cases_memory.c - zpool_get_total_size() and zpool_trim()
 */
#include "cases.h"
#include "objects.h"
#include "source.h"

#include <stdio.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)

static void total_size_follows_stored_bytes(void)
{
	struct zpool *pool = ct_pool();
	uint64_t start = zpool_get_total_size(pool), live = 0, full, empty;
	/* A driver without trim may cache free pages, and how many may vary. */
	uint64_t slack = (ct_can(ZPOOL_CAP_TRIM) ? 64 * KIB : 320 * KIB) + ct.step_bytes;
	struct ct_set set;

	CT_CHECK(start <= MIB + ct.step_bytes, "an empty pool holds %llu bytes", (unsigned long long)start);
	ct_set_init(&set, 8000);
	ct_set_fill(pool, &set, 8000, &ct.rng);
	for (size_t i = 0; i < set.count; i++)
		live += set.at[i].size;
	full = zpool_get_total_size(pool);
	CT_CHECK(full >= live, "objects of %llu bytes are stored in a pool of only %llu", (unsigned long long)live,
		 (unsigned long long)full);
	ct_set_free_all(pool, &set);
	ct_trim(pool);
	empty = zpool_get_total_size(pool);
	CT_CHECK(empty <= start + full / 8 + 256 * KIB + ct.step_bytes,
		 "the pool held %llu bytes when empty, %llu when full, and %llu after everything was freed and trimmed",
		 (unsigned long long)start, (unsigned long long)full, (unsigned long long)empty);
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 4000, &ct.rng);
		ct_set_free_all(pool, &set);
		ct_trim(pool);
	}
	CT_CHECK(zpool_get_total_size(pool) <= empty + slack,
		 "the pool held %llu bytes when first emptied, and %llu later", (unsigned long long)empty,
		 (unsigned long long)zpool_get_total_size(pool));
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void trim_reports_what_it_released(void)
{
	struct zpool *pool = ct_pool();
	uint64_t before, after, released;
	struct ct_set set;

	ct_need(ZPOOL_CAP_TRIM);
	ct_set_init(&set, 4000);
	for (int round = 0; round < 4; round++) {
		ct_set_fill(pool, &set, 4000, &ct.rng);
		ct_set_thin(pool, &set, 400, &ct.rng);
		before = zpool_get_total_size(pool);
		released = 12345;
		CT_MUST(zpool_trim(pool, &released));
		after = zpool_get_total_size(pool);
		CT_CHECK(after + released == before,
			 "zpool_trim() reported %llu bytes, but the total size went from %llu to %llu",
			 (unsigned long long)released, (unsigned long long)before, (unsigned long long)after);
		released = 12345;
		CT_MUST(zpool_trim(pool, &released));
		CT_CHECK(released == 0, "a second zpool_trim() released %llu bytes", (unsigned long long)released);
		ct_set_check(pool, &set, "after zpool_trim()");
	}
	CT_MUST(zpool_trim(pool, NULL));
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long long kib = 0;
	char line[256];

	if (!file)
		ct_skip("this system has no /proc/self/smaps_rollup");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %llu kB", &kib) == 1)
			break;
	fclose(file);
	return (uint64_t)kib * KIB;
}

static void need_exact_sizes(void)
{
	if (!ct.rss)
		ct_skip("the comparison with resident memory is switched off, or a sanitizer or valgrind adds memory of its own");
	/*
	 * Only drivers that allocate whole pages know how much they hold.  Those on top of malloc() may add up sizes,
	 * which zpool.h allows.
	 */
	if (!ct_source_holds_objects())
		ct_skip("%s stores objects outside the pages of a page source, so that it knows only what its allocator reports",
			ct.spec);
	resident_bytes();
}

/*
 * A driver that allocates memory in large steps may hold pages without objects.  They count, but are not resident
 * before they are written to.  If a pool reports more than is resident, the case is repeated with a page source that
 * writes to each page when it is committed.
 */
static struct ct_source touching;
static bool everything_touched, untouched_seen;

static struct zpool *pool_to_measure(void)
{
	if (!everything_touched)
		return ct_pool();
	ct_source_init(&touching);
	touching.touch = true;
	return ct_pool_from(&touching.table);
}

/* The test program's own memory must not grow together with the pool. */
static void compare_with_rss(struct zpool *pool, uint64_t rss_before, const char *when)
{
	uint64_t total = zpool_get_total_size(pool), rss = resident_bytes();
	uint64_t grown = rss > rss_before ? rss - rss_before : 0;
	uint64_t slack = total / 50 + 256 * KIB;

	CT_CHECK(total + slack >= grown, "%s: the pool reports %llu bytes, but the resident memory grew by %llu", when,
		 (unsigned long long)total, (unsigned long long)grown);
	if (grown + slack >= total)
		return;
	CT_CHECK(
		!everything_touched,
		"%s: the pool reports %llu bytes, but the resident memory grew by only %llu, although every page was written to",
		when, (unsigned long long)total, (unsigned long long)grown);
	untouched_seen = true;
}

/* Fills a pool with objects of up to `max` bytes, frees a third, trims it, and compares the sizes each time. */
static void rss_of_sizes(size_t max, const char *what)
{
	size_t capacity = (size_t)(64 * MIB / (max < 256 ? 128 : 1024));
	struct zpool *pool;
	uint64_t before;
	char when[128];
	struct ct_set set;

	ct_set_init(&set, capacity);
	for (size_t i = 0; i < capacity; i++)
		set.at[i].size = 1;
	for (size_t i = 0; i < set.index_size; i += 512)
		*(volatile uint32_t *)&set.index[i] = 0;
	before = resident_bytes();
	pool = pool_to_measure();
	while (zpool_get_total_size(pool) < 40 * MIB && set.count < capacity)
		ct_set_make(pool, &set, ct_rng_size(&ct.rng, max));
	snprintf(when, sizeof(when), "%s, filled", what);
	compare_with_rss(pool, before, when);
	ct_set_thin(pool, &set, set.count * 2 / 3, &ct.rng);
	snprintf(when, sizeof(when), "%s, a third freed", what);
	compare_with_rss(pool, before, when);
	ct_trim(pool);
	snprintf(when, sizeof(when), "%s, a third freed and trimmed", what);
	if (zpool_get_total_size(pool) >= 16 * MIB)
		compare_with_rss(pool, before, when);
	if (zpool_compact(pool, 0, 0, NULL) == 0 && zpool_get_total_size(pool) >= 16 * MIB) {
		snprintf(when, sizeof(when), "%s, a third freed and compacted", what);
		compare_with_rss(pool, before, when);
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void rss_of_all_sizes(void)
{
	rss_of_sizes(ct.max_bytes, "objects of all sizes");
	rss_of_sizes(ct_size(4096), "objects like compressed pages");
	rss_of_sizes(ct_size(96), "small objects");
}

static void total_size_is_resident_memory(void)
{
	struct zpool *pool;
	struct ct_object object;

	need_exact_sizes();
	/* Memory that the driver, the C library and stdio allocate only once is not part of the pool. */
	pool = ct_pool();
	ct_object_make(pool, &object, ct.max_bytes, 1);
	zpool_destroy_pool(pool);
	rss_of_all_sizes();
	if (!untouched_seen)
		return;
	everything_touched = true;
	rss_of_all_sizes();
}

static void destroy_releases_resident_memory(void)
{
	uint64_t before, after;
	struct zpool *pool;
	struct ct_set set;

	need_exact_sizes();
	ct_set_init(&set, 20000);
	pool = ct_pool();
	ct_set_fill(pool, &set, 20000, &ct.rng);
	zpool_destroy_pool(pool);
	before = resident_bytes();
	for (int round = 0; round < 5; round++) {
		while (set.count > 0)
			ct_set_remove(&set, set.count - 1);
		pool = ct_pool();
		ct_set_fill(pool, &set, 20000, &ct.rng);
		zpool_destroy_pool(pool);
	}
	after = resident_bytes();
	CT_CHECK(after < before + MIB, "the resident memory was %llu bytes after one pool, and %llu after five more",
		 (unsigned long long)before, (unsigned long long)after);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_memory[] = {
	{ "total_size_follows_stored_bytes",
	  "zpool_get_total_size() is small at first, at least what is stored, and small again after free and trim.",
	  total_size_follows_stored_bytes, 0 },
	{ "trim_reports_what_it_released", "zpool_trim() releases free pages and reports how many bytes these were.",
	  trim_reports_what_it_released, 0 },
	{ "total_size_is_resident_memory",
	  "With 16 MiB held and written, zpool_get_total_size() is within 2 % and 256 KiB of the growth of resident memory.",
	  total_size_is_resident_memory, 0 },
	{ "destroy_releases_resident_memory", "zpool_destroy_pool() returns the pool's memory to the system.",
	  destroy_releases_resident_memory, 0 },
	{ NULL, NULL, NULL, 0 },
};
