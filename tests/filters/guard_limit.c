/* SPDX-License-Identifier: MIT
 *
 * The filter guard at the limit of a pool, which guard's table and the driver below share.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "tests/unit/driver-for-tests.h"

static struct zpool *pool;
static struct zpool_driver watching_filter;
static uint64_t failures_shown;
static bool looking;

/* Returns the number of failed mallocs in the statistics, which must never decrease. */
static uint64_t look_at_failures(void)
{
	struct zpool_stats stats = stack_stats(pool);
	uint64_t failures = stats.malloc_failed_limit + stats.malloc_failed_memory;

	ck_assert_uint_ge(failures, failures_shown);
	failures_shown = failures;
	return failures;
}

static int pass_stats(void *filter, struct zpool_stats *stats, size_t stats_size)
{
	(void)filter;
	return knobs.filter_lower.driver->stats(knobs.filter_lower.pool, stats, stats_size);
}

/* guard calls this between two tries of a malloc. */
static int look_and_set_limit(void *filter, uint64_t limit_bytes)
{
	(void)filter;
	if (looking)
		(void)look_at_failures();
	return knobs.filter_lower.driver->set_limit(knobs.filter_lower.pool, limit_bytes);
}

START_TEST(failures_are_counted_when_the_caller_sees_them)
{
	uint64_t failures = 0;

	driver_knobs_reset();
	watching_filter = filter_for_tests("watching");
	watching_filter.stats = pass_stats;
	watching_filter.set_limit = look_and_set_limit;
	ck_assert_int_eq(zpool_register_driver(&watching_filter), 0);
	pool = stack_open("guard:leaks=no+watching", stack_drivers[_i], NULL);
	failures_shown = 0;
	looking = true;
	ck_assert_int_eq(zpool_set_limit(pool, 1 << 20), 0);
	while (failures < 100) {
		unsigned long handle;
		int result = zpool_malloc(pool, 900, ZPOOL_GFP_KERNEL, &handle);

		ck_assert(result == 0 || result == -ENOMEM);
		failures += result != 0;
		ck_assert_uint_eq(look_at_failures(), failures);
	}
	looking = false;
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&watching_filter), 0);
}
END_TEST

START_TEST(pool_fills_its_limit)
{
	/* The table grows by 512 slots, each with a record. */
	enum { UNUSED_BYTES_MAX = 512 * 72 };

	for (uint64_t limit = 1 << 20; limit < (1 << 20) + (64 << 10); limit += 4096) {
		unsigned long handle;

		pool = stack_open("guard:leaks=no", stack_drivers[_i], NULL);
		ck_assert_int_eq(zpool_set_limit(pool, limit), 0);
		while (zpool_malloc(pool, 30, ZPOOL_GFP_KERNEL, &handle) == 0)
			continue;
		ck_assert_uint_le(zpool_get_total_size(pool), limit);
		ck_assert_uint_le(limit - zpool_get_total_size(pool), UNUSED_BYTES_MAX);
		zpool_destroy_pool(pool);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard at the limit");
	TCase *tcase = tcase_create("limit");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, failures_are_counted_when_the_caller_sees_them, 0, STACK_DRIVERS);
	tcase_add_loop_test(tcase, pool_fills_its_limit, 0, STACK_DRIVERS);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
