/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter, other_filter;
static unsigned int logged;
static char log_text[512];
static enum zpool_log_level log_level;

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)user;
	logged++;
	log_level = level;
	(void)snprintf(log_text, sizeof(log_text), "%s", message);
}

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	other_filter = filter_for_tests("veil");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	ck_assert_int_eq(zpool_register_driver(&other_filter), 0);
	logged = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_WARNING, NULL), 0);
}

static void finish(void)
{
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
	ck_assert_int_eq(zpool_unregister_driver(&other_filter), 0);
}

static struct zpool *create(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	return pool;
}

START_TEST(filter_comes_before_the_driver)
{
	unsigned long handle;
	char text[6];
	start();
	struct zpool *pool = create("sieve+mock");
	ck_assert_int_eq(zpool_malloc(pool, 6, 0, &handle), 0);
	ck_assert_uint_eq(handle >> (8 * sizeof(handle) - 1), 1);
	memcpy(zpool_map_handle(pool, handle, ZPOOL_MM_RW), "hello", 6);
	zpool_unmap_handle(pool, handle);
	ck_assert_int_eq(zpool_obj_read(pool, handle, text, 6, 0), 6);
	ck_assert_str_eq(text, "hello");
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	ck_assert_uint_eq(knobs.calls[CALL_FILTER_DESTROY], 1);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

START_TEST(filters_can_be_stacked)
{
	unsigned long handle;
	start();
	struct zpool *pool = create("sieve+veil+sieve+mock");
	ck_assert_uint_eq(knobs.calls[CALL_FILTER_CREATE], 3);
	ck_assert_int_eq(zpool_malloc(pool, 6, 0, &handle), 0);
	ck_assert_int_eq(zpool_obj_size(pool, handle), 6);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(filter_gets_a_description_of_the_pool_below)
{
	start();
	struct zpool *pool = create("sieve+mock:note=x");
	ck_assert_uint_eq(knobs.filter_lower.struct_size, sizeof(knobs.filter_lower));
	ck_assert_uint_eq(knobs.filter_lower.max_object_bytes, DRIVER_MAX_OBJECT);
	ck_assert_uint_eq(knobs.filter_lower.alignment_bytes, 8);
	ck_assert_str_eq(knobs.filter_lower.driver->type, "mock");
	ck_assert_ptr_eq(knobs.filter_lower.pool, knobs.last_pool);
	ck_assert_uint_ne(knobs.filter_lower.caps & ZPOOL_CAP_EVICT, 0);
	zpool_destroy_pool(pool);
	knobs.overrule[CALL_FILTER_CREATE] = true;
	knobs.answer[CALL_FILTER_CREATE] = -EPERM;
	assert_fails_null(zpool_create_pool("sieve+mock:note=x", 0, NULL), EPERM,
			  "Driver \"sieve\" could not create a pool");
	ck_assert_str_eq(knobs.lower_spec, "mock:note=x");
	finish();
}
END_TEST

START_TEST(older_filter_gets_the_members_that_it_knows)
{
	start();
	knobs.filter_lower_size = offsetof(struct zpool_lower, alignment_bytes);
	assert_fails_null(zpool_create_pool("sieve+mock", 0, NULL), EIO, "an alignment that is not a power of two");
	ck_assert_uint_eq(knobs.filter_lower.max_object_bytes, DRIVER_MAX_OBJECT);
	ck_assert_uint_eq(knobs.filter_lower.alignment_bytes, 0);
	finish();
}
END_TEST

START_TEST(filter_alone_needs_a_driver_behind_it)
{
	start();
	assert_fails_null(zpool_create_pool("sieve", 0, NULL), EINVAL,
			  "\"sieve\" is a filter and needs a driver below it");
	assert_fails_null(zpool_create_pool("sieve+veil", 0, NULL), EINVAL, "\"veil\" is a filter");
	finish();
}
END_TEST

START_TEST(driver_must_be_the_last_part)
{
	start();
	assert_fails_null(zpool_create_pool("mock+mock", 0, NULL), EINVAL, "\"mock\" is not a filter");
	assert_fails_null(zpool_create_pool("mock+sieve", 0, NULL), EINVAL, "\"mock\" is not a filter");
	ck_assert_uint_eq(knobs.calls[CALL_CREATE], 0);
	finish();
}
END_TEST

START_TEST(keys_belong_to_the_part_before_them)
{
	start();
	struct zpool *pool = create("sieve:depth=9+mock:level=8");
	ck_assert_uint_eq(knobs.values[0].number, 8);
	zpool_destroy_pool(pool);
	assert_fails_null(zpool_create_pool("sieve:level=8+mock", 0, NULL), EINVAL,
			  "Driver \"sieve\" has no parameter \"level\"");
	finish();
}
END_TEST

START_TEST(limit_may_be_given_once_in_any_part)
{
	start();
	struct zpool *pool = create("sieve:limit=1M+mock");
	ck_assert_uint_eq(knobs.args.limit_bytes, 1 << 20);
	zpool_destroy_pool(pool);
	assert_fails_null(zpool_create_pool("sieve:limit=1M+mock:limit=1M", 0, NULL), EINVAL, "gives the limit twice");
	assert_fails_null(zpool_create_pool("sieve:limit=0+mock:limit=1M", 0, NULL), EINVAL, "gives the limit twice");
	finish();
}
END_TEST

START_TEST(absent_part_is_named_and_the_other_drivers_are_released)
{
	start();
	assert_fails_null(zpool_create_pool("sieve+no_such_driver", 0, NULL), ENOENT, "No driver \"no_such_driver\"");
	finish();
}
END_TEST

static unsigned long evicted;

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	(void)user;
	evicted = handle;
	zpool_free(pool, handle);
	return 0;
}

START_TEST(evicted_handles_are_those_of_the_topmost_filter)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	unsigned long handle;
	unsigned int reclaimed = 0;
	args.evict = evict;
	start();
	struct zpool *pool = zpool_open("sieve+mock", &args, sizeof(args));
	ck_assert_ptr_nonnull(pool);
	ck_assert_int_eq(zpool_malloc(pool, 6, 0, &handle), 0);
	ck_assert_int_eq(zpool_shrink(pool, 1, &reclaimed), 0);
	ck_assert_uint_eq(reclaimed, 1);
	ck_assert_uint_eq(evicted, handle);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(failure_below_a_filter_has_the_message_of_the_failing_driver)
{
	start();
	knobs.overrule[CALL_CREATE] = true;
	knobs.answer[CALL_CREATE] = -ENODEV;
	knobs.message = "the shelf is missing";
	assert_fails_null(zpool_create_pool("sieve+veil+mock", 0, NULL), ENODEV, "the shelf is missing");
	knobs.message = NULL;
	knobs.overrule[CALL_CREATE] = true;
	assert_fails_null(zpool_create_pool("sieve+mock", 0, NULL), ENODEV, "Driver \"mock\" could not create a pool");
	knobs.without_pool = true;
	assert_fails_null(zpool_create_pool("sieve+mock", 0, NULL), EIO, "Driver \"mock\" created a pool with no pool");
	finish();
}
END_TEST

START_TEST(message_set_during_a_successful_create_is_no_error)
{
	unsigned long handle = 0;
	start();
	knobs.filter_asks_twice = true;
	struct zpool *pool = create("sieve+mock");
	knobs.overrule[CALL_MALLOC] = true;
	knobs.answer[CALL_MALLOC] = -EDOM;
	assert_fails(zpool_malloc(pool, 1, 0, &handle), EDOM, "could not store the object");
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(filter_that_creates_no_lower_pool_is_refused)
{
	start();
	knobs.filter_makes_no_lower = true;
	assert_fails_null(zpool_create_pool("sieve+mock", 0, NULL), EIO,
			  "Filter \"sieve\" did not create the driver below it");
	ck_assert_uint_eq(knobs.calls[CALL_FILTER_DESTROY], 1);
	finish();
}
END_TEST

START_TEST(lower_pool_is_created_once)
{
	start();
	knobs.filter_asks_twice = true;
	struct zpool *pool = create("sieve+mock");
	ck_assert_int_eq(knobs.filter_second_answer, -EBUSY);
	ck_assert_uint_eq(knobs.calls[CALL_CREATE], 1);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(driver_at_the_bottom_cannot_create_a_lower_pool)
{
	struct zpool_lower lower;
	start();
	struct zpool *pool = create("mock");
	assert_fails(knobs.host->lower_create(knobs.core, NULL, NULL, &lower, sizeof(lower)), EINVAL,
		     "needs a driver below it, but the spec has none");
	lower.pool = &lower;
	knobs.host->lower_destroy(knobs.core, &lower);
	ck_assert_ptr_null(lower.pool);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(lower_pool_that_a_filter_forgets_is_destroyed_and_logged)
{
	start();
	knobs.filter_keeps_lower = true;
	struct zpool *pool = create("sieve+mock");
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	ck_assert_uint_eq(logged, 1);
	assert_contains(log_text, "Filter \"sieve\" did not destroy the driver below it");
	finish();
}
END_TEST

START_TEST(filter_that_fails_after_its_lower_driver_leaks_nothing)
{
	start();
	knobs.filter_fails_after_lower = true;
	assert_fails_null(zpool_create_pool("sieve+mock", 0, NULL), ENODEV, "Driver \"sieve\" could not create a pool");
	ck_assert_uint_eq(knobs.calls[CALL_CREATE], 1);
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	ck_assert_uint_eq(knobs.calls[CALL_FILTER_DESTROY], 0);
	finish();
}
END_TEST

START_TEST(messages_of_drivers_have_their_name_and_the_pools)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.name = "a shelf with a very long name, of which the log shows no more than its first 64 bytes";
	start();
	struct zpool *pool = zpool_open("mock", &args, sizeof(args));
	ck_assert_ptr_nonnull(pool);
	knobs.host->log(knobs.core, ZPOOL_LOG_WARNING, "%d of %s", 3, "them");
	ck_assert_str_eq(log_text,
			 "mock (a shelf with a very long name, of which the log shows no more th): 3 of them");
	ck_assert_int_eq(log_level, ZPOOL_LOG_WARNING);
	knobs.host->log(knobs.core, (enum zpool_log_level)99, "odd");
	ck_assert_int_eq(log_level, ZPOOL_LOG_ERROR);
	knobs.host->log(knobs.core, (enum zpool_log_level) - 1, "odd");
	ck_assert_int_eq(log_level, ZPOOL_LOG_ERROR);
	ck_assert_uint_eq(logged, 3);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

static void never_called(void *arg)
{
	(void)arg;
	ck_abort_msg("a hook ran that was cancelled or dropped");
}

START_TEST(host_table_has_its_size_and_the_thread_exit_functions)
{
	start();
	struct zpool *pool = create("mock");
	ck_assert_uint_eq(knobs.host->struct_size, sizeof(*knobs.host));
	ck_assert_uint_eq(knobs.host->abi_minor, ZPOOL_ABI_MINOR);
	ck_assert_int_eq(knobs.host->opened(knobs.core), 1);
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, never_called, pool), 0);
	knobs.host->thread_exit_cancel(knobs.core, never_called, pool);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

static void *add_a_hook_and_destroy(void *pool)
{
	static int own;
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, never_called, &own), 0);
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, never_called, pool), 0);
	zpool_destroy_pool(pool);
	return NULL;
}

