/* SPDX-License-Identifier: MIT
 *
 * calls.c - the calls on a whole pool: calls, properties, settings, reclaim, walk and stats in libzpool/core
 */
#include "config.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter;
static struct zpool *pool;
static int evict_answer;

static int evict(struct zpool *of, unsigned long handle, void *user)
{
	(void)user;
	if (evict_answer == 0)
		zpool_free(of, handle);
	return evict_answer;
}

static void start_empty(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	evict_answer = 0;
}

static void open_pool(const char *spec, bool evicts)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.evict = evicts ? evict : NULL;
	args.name = "shelf";
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	pool = zpool_open(spec, &args, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
}

static void start(void)
{
	start_empty();
	open_pool("mock", true);
}

static void finish(void)
{
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}

static void overrule(enum driver_call call, int64_t answer, const char *message)
{
	knobs.overrule[call] = true;
	knobs.answer[call] = answer;
	knobs.message = message;
}

static int count_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	ck_assert_uint_eq(size, sizeof(*stats));
	ck_assert_uint_eq(stats->object_bytes, 32);
	++*(int *)user;
	return *(int *)user == 3 ? 42 : 0;
}

static int count_object(struct zpool *of, unsigned long handle, size_t size, void *user)
{
	ck_assert_ptr_eq(of, pool);
	ck_assert_int_eq(zpool_obj_size(of, handle), (int64_t)size);
	return ++*(int *)user == 3 ? 42 : 0;
}

START_TEST(null_pool_is_reported_by_every_function)
{
	struct zpool_stats stats;
	unsigned int reclaimed = 7;
	uint64_t released = 7;
	int n = 0;
	assert_fails_null(zpool_get_type(NULL), EINVAL, "zpool_get_type() was given no pool");
	assert_fails_null(zpool_get_spec(NULL), EINVAL, "zpool_get_spec() was given no pool");
	assert_fails_null(zpool_get_name(NULL), EINVAL, "zpool_get_name() was given no pool");
	errno = 0;
	ck_assert_uint_eq(zpool_get_total_size(NULL), 0);
	ck_assert_int_eq(errno, EINVAL);
	assert_contains(zpool_last_error(), "zpool_get_total_size() was given no pool");
	errno = 0;
	ck_assert_uint_eq(zpool_max_object_size(NULL), 0);
	ck_assert_int_eq(errno, EINVAL);
	assert_contains(zpool_last_error(), "zpool_max_object_size() was given no pool");
	errno = 0;
	ck_assert_uint_eq(zpool_alignment(NULL), 0);
	ck_assert_int_eq(errno, EINVAL);
	assert_contains(zpool_last_error(), "zpool_alignment() was given no pool");
	assert_fails(zpool_set_limit(NULL, 1), EINVAL, "zpool_set_limit() was given no pool");
	assert_fails(zpool_set_param(NULL, "k", "v"), EINVAL, "zpool_set_param() was given no pool");
	assert_fails(zpool_shrink(NULL, 1, &reclaimed), EINVAL, "zpool_shrink() was given no pool");
	ck_assert_uint_eq(reclaimed, 0);
	assert_fails(zpool_compact(NULL, 0, 0, &released), EINVAL, "zpool_compact() was given no pool");
	ck_assert_uint_eq(released, 0);
	assert_fails(zpool_trim(NULL, NULL), EINVAL, "zpool_trim() was given no pool");
	assert_fails(zpool_get_stats(NULL, &stats, sizeof(stats)), EINVAL, "zpool_get_stats() was given no pool");
	assert_fails(zpool_each_class(NULL, count_class, &n), EINVAL, "zpool_each_class() was given no pool");
	assert_fails(zpool_each_object(NULL, count_object, &n), EINVAL, "zpool_each_object() was given no pool");
	ck_assert(!zpool_evictable(NULL));
	ck_assert(!zpool_can_sleep_mapped(NULL));
	ck_assert(!zpool_malloc_support_movable(NULL));
}
END_TEST

