/* SPDX-License-Identifier: MIT
 *
 * The filters at the limit of a pool: guard, whose table and the driver below share it, and all above a driver that
 * does not enforce it.  Also above a driver that fails a call.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "tests/unit/driver-for-tests.h"

#include <unistd.h>

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

/*
 * Opens guard above fault with a limit, lets some mallocs fail at the limit, and frees all objects, so that the table
 * has memory that it could release.  Returns the number of failures.
 */
static uint64_t open_with_memory_to_yield(int driver)
{
	enum { OBJECTS_MAX = 20000, FAILURES = 3 };
	static unsigned long handles[OBJECTS_MAX];
	unsigned int stored = 0, failures = 0;

	pool = stack_open("guard+fault", stack_drivers[driver], NULL);
	ck_assert_int_eq(zpool_set_limit(pool, 2 << 20), 0);
	while (failures < FAILURES) {
		ck_assert_uint_lt(stored, OBJECTS_MAX);
		if (zpool_malloc(pool, 200, ZPOOL_GFP_KERNEL, &handles[stored]) == 0)
			stored++;
		else
			failures++;
	}
	while (stored)
		zpool_free(pool, handles[--stored]);
	struct zpool_stats stats = stack_stats(pool);
	ck_assert_uint_eq(stats.malloc_failed_limit, FAILURES);
	ck_assert_uint_eq(stats.malloc_failed_memory, 0);
	return FAILURES;
}

/* A second try would make every single fault of a malloc invisible.  A failed map fails the malloc, too. */
START_TEST(fault_below_fails_the_malloc_and_is_counted_once)
{
	static const char *const params[] = { "fault.malloc_nth", "fault.map_nth" };
	uint64_t failures = open_with_memory_to_yield(_i / 2);
	unsigned long handle;

	for (uint64_t faults = 1; faults <= 3; faults++) {
		ck_assert_int_eq(zpool_set_param(pool, params[_i % 2], "1"), 0);
		ck_assert_int_eq(zpool_malloc(pool, 200, ZPOOL_GFP_KERNEL, &handle), -ENOMEM);
		assert_contains(zpool_last_error(), "number 1 fail");
		struct zpool_stats stats = stack_stats(pool);
		ck_assert_uint_eq(stats.malloc_failed_limit, failures);
		ck_assert_uint_eq(stats.malloc_failed_memory, faults);
		ck_assert_uint_eq(stats.malloc_failed_again, 0);
		ck_assert_uint_eq(stats.objects, 0);
	}
	ck_assert_int_eq(zpool_malloc(pool, 200, ZPOOL_GFP_KERNEL, &handle), 0);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
	ck_assert_str_eq(stack_log, "");
}
END_TEST

static const struct {
	const char *above;
	bool traced;
	const char *below;
} stacks[] = {
	{ .above = "guard:leaks=no", .below = "" },         { .above = "fault", .below = "" },
	{ .above = "", .traced = true, .below = "" },       { .above = "guard:leaks=no+", .traced = true, .below = "" },
	{ .above = "fault+", .traced = true, .below = "" }, { .above = "", .traced = true, .below = "+guard:leaks=no" },
};

enum { STACKS = sizeof(stacks) / sizeof(stacks[0]) };

