/* SPDX-License-Identifier: MIT
 *
 * cases_extras.c - what a driver may leave out: as documented, or -EOPNOTSUPP
 */
#include "cases.h"
#include "objects.h"

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	size_t *visits = user;

	CT_CHECK(stats != NULL && stats_size >= sizeof(uint64_t), "a class of %zu bytes was told", stats_size);
	++*visits;
	return 0;
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
		ct_set_thin_mapped(pool, &set, 1500, &ct.rng);
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
	ct_set_thin_mapped(pool, &set, 1500, &ct.rng);
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

const struct ct_case ct_cases_extras[] = {
	{ "what_is_missing_says_so", "What a driver lacks gives -EOPNOTSUPP and a message, and changes nothing.",
	  what_is_missing_says_so, 0 },
	{ "compact_gives_back_and_keeps_contents",
	  "zpool_compact() gives memory back, and every object keeps its bytes.", compact_gives_back_and_keeps_contents,
	  0 },
	{ "compact_keeps_to_its_budget", "A budget ends compaction with 1; further calls bring it to its end.",
	  compact_keeps_to_its_budget, 0 },
	{ NULL, NULL, NULL, 0 },
};