START_TEST(pool_reports_its_type_spec_and_name)
{
	start_empty();
	open_pool("sieve:depth=2+mock:level=9", false);
	ck_assert_str_eq(zpool_get_type(pool), "mock");
	ck_assert_str_eq(zpool_get_spec(pool), "sieve:depth=2+mock:level=9");
	ck_assert_str_eq(zpool_get_name(pool), "shelf");
	ck_assert_uint_eq(zpool_get_total_size(pool), DRIVER_EMPTY_BYTES);
	ck_assert_uint_eq(zpool_max_object_size(pool), DRIVER_MAX_OBJECT);
	ck_assert_uint_eq(zpool_alignment(pool), 8);
	finish();
}
END_TEST

START_TEST(optional_capabilities_follow_callbacks_and_flags)
{
	start();
	ck_assert(zpool_evictable(pool));
	ck_assert(!zpool_can_sleep_mapped(pool));
	ck_assert(!zpool_malloc_support_movable(pool));
	finish();
	start_empty();
	driver.flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_MOVABLE;
	open_pool("mock", false);
	ck_assert(!zpool_evictable(pool));
	ck_assert(zpool_can_sleep_mapped(pool));
	ck_assert(zpool_malloc_support_movable(pool));
	finish();
}
END_TEST

START_TEST(functions_that_the_driver_lacks_are_not_supported)
{
	struct zpool_stats stats = { .objects = 7 };
	uint64_t released = 7;
	int n = 0;
	start_empty();
	driver.compact = NULL;
	driver.trim = NULL;
	driver.stats = NULL;
	driver.each_class = NULL;
	driver.each_object = NULL;
	driver.set = NULL;
	open_pool("mock", true);
	assert_fails(zpool_compact(pool, 0, 0, &released), EOPNOTSUPP,
		     "zpool_compact(): driver \"mock\" does not support this call");
	ck_assert_uint_eq(released, 0);
	released = 7;
	assert_fails(zpool_trim(pool, &released), EOPNOTSUPP,
		     "zpool_trim(): driver \"mock\" does not support this call");
	ck_assert_uint_eq(released, 0);
	assert_fails(zpool_get_stats(pool, &stats, sizeof(stats)), EOPNOTSUPP, "zpool_get_stats()");
	ck_assert_uint_eq(stats.objects, 7);
	assert_fails(zpool_each_class(pool, count_class, &n), EOPNOTSUPP, "zpool_each_class()");
	assert_fails(zpool_each_object(pool, count_object, &n), EOPNOTSUPP, "zpool_each_object()");
	assert_fails(zpool_set_param(pool, "level", "4"), EOPNOTSUPP, "\"level\" of driver \"mock\" cannot be changed");
	ck_assert_int_eq(n, 0);
	finish();
}
END_TEST

START_TEST(missing_arguments_are_refused)
{
	struct zpool_stats stats;
	start();
	assert_fails(zpool_set_param(pool, NULL, "1"), EINVAL, "zpool_set_param() was given no key");
	assert_fails(zpool_set_param(pool, "level", NULL), EINVAL, "zpool_set_param() was given no value");
	assert_fails(zpool_shrink(pool, 0, NULL), EINVAL, "0 pages");
	assert_fails(zpool_get_stats(pool, NULL, sizeof(stats)), EINVAL, "no buffer for the statistics");
	assert_fails(zpool_get_stats(pool, &stats, 0), EINVAL, "no buffer for the statistics");
	assert_fails(zpool_each_class(pool, NULL, NULL), EINVAL, "zpool_each_class() was given no function");
	assert_fails(zpool_each_object(pool, NULL, NULL), EINVAL, "zpool_each_object() was given no function");
	finish();
}
END_TEST

