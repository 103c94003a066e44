/* SPDX-License-Identifier: MIT
 *
 * Tests of stacks: a filter in front of a driver.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mocks/mock_driver.h"

enum { FILTER_OWN_BYTES = 4096 };

static struct zpool *open_stack(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, 0, NULL);
	ck_assert_msg(pool != NULL, "create(%s): %s", spec, zpool_last_error());
	return pool;
}

static void set_up_filters(void)
{
	fixture_install("good");
	fixture_install("filter");
	fixture_install("failing");
	fixture_install("chatty");
	fixture_install("params");
}

START_TEST(stack_has_the_type_of_the_last_part_and_the_whole_spec)
{
	set_up_filters();
	struct zpool *pool = open_stack("filter+good");
	ck_assert_str_eq(zpool_get_type(pool), "good");
	ck_assert_str_eq(zpool_get_spec(pool), "filter+good");
	ck_assert_int_eq(strncmp(zpool_get_name(pool), "good", 4), 0);
	ck_assert_uint_eq(zpool_max_object_size(pool), MOCK_MAX_BYTES);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unload_driver("filter"), 0);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

START_TEST(every_filter_gets_the_spec_of_the_layers_below)
{
	set_up_filters();
	zpool_destroy_pool(open_stack("filter+filter:limit=1M+params:level=4,label=a%2bb"));
	ck_assert_uint_eq(fixture_events("lower spec", "filter:limit=1M+params:level=4,label=a%2bb"), 1);
	ck_assert_uint_eq(fixture_events("lower spec", "params:level=4,label=a%2bb"), 1);
	ck_assert_uint_eq(fixture_events("lower spec", NULL), 2);
}
END_TEST

START_TEST(objects_of_a_stack_have_handles_of_the_filter)
{
	unsigned long handle;
	set_up_filters();
	struct zpool *pool = open_stack("filter+good");
	ck_assert_int_eq(zpool_malloc(pool, 6, 0, &handle), 0);
	ck_assert_uint_gt(handle, MOCK_OBJECTS);
	char *bytes = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, "stored", 6);
	zpool_unmap_handle(pool, handle);
	ck_assert_int_eq(memcmp(zpool_map_handle(pool, handle, ZPOOL_MM_RO), "stored", 6), 0);
	zpool_unmap_handle(pool, handle);
	ck_assert_uint_eq(zpool_get_total_size(pool), FILTER_OWN_BYTES + MOCK_PAGE_BYTES);
	zpool_free(pool, handle);
	ck_assert_uint_eq(zpool_get_total_size(pool), FILTER_OWN_BYTES);
	zpool_destroy_pool(pool);
}
END_TEST

static unsigned long evicted[4];
static unsigned int evictions;

static int evict(struct zpool *pool, unsigned long handle)
{
	evicted[evictions++ % 4] = handle;
	zpool_free(pool, handle);
	return 0;
}

START_TEST(eviction_through_a_stack_passes_the_owners_handles)
{
	static const struct zpool_ops ops = { evict };
	unsigned long handles[2];
	unsigned int reclaimed;
	set_up_filters();
	struct zpool *pool = zpool_create_pool("filter+filter+good", 0, &ops);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert(zpool_evictable(pool));
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handles[i]), 0);
	ck_assert_int_eq(zpool_shrink(pool, 2, &reclaimed), 0);
	ck_assert_uint_eq(reclaimed, 2);
	ck_assert_uint_eq(evicted[0], handles[0]);
	ck_assert_uint_eq(evicted[1], handles[1]);
	expect_error(zpool_shrink(pool, 1, &reclaimed), EINVAL, "nothing was left");
	zpool_destroy_pool(pool);

	pool = open_stack("filter+good");
	ck_assert(!zpool_evictable(pool));
	expect_error(zpool_shrink(pool, 1, NULL), EINVAL, "without an evict callback");
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * The limit
 */

static unsigned int fill(struct zpool *pool)
{
	unsigned long handle;
	unsigned int count = 0;
	while (zpool_malloc(pool, 10, 0, &handle) == 0)
		count++;
	static const char *const texts[] = { "limit", NULL };
	expect_message(texts);
	return count;
}