/* The core enforces the limit, and so do filters that are given a part of it. */
START_TEST(failure_at_the_limit_of_a_driver_without_set_limit_is_counted_once)
{
	struct zpool_driver driver = driver_for_tests("unlimited");
	char path[] = "/tmp/zpool-limit-test.XXXXXX", filter[160];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	driver_knobs_reset();
	driver.set_limit = NULL;
	knobs.leaves_limit_to_core = true;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	(void)snprintf(filter, sizeof(filter), "%s%s%s%s", stacks[_i].above,
		       stacks[_i].traced ? "trace:overwrite=yes,file=" : "", stacks[_i].traced ? path : "",
		       stacks[_i].below);
	pool = stack_open(filter, "unlimited", NULL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(zpool_set_limit(pool, 200000), 0);
	for (uint64_t failures = 0; failures < 10;) {
		unsigned long handle;
		int err = zpool_malloc(pool, 800, ZPOOL_GFP_KERNEL, &handle);

		if (err == 0)
			continue;
		ck_assert_int_eq(err, -ENOMEM);
		failures++;
		struct zpool_stats stats = stack_stats(pool);
		ck_assert_uint_eq(stats.malloc_failed_limit, failures);
		ck_assert_uint_eq(stats.malloc_failed_memory, 0);
		ck_assert_uint_eq(stats.malloc_failed_again, 0);
	}
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}
END_TEST

/* Guard maps each new object, to write its red zones.  The driver below does not know that it failed a malloc. */
START_TEST(failed_map_fails_the_malloc_and_frees_the_object)
{
	const zpool_gfp_t flags[] = { ZPOOL_GFP_KERNEL, ZPOOL_GFP_NOWAIT };
	struct zpool_driver driver = driver_for_tests("mapless");
	unsigned long handle;

	driver_knobs_reset();
	driver.flags_ignorable |= ZPOOL_DRIVER_NOWAIT;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = stack_open("guard", "mapless", NULL);
	for (unsigned int i = 0; i < 2; i++) {
		knobs.overrule[CALL_MAP] = true;
		knobs.answer[CALL_MAP] = ENOMEM;
		ck_assert_int_eq(zpool_malloc(pool, 64, flags[i], &handle), -ENOMEM);
		ck_assert_uint_eq(knobs.calls[CALL_FREE], i + 1);
		ck_assert_uint_eq(stack_stats(pool).malloc_failed_memory, i + 1);
		ck_assert_uint_eq(stack_stats(pool).objects, 0);
	}
	ck_assert_int_eq(zpool_malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), 0);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}
END_TEST

/* The object is gone for the caller, whatever became of it below. */
START_TEST(free_that_the_driver_below_refuses_is_reported)
{
	struct zpool_driver driver = driver_for_tests("stubborn");
	unsigned long handle;

	driver_knobs_reset();
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = stack_open("guard", "stubborn", NULL);
	handle = stack_store(pool, 64);
	knobs.overrule[CALL_FREE] = true;
	knobs.answer[CALL_FREE] = -EINVAL;
	zpool_free(pool, handle);
	ck_assert_uint_eq(stack_logged("driver \"stubborn\" refuses to free handle"), 1);
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
	ck_assert_uint_eq(stack_stats(pool).errors, 1);
	ck_assert_ptr_null(zpool_map_handle(pool, handle, ZPOOL_MM_RO));
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}
END_TEST

/* The limit of a new pool is set when the pool of the driver below exists, which must be destroyed again. */
START_TEST(pool_is_not_created_if_the_driver_below_refuses_its_limit)
{
	static const char *const filters[] = { "fault", "guard:leaks=no" };
	struct zpool_driver strict = driver_for_tests("strict");

	ck_assert_int_eq(zpool_register_driver(&strict), 0);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		char spec[80];

		driver_knobs_reset();
		knobs.overrule[CALL_SET_LIMIT] = true;
		knobs.answer[CALL_SET_LIMIT] = -EDOM;
		knobs.message = "Driver \"strict\" takes no such limit.";
		(void)snprintf(spec, sizeof(spec), "%s+strict:limit=1M", filters[i]);
		ck_assert_ptr_null(zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL));
		ck_assert_int_eq(errno, EDOM);
		ck_assert_ptr_nonnull(strstr(zpool_last_error(), knobs.message));
		ck_assert_uint_eq(knobs.calls[CALL_CREATE], 1);
		ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
		knobs.message = NULL;
		pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
		ck_assert_msg(pool != NULL, "%s: %s", spec, zpool_last_error());
		zpool_destroy_pool(pool);
	}
	ck_assert_int_eq(zpool_unregister_driver(&strict), 0);
}
END_TEST