START_TEST(failures_of_the_driver_get_a_message_if_they_have_none)
{
	struct zpool_stats stats;
	uint64_t released;
	start();
	overrule(CALL_SET_LIMIT, -EDOM, NULL);
	assert_fails(zpool_set_limit(pool, 1), EDOM, "zpool_set_limit(): driver \"mock\" failed: Numerical");
	overrule(CALL_SET_LIMIT, -EDOM, "too tight");
	assert_fails(zpool_set_limit(pool, 1), EDOM, "too tight");
	overrule(CALL_SET, -EDOM, NULL);
	assert_fails(zpool_set_param(pool, "level", "4"), EDOM, "zpool_set_param(): driver \"mock\" failed");
	overrule(CALL_SET, -EDOM, "too high");
	assert_fails(zpool_set_param(pool, "level", "4"), EDOM, "too high");
	overrule(CALL_COMPACT, -EDOM, NULL);
	assert_fails(zpool_compact(pool, 0, 0, &released), EDOM, "zpool_compact(): driver \"mock\" failed");
	ck_assert_uint_eq(released, 4096);
	overrule(CALL_COMPACT, -EDOM, "stuck");
	assert_fails(zpool_compact(pool, 0, 0, NULL), EDOM, "stuck");
	overrule(CALL_TRIM, -EDOM, NULL);
	assert_fails(zpool_trim(pool, NULL), EDOM, "zpool_trim(): driver \"mock\" failed");
	overrule(CALL_STATS, -EDOM, NULL);
	assert_fails(zpool_get_stats(pool, &stats, sizeof(stats)), EDOM, "zpool_get_stats(): driver \"mock\" failed");
	overrule(CALL_SHRINK, -EDOM, NULL);
	assert_fails(zpool_shrink(pool, 1, NULL), EDOM, "zpool_shrink(): driver \"mock\" failed");
	overrule(CALL_SHRINK, -EDOM, "cold");
	assert_fails(zpool_shrink(pool, 1, NULL), EDOM, "cold");
	finish();
}
END_TEST

START_TEST(invalid_results_of_the_driver_become_errors)
{
	static const int odd[] = { 2, 5, INT_MAX, -4096, INT_MIN };
	struct zpool_stats stats;
	start();
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		overrule(CALL_SET_LIMIT, odd[i], NULL);
		assert_fails(zpool_set_limit(pool, 1), EIO, "Input/output error");
		overrule(CALL_SET, odd[i], NULL);
		assert_fails(zpool_set_param(pool, "level", "4"), EIO, "Input/output error");
		overrule(CALL_COMPACT, odd[i], NULL);
		assert_fails(zpool_compact(pool, 0, 0, NULL), EIO, "Input/output error");
		overrule(CALL_TRIM, odd[i], NULL);
		assert_fails(zpool_trim(pool, NULL), EIO, "Input/output error");
		overrule(CALL_STATS, odd[i], NULL);
		assert_fails(zpool_get_stats(pool, &stats, sizeof(stats)), EIO, "Input/output error");
		overrule(CALL_SHRINK, odd[i], NULL);
		assert_fails(zpool_shrink(pool, 1, NULL), EIO, "Input/output error");
	}
	finish();
}
END_TEST

START_TEST(message_of_an_earlier_call_is_not_used_for_a_later_one)
{
	start();
	knobs.host->error(knobs.core, "old news");
	overrule(CALL_TRIM, -EDOM, NULL);
	assert_fails(zpool_trim(pool, NULL), EDOM, "zpool_trim(): driver");
	knobs.host->error(knobs.core, "old news");
	overrule(CALL_SHRINK, -EAGAIN, NULL);
	assert_fails(zpool_shrink(pool, 1, NULL), EAGAIN, "could be evicted");
	finish();
}
END_TEST

START_TEST(failure_further_down_names_the_driver_that_failed)
{
	start_empty();
	open_pool("sieve+mock", false);
	overrule(CALL_SET, -EDOM, NULL);
	assert_fails(zpool_set_param(pool, "level", "4"), EDOM, "driver \"mock\" failed");
	overrule(CALL_SET_LIMIT, -EDOM, NULL);
	assert_fails(zpool_set_limit(pool, 1 << 20), EDOM, "driver \"mock\" failed");
	finish();
}
END_TEST

START_TEST(set_limit_reaches_every_layer_that_implements_it)
{
	unsigned long handle;
	start_empty();
	open_pool("sieve+mock", false);
	ck_assert_int_eq(zpool_set_limit(pool, DRIVER_EMPTY_BYTES + 100), 0);
	ck_assert_uint_eq(knobs.calls[CALL_SET_LIMIT], 1);
	ck_assert_int_eq(zpool_malloc(pool, 200, 0, &handle), -ENOMEM);
	ck_assert_int_eq(zpool_set_limit(pool, 0), 0);
	ck_assert_int_eq(zpool_malloc(pool, 200, 0, &handle), 0);
	finish();
}
END_TEST

