/* SPDX-License-Identifier: MIT
 *
 * cases_extras.c - optional callbacks: they work as documented, or the call returns -EOPNOTSUPP
 */
#include "cases.h"
#include "objects.h"

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	size_t *visits = user;

	CT_CHECK(stats != NULL && stats_size >= sizeof(uint64_t),
		 "size of the class statistics: expected at least 8 bytes, got %zu", stats_size);
	++*visits;
	return 0;
}

/* A call for which the driver has no callback must return -EOPNOTSUPP, set a message and change nothing. */
static void unsupported_calls_return_eopnotsupp(void)
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
		CT_CHECK(visits == 0, "zpool_each_class() returned -EOPNOTSUPP after visiting %zu classes", visits);
	}
	if (!ct_can(ZPOOL_CAP_OBJ_SIZE))
		CT_REFUSED(zpool_obj_size(pool, set.at[0].handle), EOPNOTSUPP);
	if (!ct_can(ZPOOL_CAP_MAP))
		CT_REFUSED_NULL(zpool_map_handle(pool, set.at[0].handle, ZPOOL_MM_RW), EOPNOTSUPP);
	if (!ct_can(ZPOOL_CAP_TRIM))
		CT_REFUSED(zpool_trim(pool, &released), EOPNOTSUPP);
	CT_CHECK(released == 0, "bytes released by a call that returned -EOPNOTSUPP: expected 0, got %llu",
		 (unsigned long long)released);
	ct_set_check(pool, &set, "after calls that the driver does not support");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_extras[] = {
	{ "unsupported_calls_return_eopnotsupp",
	  "A call that the driver does not support gives -EOPNOTSUPP and a message, and changes nothing.",
	  unsupported_calls_return_eopnotsupp, 0 },
	{ NULL, NULL, NULL, 0 },
};