/* Reads the size of the driver below, and lets the table above grow before it returns that size. */
static uint64_t fill_after_reading(void *filter)
{
	enum { OBJECTS = 2000 }; /* The table grows by 512 slots. */
	uint64_t below = knobs.filter_lower.driver->total_size(knobs.filter_lower.pool);
	unsigned int missing = looking ? OBJECTS : 0;
	unsigned long handle;

	(void)filter;
	looking = false; /* zpool_malloc() calls this function, too. */
	while (missing--)
		ck_assert_int_eq(zpool_malloc(pool, 64, ZPOOL_GFP_KERNEL, &handle), 0);
	return below;
}

/* A sum of sizes of two moments could exceed the limit. */
START_TEST(total_size_is_that_of_one_moment)
{
	uint64_t before, meanwhile;

	driver_knobs_reset();
	watching_filter = filter_for_tests("watching");
	watching_filter.total_size = fill_after_reading;
	ck_assert_int_eq(zpool_register_driver(&watching_filter), 0);
	pool = stack_open("guard:leaks=no+watching", stack_drivers[_i], NULL);
	before = zpool_get_total_size(pool);
	looking = true;
	meanwhile = zpool_get_total_size(pool);
	ck_assert(!looking);
	if (meanwhile != before)
		ck_assert_uint_eq(meanwhile, zpool_get_total_size(pool));
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&watching_filter), 0);
}
END_TEST

/* fault has trim and compact, and can only say that the driver below it does not. */
START_TEST(failed_malloc_says_nothing_about_trim_and_compact)
{
	static const char *const specs[] = {
		"fault+bare:limit=64K",
		"guard:leaks=no+fault+bare:limit=80K", /* guard's table needs more for the 513th object */
	};
	struct zpool_driver bare = driver_for_tests("bare");
	unsigned long handle;

	driver_knobs_reset();
	knobs.leaves_limit_to_core = true;
	bare.set_limit = NULL;
	bare.trim = NULL;
	bare.compact = NULL;
	ck_assert_int_eq(zpool_register_driver(&bare), 0);
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		pool = zpool_create_pool(specs[i], ZPOOL_GFP_KERNEL, NULL);
		ck_assert_msg(pool != NULL, "%s: %s", specs[i], zpool_last_error());
		while (zpool_malloc(pool, i ? 1 : 100, ZPOOL_GFP_KERNEL, &handle) == 0)
			continue;
		ck_assert_msg(strstr(zpool_last_error(), "its limit is reached") != NULL, "%s: %s", specs[i],
			      zpool_last_error());
		zpool_destroy_pool(pool);
	}
	ck_assert_int_eq(zpool_unregister_driver(&bare), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("filters at the limit");
	TCase *tcase = tcase_create("limit");

	tcase_add_loop_test(tcase, failures_are_counted_when_the_caller_sees_them, 0, STACK_DRIVERS);
	tcase_add_loop_test(tcase, pool_fills_its_limit, 0, STACK_DRIVERS);
	tcase_add_loop_test(tcase, fault_below_fails_the_malloc_and_is_counted_once, 0, 2 * STACK_DRIVERS);
	tcase_add_loop_test(tcase, failure_at_the_limit_of_a_driver_without_set_limit_is_counted_once, 0, STACKS);
	tcase_add_test(tcase, failed_map_fails_the_malloc_and_frees_the_object);
	tcase_add_test(tcase, free_that_the_driver_below_refuses_is_reported);
	tcase_add_test(tcase, pool_is_not_created_if_the_driver_below_refuses_its_limit);
	tcase_add_loop_test(tcase, total_size_is_that_of_one_moment, 0, STACK_DRIVERS);
	tcase_add_test(tcase, failed_malloc_says_nothing_about_trim_and_compact);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