START_TEST(set_param_passes_index_and_value)
{
	start();
	ck_assert_int_eq(zpool_set_param(pool, "level", "7"), 0);
	ck_assert_uint_eq(knobs.set_index, 0);
	ck_assert_uint_eq(knobs.set_value.number, 7);
	ck_assert_uint_eq(knobs.set_value.given, 1);
	ck_assert_str_eq(knobs.set_value.key, "level");
	ck_assert_str_eq(knobs.set_text, "7");
	finish();
}
END_TEST

START_TEST(set_param_refuses_unknown_keys_and_bad_values)
{
	start();
	assert_fails(zpool_set_param(pool, "lever", "1"), EINVAL, "has no parameter \"lever\"");
	assert_contains(zpool_last_error(), "level=3");
	assert_fails(zpool_set_param(pool, "", "1"), EINVAL, "has no parameter \"\"");
	assert_fails(zpool_set_param(pool, "level", "10"), EINVAL, "\"10\" is not a valid value for \"level\"");
	assert_fails(zpool_set_param(pool, "level", ""), EINVAL, "not a valid value for \"level\"");
	assert_fails(zpool_set_param(pool, "colour", "green"), EOPNOTSUPP,
		     "\"colour\" of driver \"mock\" cannot be changed");
	ck_assert_uint_eq(knobs.calls[CALL_SET], 0);
	finish();
}
END_TEST

START_TEST(set_param_finds_the_named_part)
{
	start_empty();
	open_pool("sieve+mock", false);
	ck_assert_int_eq(zpool_set_param(pool, "level", "5"), 0);
	ck_assert_int_eq(zpool_set_param(pool, "mock.level", "6"), 0);
	ck_assert_uint_eq(knobs.set_value.number, 6);
	assert_fails(zpool_set_param(pool, "sieve.level", "6"), EINVAL, "Driver \"sieve\" has no parameter \"level\"");
	assert_contains(zpool_last_error(), "depth=");
	assert_fails(zpool_set_param(pool, "mock.", "6"), EINVAL, "Driver \"mock\" has no parameter \"\"");
	assert_fails(zpool_set_param(pool, "moc.level", "6"), EINVAL, "\"sieve+mock\" has no part \"moc\"");
	assert_fails(zpool_set_param(pool, ".level", "6"), EINVAL, "\"sieve+mock\" has no part \"\"");
	assert_fails(zpool_set_param(pool, "Mock.level", "6"), EINVAL, "\"sieve+mock\" has no part \"Mock\"");
	assert_fails(zpool_set_param(pool, "mock.level.x", "6"), EINVAL, "has no parameter \"level.x\"");
	assert_fails(zpool_set_param(pool, "depth", "6"), EOPNOTSUPP,
		     "\"depth\" of driver \"sieve\" cannot be changed");
	finish();
}
END_TEST

START_TEST(set_param_limit_is_set_limit)
{
	unsigned long handle;
	start_empty();
	driver.set_limit = NULL;
	knobs.leaves_limit_to_core = true;
	open_pool("mock", false);
	ck_assert_int_eq(zpool_set_param(pool, "limit", "4K"), 0);
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), -ENOMEM);
	ck_assert_int_eq(zpool_set_param(pool, "mock.limit", "0"), 0);
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), 0);
	assert_fails(zpool_set_param(pool, "limit", "lots"), EINVAL, "\"lots\" is not a valid value for \"limit\"");
	finish();
}
END_TEST

START_TEST(shrink_evicts_the_oldest_and_counts)
{
	unsigned long handles[3];
	unsigned int reclaimed = 7;
	start();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handles[i]), 0);
	ck_assert_int_eq(zpool_shrink(pool, 2, &reclaimed), 0);
	ck_assert_uint_eq(reclaimed, 2);
	ck_assert_int_eq(zpool_obj_size(pool, handles[2]), 10);
	ck_assert_int_eq(zpool_obj_size(pool, handles[0]), -EINVAL);
	assert_fails(zpool_shrink(pool, 2, &reclaimed), EINVAL, "after 1 of 2 pages nothing was left to evict");
	ck_assert_uint_eq(reclaimed, 1);
	assert_fails(zpool_shrink(pool, 1, NULL), EINVAL, "nothing was left to evict");
	finish();
}
END_TEST

START_TEST(refused_shrink_returns_eagain)
{
	unsigned long handle;
	unsigned int reclaimed = 7;
	start();
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	evict_answer = -1;
	assert_fails(zpool_shrink(pool, 1, &reclaimed), EAGAIN, "after 0 of 1 page, ");
	ck_assert_uint_eq(reclaimed, 0);
	ck_assert_int_eq(zpool_obj_size(pool, handle), 10);
	finish();
}
END_TEST