START_TEST(core_enforces_the_limit_of_a_driver_without_set_limit)
{
	set_up_filters();
	struct zpool *pool = open_stack("good:limit=16K");
	ck_assert_uint_eq(fill(pool), 4);
	ck_assert_uint_eq(zpool_get_total_size(pool), 16384);
	ck_assert_int_eq(zpool_set_limit(pool, 20480), 0);
	ck_assert_uint_eq(fill(pool), 1);
	ck_assert_int_eq(zpool_set_param(pool, "limit", "24K"), 0);
	ck_assert_uint_eq(fill(pool), 1);
	ck_assert_int_eq(zpool_set_limit(pool, 4096), 0);
	ck_assert_uint_eq(fill(pool), 0);
	ck_assert_int_eq(zpool_set_limit(pool, 0), 0);
	unsigned long handle;
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(a_limit_on_any_part_bounds_the_whole_stack)
{
	static const char *const specs[] = { "filter:limit=16K+good", "filter+good:limit=16K" };
	set_up_filters();
	for (size_t i = 0; i < 2; i++) {
		struct zpool *pool = open_stack(specs[i]);
		ck_assert_uint_eq(fill(pool), 3);
		ck_assert_uint_eq(zpool_get_total_size(pool), 16384);
		zpool_destroy_pool(pool);
	}
	expect_refused("filter:limit=16K+good:limit=8K", EINVAL, "limit twice");
	expect_refused("filter:limit=0+good:limit=8K", EINVAL, "limit twice");
	expect_refused("filter:limit=4095+good", ENOMEM, "4095", "too low", "4096");
	expect_refused("good:limit=-1", EINVAL, "\"-1\"", "limit");
	expect_refused("good:limit=1X", EINVAL, "\"1X\"", "K, M, G, T");
	expect_refused("good:limit=99999999999T", EINVAL, "limit");
}
END_TEST

START_TEST(parameters_reach_the_part_they_name)
{
	set_up_filters();
	struct zpool *pool = open_stack("filter+params");
	expect_error(zpool_set_param(pool, "params.level", "4"), EOPNOTSUPP, "\"level\"",
		     "cannot be changed after the pool is created");
	expect_error(zpool_set_param(pool, "level", "4"), EOPNOTSUPP, "\"level\"");
	expect_error(zpool_set_param(pool, "level", "77"), EINVAL, "\"77\"");
	expect_error(zpool_set_param(pool, "filter.level", "4"), EINVAL, "\"filter\" has no parameter \"level\"");
	expect_error(zpool_set_param(pool, "good.level", "4"), EINVAL, "no part \"good\"", "good.level");
	expect_error(zpool_set_param(pool, NULL, "4"), EINVAL, "no key");
	expect_error(zpool_set_param(pool, "level", NULL), EINVAL, "no value");
	ck_assert_int_eq(zpool_set_param(pool, "filter.limit", "1G"), 0);
	ck_assert_int_eq(zpool_set_param(pool, "params.limit", "1G"), 0);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(a_part_is_named_with_a_dash_or_an_underscore)
{
	fixture_install("my_drv");
	struct zpool *pool = open_stack("my-drv");
	ck_assert_int_eq(zpool_set_param(pool, "my_drv.limit", "1G"), 0);
	ck_assert_int_eq(zpool_set_param(pool, "my-drv.limit", "1G"), 0);
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Specs that are not valid stacks
 */

START_TEST(filter_needs_a_driver_and_a_driver_must_be_last)
{
	set_up_filters();
	expect_refused("filter", EINVAL, "\"filter\" is a filter", "needs a driver below it");
	expect_refused("good+filter", EINVAL, "\"good\" is not a filter", "last part");
	expect_refused("good+good", EINVAL, "\"good\" is not a filter");
	expect_refused("filter+filter", EINVAL, "\"filter\" is a filter");
	expect_refused("filter+nosuch", ENOENT, "nosuch.so");
	expect_refused("+good", EINVAL, "is missing a driver's name");
	expect_refused("filter++good", EINVAL, "is missing a driver's name");
	expect_refused("filter+good+", EINVAL, "is missing a driver's name");
	/* No pool or driver is in use after these failures. */
	ck_assert_int_eq(zpool_unload_driver("filter"), 0);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

START_TEST(lower_pool_that_a_filter_leaks_is_logged_and_destroyed)
{
	set_up_filters();
	fixture_install("filter_leaky");
	struct zpool *pool = open_stack("filter_leaky+failing");
	fixture_capture_log(ZPOOL_LOG_ERROR);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(fixture_logged("Filter \"filter_leaky\" did not destroy the driver below it"), 1);
	ck_assert_uint_eq(fixture_events("failing", "destroy"), 1);
	ck_assert_int_eq(zpool_unload_driver("filter_leaky"), 0);
	ck_assert_int_eq(zpool_unload_driver("failing"), 0);
}
END_TEST

START_TEST(filter_without_a_lower_pool_is_refused)
{
	set_up_filters();
	fixture_install("filter_lazy");
	expect_refused("filter_lazy+good", EIO, "\"filter_lazy\" did not create the driver below it");
	ck_assert_int_eq(zpool_unload_driver("filter_lazy"), 0);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

START_TEST(filter_that_creates_two_lower_pools_or_fails_leaks_nothing)
{
	set_up_filters();
	fixture_install("filter_greedy");
	expect_refused("filter_greedy+failing", EBUSY, "\"filter_greedy\" created the driver below it twice");
	ck_assert_uint_eq(fixture_events("failing", "destroy"), 1);
	ck_assert_int_eq(zpool_unload_driver("failing"), 0);
	ck_assert_int_eq(zpool_unload_driver("filter_greedy"), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Failures of the driver below
 */

START_TEST(failed_create_has_a_message_of_the_driver_or_the_core)
{
	set_up_filters();
	expect_refused("failing:how=quietly", ENXIO, "\"failing\" could not create a pool",
		       "No such device or address");
	expect_refused("failing:how=aloud", ENXIO, "The failing mock finds no device \"failing-");
	expect_refused("failing:how=positive", EIO, "\"failing\" could not create a pool");
	expect_refused("failing:how=nothing", EIO, "\"failing\" created a pool with no pool", "bug in the driver");
	ck_assert_uint_eq(fixture_events("failing", "destroy"), 0);
	expect_refused("failing:how=empty", EIO, "a largest object of 0 bytes");
	expect_refused("failing:how=skewed", EIO, "not a power of two");
	ck_assert_uint_eq(fixture_events("failing", "destroy"), 2);
	expect_works("failing");
	ck_assert_int_eq(zpool_unload_driver("failing"), 0);
}
END_TEST

START_TEST(message_of_a_lower_driver_passes_through_a_filter)
{
	set_up_filters();
	expect_refused("filter+failing:how=aloud", ENXIO, "The failing mock finds no device");
	expect_refused("filter+filter+failing:how=aloud", ENXIO, "The failing mock finds no device");
	expect_refused("filter+failing:how=quietly", ENXIO, "\"failing\" could not create a pool");
	expect_refused("filter+failing:how=skewed", EIO, "not a power of two");

	unsigned long handle;
	struct zpool *pool = open_stack("filter+chatty");
	expect_error(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "The chatty mock has no room for 1 byte");
	zpool_destroy_pool(pool);
}
END_TEST

/* The lower driver's message belongs to a failure that the filter handled. */
START_TEST(message_of_a_failure_that_a_filter_handled_is_dropped)
{
	unsigned long handle;
	set_up_filters();
	fixture_install("filter_patient");
	struct zpool *pool = open_stack("filter_patient+chatty");
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), 0);
	zpool_free(pool, 0);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "handle 0"));
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), 0);
	ck_assert_int_eq(zpool_malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "0 bytes"));
	zpool_destroy_pool(pool);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("filter");
	tcase_add_test(tests, stack_has_the_type_of_the_last_part_and_the_whole_spec);
	tcase_add_test(tests, every_filter_gets_the_spec_of_the_layers_below);
	tcase_add_test(tests, objects_of_a_stack_have_handles_of_the_filter);
	tcase_add_test(tests, eviction_through_a_stack_passes_the_owners_handles);
	tcase_add_test(tests, core_enforces_the_limit_of_a_driver_without_set_limit);
	tcase_add_test(tests, a_limit_on_any_part_bounds_the_whole_stack);
	tcase_add_test(tests, parameters_reach_the_part_they_name);
	tcase_add_test(tests, a_part_is_named_with_a_dash_or_an_underscore);
	tcase_add_test(tests, filter_needs_a_driver_and_a_driver_must_be_last);
	tcase_add_test(tests, lower_pool_that_a_filter_leaks_is_logged_and_destroyed);
	tcase_add_test(tests, filter_without_a_lower_pool_is_refused);
	tcase_add_test(tests, filter_that_creates_two_lower_pools_or_fails_leaks_nothing);
	tcase_add_test(tests, failed_create_has_a_message_of_the_driver_or_the_core);
	tcase_add_test(tests, message_of_a_lower_driver_passes_through_a_filter);
	tcase_add_test(tests, message_of_a_failure_that_a_filter_handled_is_dropped);
	return fixture_run("filter", tests);
}
