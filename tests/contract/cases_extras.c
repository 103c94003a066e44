/* SPDX-License-Identifier: MIT
 *
 * cases_extras.c - compaction, statistics and size classes: as documented, or -EOPNOTSUPP
 */
#include "cases.h"
#include "objects.h"

#include <string.h>

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	size_t *visits = user;

	CT_CHECK(stats != NULL && stats_size >= sizeof(uint64_t), "a class of %zu bytes was told", stats_size);
	++*visits;
	return 0;
}

static int stop_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats;
	(void)stats_size;
	(void)user;
	return 99;
}

/* -EOPNOTSUPP, with a message, and nothing changed: that is all that the missing ones owe. */
static void what_is_missing_says_so(void)
{
	struct zpool *pool = ct_pool();
	struct zpool_stats stats;
	uint64_t released = 0;
	size_t visits = 0;
	struct ct_set set;

	ct_set_init(&set, 300);
	ct_set_fill(pool, &set, 300, &ct.rng);
	if (!ct_can(ZPOOL_CAP_COMPACT)) {
		CT_REFUSED(zpool_compact(pool, 0, 0, &released), EOPNOTSUPP);
		CT_REFUSED(zpool_compact(pool, 4096, 1000, NULL), EOPNOTSUPP);
	}
	if (!ct_can(ZPOOL_CAP_STATS))
		CT_REFUSED(zpool_get_stats(pool, &stats, sizeof(stats)), EOPNOTSUPP);
	if (!ct_can(ZPOOL_CAP_CLASSES)) {
		CT_REFUSED(zpool_each_class(pool, visit_class, &visits), EOPNOTSUPP);
		CT_CHECK(visits == 0, "-EOPNOTSUPP came after %zu classes", visits);
	}
	if (!ct_can(ZPOOL_CAP_OBJ_SIZE))
		CT_REFUSED(zpool_obj_size(pool, set.at[0].handle), EOPNOTSUPP);
	if (!ct_can(ZPOOL_CAP_MAP))
		CT_REFUSED_NULL(zpool_map_handle(pool, set.at[0].handle, ZPOOL_MM_RW), EOPNOTSUPP);
	if (!ct_can(ZPOOL_CAP_TRIM))
		CT_REFUSED(zpool_trim(pool, &released), EOPNOTSUPP);
	CT_CHECK(released == 0, "a call that gave -EOPNOTSUPP told %llu bytes", (unsigned long long)released);
	ct_set_check(pool, &set, "after calls that the driver lacks");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void compact_gives_back_and_keeps_contents(void)
{
	struct zpool *pool = ct_pool();
	uint64_t before, released = 0;
	struct ct_set set;
	int result;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_set_init(&set, 6000);
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 6000, &ct.rng);
		ct_set_thin(pool, &set, 1500, &ct.rng);
		ct_trim(pool);
		before = zpool_get_total_size(pool);
		result = zpool_compact(pool, 0, 0, &released);
		CT_CHECK(result == 0, "compact without a budget gave %s", ct_error_name(result));
		CT_CHECK(zpool_get_total_size(pool) <= before, "compaction made the pool grow from %llu to %llu",
			 (unsigned long long)before, (unsigned long long)zpool_get_total_size(pool));
		CT_CHECK(released > 0, "three quarters of 6000 objects were freed, and compaction gave nothing back");
		ct_set_check(pool, &set, "after compact");
		CT_MUST(zpool_compact(pool, 0, 0, NULL));
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void compact_keeps_to_its_budget(void)
{
	struct zpool *pool = ct_pool();
	int result, calls = 0;
	struct ct_set set;

	ct_need(ZPOOL_CAP_COMPACT);
	ct_set_init(&set, 6000);
	ct_set_fill(pool, &set, 6000, &ct.rng);
	ct_set_thin(pool, &set, 1500, &ct.rng);
	do {
		uint64_t released = 0;

		result = zpool_compact(pool, 64 * 1024, 0, &released);
		CT_CHECK(result == 0 || result == 1, "compact with a budget gave %s", ct_error_name(result));
		CT_CHECK(++calls < 10000, "compact with a budget of 64 KiB still gives 1 after %d calls", calls);
	} while (result == 1);
	CT_CHECK(calls > 1, "6000 objects, three quarters freed, were compacted by moving at most 64 KiB");
	ct_set_check(pool, &set, "after compacting by budgets");
	result = zpool_compact(pool, 0, 1, NULL);
	CT_CHECK(result == 0 || result == 1, "compact with a budget of 1 ns gave %s", ct_error_name(result));
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* Members that a driver does not count are 0: so each is its true value, or 0. */
static void stats_count_what_happened(void)
{
	struct zpool *pool = ct_pool();
	struct zpool_stats stats;
	uint64_t stored = 0;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, 1000);
	ct_set_fill(pool, &set, 1000, &ct.rng);
	ct_set_thin(pool, &set, 600, &ct.rng);
	for (size_t i = 0; i < set.count; i++)
		stored +=
			ct_can(ZPOOL_CAP_OBJ_SIZE) ? (uint64_t)zpool_obj_size(pool, set.at[i].handle) : set.at[i].size;
	zpool_free(pool, 0x1234567ul);
	CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	CT_CHECK(stats.objects == 600 || stats.objects == 0, "600 objects are live, %llu are told",
		 (unsigned long long)stats.objects);
	CT_CHECK(stats.stored_bytes == stored || stats.stored_bytes == 0, "%llu bytes are stored, %llu are told",
		 (unsigned long long)stored, (unsigned long long)stats.stored_bytes);
	CT_CHECK(stats.pool_bytes == zpool_get_total_size(pool) || stats.pool_bytes == 0,
		 "the pool holds %llu, %llu are told", (unsigned long long)zpool_get_total_size(pool),
		 (unsigned long long)stats.pool_bytes);
	CT_CHECK(stats.pool_bytes_peak >= stats.pool_bytes || stats.pool_bytes_peak == 0,
		 "the peak is below the present");
	CT_CHECK(stats.mapped_handles == 0 && stats.evictions == 0 && stats.malloc_failed_limit == 0,
		 "things are counted that did not happen");
	CT_CHECK(stats.refused_handles <= 1, "one handle was refused, %llu are told",
		 (unsigned long long)stats.refused_handles);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void stats_fit_older_and_newer_callers(void)
{
	struct {
		struct zpool_stats known;
		uint64_t later[4];
	} stats;
	const unsigned char *bytes = (const unsigned char *)&stats;
	struct zpool *pool = ct_pool();

	ct_need(ZPOOL_CAP_STATS);
	memset(&stats, 0xee, sizeof(stats));
	CT_MUST(zpool_get_stats(pool, &stats.known, 16));
	for (size_t i = 16; i < sizeof(stats); i++)
		CT_CHECK(bytes[i] == 0xee, "an older caller's 16 bytes were asked for, byte %zu was written", i);
	CT_MUST(zpool_get_stats(pool, &stats.known, sizeof(stats)));
	for (size_t i = 0; i < 4; i++)
		CT_CHECK(stats.later[i] == 0, "a member that the library does not know reads as %#llx",
			 (unsigned long long)stats.later[i]);
	CT_REFUSED(zpool_get_stats(pool, &stats.known, 0), EINVAL);
	zpool_destroy_pool(pool);
}

struct class_sum {
	uint64_t objects;
	size_t visits;
};

static int add_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct class_sum *sum = user;

	CT_CHECK(stats_size >= sizeof(*stats), "a class of %zu bytes was told", stats_size);
	CT_CHECK(stats->objects <= stats->slots, "a class has %llu objects in %llu slots",
		 (unsigned long long)stats->objects, (unsigned long long)stats->slots);
	sum->objects += stats->objects;
	sum->visits++;
	return 0;
}

static void classes_hold_all_objects(void)
{
	struct class_sum sum = { 0, 0 };
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_need(ZPOOL_CAP_CLASSES);
	ct_set_init(&set, 2000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	ct_set_thin(pool, &set, 1200, &ct.rng);
	CT_MUST(zpool_each_class(pool, add_class, &sum));
	CT_CHECK(sum.objects == 1200, "1200 objects are live, the classes tell %llu", (unsigned long long)sum.objects);
	CT_CHECK(zpool_each_class(pool, stop_class, NULL) == 99,
		 "the walk over classes did not return the callback's value");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_extras[] = {
	{ "what_is_missing_says_so", "What a driver lacks gives -EOPNOTSUPP and a message, and changes nothing.",
	  what_is_missing_says_so, 0 },
	{ "compact_gives_back_and_keeps_contents",
	  "zpool_compact() gives memory back, and every object keeps its bytes.", compact_gives_back_and_keeps_contents,
	  0 },
	{ "compact_keeps_to_its_budget", "A budget ends compaction with 1; further calls bring it to its end.",
	  compact_keeps_to_its_budget, 0 },
	{ "stats_count_what_happened", "zpool_get_stats() tells true values.", stats_count_what_happened, 0 },
	{ "stats_fit_older_and_newer_callers",
	  "zpool_get_stats() writes stats_size bytes; what the library does not know reads as 0.",
	  stats_fit_older_and_newer_callers, 0 },
	{ "classes_hold_all_objects", "The size classes together hold every object.", classes_hold_all_objects, 0 },
	{ NULL, NULL, NULL, 0 },
};