START_TEST(shrink_needs_a_callback_and_a_driver_that_evicts)
{
	unsigned int reclaimed = 7;
	start_empty();
	open_pool("mock", false);
	assert_fails(zpool_shrink(pool, 1, &reclaimed), EINVAL, "created without an evict callback");
	ck_assert_uint_eq(reclaimed, 0);
	finish();
	start_empty();
	driver.shrink = NULL;
	open_pool("mock", true);
	assert_fails(zpool_shrink(pool, 1, NULL), EINVAL, "the pool's driver does not support eviction");
	finish();
	start_empty();
	knobs.created_without_caps = ZPOOL_CAP_EVICT;
	open_pool("mock", true);
	ck_assert(!zpool_evictable(pool));
	assert_fails(zpool_shrink(pool, 1, NULL), EINVAL, "the pool's driver does not support eviction");
	finish();
}
END_TEST

START_TEST(compact_passes_its_budget_to_the_driver)
{
	uint64_t released = 7;
	start();
	ck_assert_int_eq(zpool_compact(pool, 123, 456, &released), 0);
	ck_assert_uint_eq(released, 4096);
	ck_assert_uint_eq(knobs.budget.bytes, 123);
	ck_assert_uint_eq(knobs.budget.ns, 456);
	ck_assert_uint_eq(knobs.budget.struct_size, sizeof(knobs.budget));
	overrule(CALL_COMPACT, 1, NULL);
	ck_assert_int_eq(zpool_compact(pool, 1, 0, NULL), 1);
	finish();
}
END_TEST

START_TEST(trim_reports_what_it_released)
{
	uint64_t released = 7;
	start();
	ck_assert_int_eq(zpool_trim(pool, &released), 0);
	ck_assert_uint_eq(released, 8192);
	ck_assert_int_eq(zpool_trim(pool, NULL), 0);
	finish();
}
END_TEST

START_TEST(stats_of_an_older_caller_are_truncated)
{
	struct zpool_stats stats;
	memset(&stats, 0xaa, sizeof(stats));
	start();
	ck_assert_int_eq(zpool_get_stats(pool, &stats, offsetof(struct zpool_stats, pool_bytes_peak)), 0);
	ck_assert_uint_eq(stats.pool_bytes, DRIVER_EMPTY_BYTES);
	ck_assert_uint_eq(stats.pool_bytes_peak, UINT64_C(0xaaaaaaaaaaaaaaaa));
	finish();
}
END_TEST

START_TEST(stats_of_a_newer_caller_are_filled_with_zero)
{
	struct {
		struct zpool_stats known;
		uint64_t unknown[4];
	} stats;
	memset(&stats, 0xaa, sizeof(stats));
	start();
	ck_assert_int_eq(zpool_get_stats(pool, &stats.known, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.known.refused_handles, 77);
	ck_assert_uint_eq(stats.known.compactions, 0);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(stats.unknown[i], 0);
	finish();
}
END_TEST

START_TEST(stats_count_what_the_core_refused)
{
	struct zpool_stats stats;
	unsigned long handle;
	char byte;
	start_empty();
	driver.set_limit = NULL;
	knobs.leaves_limit_to_core = true;
	open_pool("mock", false);
	for (int i = 0; i < 100; i++)
		(void)(zpool_free(pool, 0), zpool_map_handle(pool, 99, ZPOOL_MM_RO));
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.refused_handles, 200);
	/* A range outside of an object is an error, but does not make its handle invalid. */
	ck_assert_int_eq(zpool_malloc(pool, 8, 0, &handle), 0);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 1 << 20), -EINVAL);
	ck_assert_int_eq(zpool_set_limit(pool, 1), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), -ENOMEM);
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.malloc_failed_limit, 3);
	ck_assert_uint_eq(stats.refused_handles, 200);
	finish();
}
END_TEST

START_TEST(failed_stats_do_not_write_the_callers_structure)
{
	struct zpool_stats stats = { .objects = 7 };
	start();
	overrule(CALL_STATS, -EDOM, NULL);
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), -EDOM);
	ck_assert_uint_eq(stats.objects, 7);
	finish();
}
END_TEST

