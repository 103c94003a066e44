/* SPDX-License-Identifier: MIT
 *
 * In builds with debug checks, the core verifies pools after every call; in other builds it never does.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver;
static struct zpool *pool;
static unsigned int checks;
static int verdict;
static const char *sentence;

static int verify(void *driver_pool)
{
	ck_assert_ptr_eq(driver_pool, knobs.last_pool);
	checks++;
	errno = EDOM;
	if (verdict && sentence)
		knobs.host->error(knobs.core, "%s", sentence);
	return verdict;
}

static int evict(struct zpool *of, unsigned long handle, void *user)
{
	(void)user;
	zpool_free(of, handle);
	return 0;
}

static void start(const char *setting)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	if (setting)
		ck_assert_int_eq(setenv("ZPOOL_VERIFY", setting, 1), 0);
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	driver.verify = verify;
	args.evict = evict;
	args.name = "shelf";
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_open("mock", &args, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	checks = 0;
}

#ifdef ZPOOL_DEBUG_CHECKS
/* Returns how often the pool was verified since the last call of this function. */
static unsigned int checks_since_last_call(void)
{
	unsigned int since = checks;

	checks = 0;
	return since;
}

START_TEST(every_call_is_followed_by_a_check)
{
	unsigned long handle;
	char byte = 0;
	start(NULL);
	ck_assert_int_eq(zpool_malloc(pool, 8, 0, &handle), 0);
	ck_assert_uint_eq(checks_since_last_call(), 1);
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	ck_assert_uint_eq(checks_since_last_call(), 1);
	zpool_free(pool, handle);
	ck_assert_uint_eq(checks_since_last_call(), 1);
	zpool_unmap_handle(pool, handle);
	ck_assert_uint_eq(checks_since_last_call(), 1);
	ck_assert_int_eq(zpool_obj_write(pool, handle, &byte, 1, 0), 1);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 0), 1);
	ck_assert_uint_eq(checks_since_last_call(), 2);
	ck_assert_int_ge(zpool_compact(pool, 0, 0, NULL), 0);
	ck_assert_int_eq(zpool_trim(pool, NULL), 0);
	ck_assert_int_eq(zpool_set_limit(pool, 0), 0);
	ck_assert_int_eq(zpool_set_param(pool, "level", "2"), 0);
	ck_assert_uint_eq(checks_since_last_call(), 4);
	/* One check follows the free in the callback, and one the shrink. */
	ck_assert_int_eq(zpool_shrink(pool, 1, NULL), 0);
	ck_assert_uint_eq(checks_since_last_call(), 2);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(checks_since_last_call(), 1);
}
END_TEST

START_TEST(errno_and_message_are_those_of_the_call)
{
	start(NULL);
	errno = 0;
	ck_assert_ptr_null(zpool_map_handle(pool, 12345, ZPOOL_MM_RW));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "zpool_map_handle()"));
	ck_assert_uint_eq(checks_since_last_call(), 1);
}
END_TEST

START_TEST(nowait_calls_are_not_followed_by_a_check)
{
	unsigned long handle;
	start(NULL);
	(void)zpool_malloc(pool, 8, ZPOOL_GFP_NOWAIT, &handle);
	ck_assert_uint_eq(checks_since_last_call(), 0);
}
END_TEST

START_TEST(large_pools_are_checked_less_often)
{
	unsigned long handle;
	start(NULL);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(zpool_malloc(pool, DRIVER_MAX_OBJECT, 0, &handle), 0);
	(void)checks_since_last_call();
	/* The pool has about 1 MiB, so about every fourth or fifth call is followed by a check. */
	for (int i = 0; i < 100; i++)
		zpool_free(pool, 0xfffff);
	unsigned int often = checks_since_last_call();
	ck_assert_uint_ge(often, 100 / 5);
	ck_assert_uint_le(often, 100 / 4);
}
END_TEST

START_TEST(environment_sets_the_interval_of_checks)
{
	start("10");
	for (int i = 0; i < 100; i++)
		zpool_free(pool, 0xfffff);
	ck_assert_uint_eq(checks_since_last_call(), 10);
}
END_TEST

START_TEST(environment_can_disable_checks)
{
	start("0");
	verdict = -EUCLEAN;
	for (int i = 0; i < 100; i++)
		zpool_free(pool, 0xfffff);
	ck_assert_uint_eq(checks_since_last_call(), 0);
}
END_TEST

static const char *expected;

static void on_abort(int signal_number)
{
	(void)signal_number;
	_Exit(strstr(zpool_last_error(), expected) ? 7 : 1);
}

static int be_damaged(void)
{
	start(NULL);
	signal(SIGABRT, on_abort);
	verdict = -EUCLEAN;
	zpool_free(pool, 0xfffff);
	return 0;
}

START_TEST(damage_ends_the_process_with_the_drivers_message)
{
	sentence = expected = "A list is torn.";
	ck_assert(!unit_may_fork() || unit_in_child(be_damaged) == 7);
}
END_TEST

START_TEST(damage_without_a_message_names_driver_and_pool)
{
	expected = "Driver \"mock\" found pool \"shelf\" damaged";
	ck_assert(!unit_may_fork() || unit_in_child(be_damaged) == 7);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_call_is_followed_by_a_check,
		errno_and_message_are_those_of_the_call,
		nowait_calls_are_not_followed_by_a_check,
		large_pools_are_checked_less_often,
		environment_sets_the_interval_of_checks,
		environment_can_disable_checks,
		damage_ends_the_process_with_the_drivers_message,
		damage_without_a_message_names_driver_and_pool,
	};
	return UNIT_RUN("core/verify", tests);
}
#else
START_TEST(pools_are_not_checked)
{
	unsigned long handle;
	start("1");
	verdict = -EUCLEAN;
	ck_assert_int_eq(zpool_malloc(pool, 8, 0, &handle), 0);
	zpool_free(pool, handle);
	(void)zpool_shrink(pool, 1, NULL);
	ck_assert_int_eq(zpool_trim(pool, NULL), 0);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(checks, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { pools_are_not_checked };

	return UNIT_RUN("core/verify", tests);
}
#endif