START_TEST(hooks_that_a_driver_does_not_cancel_are_dropped_and_logged)
{
	pthread_t thread;
	start();
	struct zpool *other = create("mock");
	struct zpool *pool = create("sieve+mock");
	ck_assert_int_eq(pthread_create(&thread, NULL, add_a_hook_and_destroy, pool), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(logged, 1);
	ck_assert_int_eq(log_level, ZPOOL_LOG_ERROR);
	assert_contains(log_text, "Driver \"mock\" did not cancel 2 of its thread-exit hooks");
	zpool_destroy_pool(other);
	ck_assert_uint_eq(logged, 1);
	finish();
}
END_TEST

static unsigned int ran;

static void count(void *arg)
{
	(void)arg;
	ran++;
}

static void *add_a_hook_beside_a_destroy(void *pool)
{
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, count, &ran), 0);
	zpool_destroy_pool(pool);
	return NULL;
}

START_TEST(destroy_keeps_the_hooks_of_other_pools)
{
	pthread_t thread;
	start();
	struct zpool *pool = create("mock"), *other = create("mock");
	ran = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, add_a_hook_beside_a_destroy, pool), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(ran, 1);
	zpool_destroy_pool(other);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		filter_comes_before_the_driver,
		filters_can_be_stacked,
		filter_gets_a_description_of_the_pool_below,
		older_filter_gets_the_members_that_it_knows,
		filter_alone_needs_a_driver_behind_it,
		driver_must_be_the_last_part,
		keys_belong_to_the_part_before_them,
		limit_may_be_given_once_in_any_part,
		absent_part_is_named_and_the_other_drivers_are_released,
		evicted_handles_are_those_of_the_topmost_filter,
		failure_below_a_filter_has_the_message_of_the_failing_driver,
		message_set_during_a_successful_create_is_no_error,
		filter_that_creates_no_lower_pool_is_refused,
		lower_pool_is_created_once,
		driver_at_the_bottom_cannot_create_a_lower_pool,
		lower_pool_that_a_filter_forgets_is_destroyed_and_logged,
		filter_that_fails_after_its_lower_driver_leaks_nothing,
		messages_of_drivers_have_their_name_and_the_pools,
		host_table_has_its_size_and_the_thread_exit_functions,
		hooks_that_a_driver_does_not_cancel_are_dropped_and_logged,
		destroy_keeps_the_hooks_of_other_pools,
	};
	return UNIT_RUN("core/stack", tests);
}
