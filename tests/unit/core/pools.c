/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/pools.h"

#include <stdint.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter;
static struct zpool *asked;

static int evict(struct zpool *pool, unsigned long handle)
{
	asked = pool;
	return (int)handle;
}

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
}

static void finish(void)
{
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}

START_TEST(evict_finds_the_owner_from_the_drivers_pool)
{
	const struct zpool_ops ops = { evict };
	struct zpool *pools[3];
	void *inside[3];
	start();
	for (int i = 0; i < 3; i++) {
		pools[i] = zpool_create_pool("mock", 0, &ops);
		ck_assert_ptr_nonnull(pools[i]);
		inside[i] = knobs.last_pool;
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(zpool_evict(inside[i], 5), 5);
		ck_assert_ptr_eq(asked, pools[i]);
	}
	/* Removes pools from the middle, the front and the end of the list. */
	zpool_destroy_pool(pools[1]);
	assert_fails(zpool_evict(inside[1], 5), ENOENT, "no driver has a pool at");
	ck_assert_int_eq(zpool_evict(inside[0], 6), 6);
	ck_assert_int_eq(zpool_evict(inside[2], 7), 7);
	zpool_destroy_pool(pools[2]);
	ck_assert_int_eq(zpool_evict(inside[0], 8), 8);
	zpool_destroy_pool(pools[0]);
	assert_fails(zpool_evict(inside[0], 5), ENOENT, "no driver has a pool at");
	finish();
}
END_TEST

START_TEST(evict_without_a_callback_is_refused)
{
	start();
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	assert_fails(zpool_evict(knobs.last_pool, 5), EINVAL, "created without an evict callback");
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(evict_of_no_pool_is_refused)
{
	start();
	assert_fails(zpool_evict(NULL, 5), ENOENT, "no driver has a pool at");
	assert_fails(zpool_evict(&asked, 5), ENOENT, "no driver has a pool at");
	finish();
}
END_TEST

START_TEST(evict_below_a_filter_goes_through_the_filter)
{
	const struct zpool_ops ops = { evict };
	start();
	struct zpool *pool = zpool_create_pool("sieve+mock", 0, &ops);
	ck_assert_ptr_nonnull(pool);
	ck_assert_int_eq(zpool_evict(knobs.last_pool, ~5ul), 5);
	ck_assert_ptr_eq(asked, pool);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

/* Makes the calls that fork() makes: each driver takes its locks, filters first, and releases them in reverse order. */
START_TEST(fork_locks_filters_before_what_is_below_and_unlocks_after)
{
	start();
	struct zpool *pool = zpool_create_pool("sieve+mock", 0, NULL);
	zp_pools_fork_prepare();
	zp_pools_fork_release(false);
	ck_assert_str_eq(knobs.phases, "AapP");
	zp_pools_fork_prepare();
	zp_pools_fork_release(true);
	ck_assert_str_eq(knobs.phases, "AapPAacC");
	unsigned long handle;
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), 0);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

static int count(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)stats, (void)size, (void)user;
	return 0;
}

static int count_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool, (void)handle, (void)size, (void)user;
	return 0;
}

#define ORPHANED "belongs to the parent process; its driver does not support fork()"

/* These calls orphan pools permanently, so they use drivers that no other test uses. */
START_TEST(orphaned_pool_refuses_every_call)
{
	struct zpool_stats stats;
	unsigned long handle = 77, live;
	unsigned int reclaimed = 7;
	uint64_t released = 7;
	char buf[4];
	static struct zpool_driver loner;
	start();
	loner = driver_for_tests("loner");
	loner.fork = NULL;
	ck_assert_int_eq(zpool_register_driver(&loner), 0);
	const struct zpool_ops ops = { evict };
	struct zpool *pool = zpool_create_pool("loner", 0, &ops);
	ck_assert_int_eq(zpool_malloc(pool, 4, 0, &live), 0);
	zp_pools_fork_prepare();
	zp_pools_fork_release(true);

	assert_fails(zpool_malloc(pool, 4, 0, &handle), EOPNOTSUPP, ORPHANED);
	ck_assert_uint_eq(handle, 77);
	assert_fails_null(zpool_map_handle(pool, live, ZPOOL_MM_RW), EOPNOTSUPP, ORPHANED);
	zpool_free(pool, live);
	assert_contains(zpool_last_error(), "zpool_free(): the pool " ORPHANED);
	zpool_unmap_handle(pool, live);
	assert_contains(zpool_last_error(), "zpool_unmap_handle(): the pool " ORPHANED);
	assert_fails(zpool_obj_size(pool, live), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_obj_read(pool, live, buf, 1, 0), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_obj_write(pool, live, buf, 1, 0), EOPNOTSUPP, ORPHANED);
	errno = 0;
	ck_assert_uint_eq(zpool_get_total_size(pool), 0);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	assert_fails(zpool_set_limit(pool, 0), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_set_param(pool, "level", "1"), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_shrink(pool, 1, &reclaimed), EOPNOTSUPP, ORPHANED);
	ck_assert_uint_eq(reclaimed, 0);
	assert_fails(zpool_compact(pool, 0, 0, &released), EOPNOTSUPP, ORPHANED);
	ck_assert_uint_eq(released, 0);
	assert_fails(zpool_trim(pool, NULL), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_get_stats(pool, &stats, sizeof(stats)), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_each_class(pool, count, NULL), EOPNOTSUPP, ORPHANED);
	assert_fails(zpool_each_object(pool, count_object, NULL), EOPNOTSUPP, ORPHANED);
	ck_assert(!zpool_evictable(pool));
	ck_assert_str_eq(zpool_get_type(pool), "loner");
	ck_assert_uint_eq(zpool_max_object_size(pool), DRIVER_MAX_OBJECT);
	/* zpool_destroy_pool() must not call the driver either. */
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 0);
	finish();
}
END_TEST

START_TEST(stack_supports_fork_only_if_each_driver_does)
{
	unsigned long handle;
	static struct zpool_driver follower, loner;
	start();
	follower = driver_for_tests("follower");
	loner = filter_for_tests("lone_sieve");
	loner.fork = NULL;
	ck_assert_int_eq(zpool_register_driver(&follower), 0);
	ck_assert_int_eq(zpool_register_driver(&loner), 0);
	struct zpool *stack = zpool_create_pool("lone_sieve+follower", 0, NULL);
	struct zpool *plain = zpool_create_pool("mock", 0, NULL);
	zp_pools_fork_prepare();
	zp_pools_fork_release(true);
	ck_assert_int_eq(zpool_malloc(stack, 4, 0, &handle), -EOPNOTSUPP);
	ck_assert_int_eq(zpool_malloc(plain, 4, 0, &handle), 0);
	zpool_destroy_pool(stack);
	zpool_destroy_pool(plain);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		evict_finds_the_owner_from_the_drivers_pool,
		evict_without_a_callback_is_refused,
		evict_of_no_pool_is_refused,
		evict_below_a_filter_goes_through_the_filter,
		fork_locks_filters_before_what_is_below_and_unlocks_after,
		orphaned_pool_refuses_every_call,
		stack_supports_fork_only_if_each_driver_does,
	};
	return UNIT_RUN("core/pools", tests);
}