START_TEST(walks_visit_all_and_end_with_the_visitors_value)
{
	unsigned long handle;
	int n = 0;
	start();
	ck_assert_int_eq(zpool_each_class(pool, count_class, &n), 0);
	ck_assert_int_eq(n, 1);
	n = 2;
	ck_assert_int_eq(zpool_each_class(pool, count_class, &n), 42);
	n = 0;
	ck_assert_int_eq(zpool_each_object(pool, count_object, &n), 0);
	ck_assert_int_eq(n, 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	ck_assert_int_eq(zpool_each_object(pool, count_object, &n), 42);
	ck_assert_int_eq(n, 3);
	finish();
}
END_TEST

static int fail_to_walk_classes(void *driver_pool,
				int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user), void *user)
{
	(void)driver_pool, (void)fn, (void)user;
	knobs.host->error(knobs.core, "the classes are lost");
	return -EIO;
}

static int fail_to_walk_objects(void *driver_pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	(void)driver_pool, (void)fn, (void)user;
	knobs.host->error(knobs.core, "the objects are lost");
	return -EIO;
}

/* malloc, free and map do not discard what a driver said before, because that would slow them down. */
static void free_tells_its_own_reason(void)
{
	zpool_free(pool, 12345);
	assert_contains(zpool_last_error(), "is not live");
}

START_TEST(message_of_a_call_on_the_pool_is_not_that_of_a_later_call_on_an_object)
{
	static const enum driver_call calls[] = { CALL_TRIM,      CALL_COMPACT, CALL_SHRINK,
						  CALL_SET_LIMIT, CALL_SET,     CALL_STATS };
	struct zpool_stats stats;
	int n = 0;

	start_empty();
	driver.each_class = fail_to_walk_classes;
	driver.each_object = fail_to_walk_objects;
	open_pool("mock", true);
	assert_fails(zpool_each_class(pool, count_class, &n), EIO, "the classes are lost");
	free_tells_its_own_reason();
	assert_fails(zpool_each_object(pool, count_object, &n), EIO, "the objects are lost");
	free_tells_its_own_reason();
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		overrule(calls[i], 0, "the driver helped itself");
		int err = calls[i] == CALL_TRIM        ? zpool_trim(pool, NULL)
			  : calls[i] == CALL_COMPACT   ? zpool_compact(pool, 0, 0, NULL)
			  : calls[i] == CALL_SHRINK    ? zpool_shrink(pool, 1, NULL)
			  : calls[i] == CALL_SET_LIMIT ? zpool_set_limit(pool, 1 << 20)
			  : calls[i] == CALL_SET       ? zpool_set_param(pool, "level", "4")
						       : zpool_get_stats(pool, &stats, sizeof(stats));
		ck_assert_int_eq(err, 0);
		ck_assert(!knobs.overrule[calls[i]]);
		free_tells_its_own_reason();
	}
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		null_pool_is_reported_by_every_function,
		pool_reports_its_type_spec_and_name,
		optional_capabilities_follow_callbacks_and_flags,
		functions_that_the_driver_lacks_are_not_supported,
		missing_arguments_are_refused,
		failures_of_the_driver_get_a_message_if_they_have_none,
		invalid_results_of_the_driver_become_errors,
		message_of_an_earlier_call_is_not_used_for_a_later_one,
		failure_further_down_names_the_driver_that_failed,
		set_limit_reaches_every_layer_that_implements_it,
		set_param_passes_index_and_value,
		set_param_refuses_unknown_keys_and_bad_values,
		set_param_finds_the_named_part,
		set_param_limit_is_set_limit,
		shrink_evicts_the_oldest_and_counts,
		refused_shrink_returns_eagain,
		shrink_needs_a_callback_and_a_driver_that_evicts,
		compact_passes_its_budget_to_the_driver,
		trim_reports_what_it_released,
		stats_of_an_older_caller_are_truncated,
		stats_of_a_newer_caller_are_filled_with_zero,
		stats_count_what_the_core_refused,
		failed_stats_do_not_write_the_callers_structure,
		walks_visit_all_and_end_with_the_visitors_value,
		message_of_a_call_on_the_pool_is_not_that_of_a_later_call_on_an_object,
	};
	return UNIT_RUN("core/calls", tests);
}
