/* SPDX-License-Identifier: MIT
 *
 * The filter guard while objects are evicted: what it does itself for an eviction is no mistake of the caller.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "tests/unit/driver-for-tests.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { OBJECT_BYTES = 1900, OBJECTS = 4 };

static struct zpool *pool;
static unsigned long handles[OBJECTS];

static void store_all(void)
{
	for (int i = 0; i < OBJECTS; i++)
		handles[i] = stack_store(pool, OBJECT_BYTES);
}

static void *free_all(void *unused)
{
	for (int i = 0; i < OBJECTS; i++)
		zpool_free(pool, handles[i]);
	return unused;
}

static void free_all_in_another_thread(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, free_all, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A free while guard reads an object that is to be evicted
 */

static struct zpool_driver watching_filter;
static bool watches; /* the next map is the one of guard_evict() */
static unsigned long handle_read;
static pthread_t freeing_thread;
static atomic_bool is_reading, free_is_near, freed_while_read;

static void nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Waits until the other thread is about to free the object below, and then gives it some time for that. */
static void *watching_map(void *filter, unsigned long handle, enum zpool_mapmode mode)
{
	void *at = knobs.filter_lower.driver->map(knobs.filter_lower.pool, ~handle, mode);

	(void)filter;
	if (!watches)
		return at;
	watches = false;
	handle_read = handle;
	atomic_store(&is_reading, true);
	ck_assert(pthread_create(&freeing_thread, NULL, free_all, NULL) == 0);
	while (!atomic_load(&free_is_near))
		nap();
	for (int i = 0; i < 20 && !atomic_load(&freed_while_read); i++)
		nap();
	return at;
}

static int watching_unmap(void *filter, unsigned long handle)
{
	(void)filter;
	if (atomic_load(&is_reading) && handle == handle_read) {
		if (pthread_equal(pthread_self(), freeing_thread))
			atomic_store(&free_is_near, true);
		else
			atomic_store(&is_reading, false);
	}
	return knobs.filter_lower.driver->unmap(knobs.filter_lower.pool, ~handle);
}

static int watching_free(void *filter, unsigned long handle)
{
	(void)filter;
	if (atomic_load(&is_reading) && handle == handle_read)
		atomic_store(&freed_while_read, true);
	return knobs.filter_lower.driver->free(knobs.filter_lower.pool, ~handle);
}

static int pass_stats(void *filter, struct zpool_stats *stats, size_t stats_size)
{
	(void)filter;
	return knobs.filter_lower.driver->stats(knobs.filter_lower.pool, stats, stats_size);
}

static int keep(struct zpool *of, unsigned long handle)
{
	(void)of, (void)handle;
	return -EBUSY;
}

static const struct zpool_ops keeping = { .evict = keep };

/* The filter of the test would claim that every driver evicts. */
static bool driver_evicts(const char *driver)
{
	struct zpool *plain = zpool_create_pool(driver, ZPOOL_GFP_KERNEL, &keeping);
	bool evicts = zpool_evictable(plain);

	zpool_destroy_pool(plain);
	return evicts;
}

START_TEST(free_waits_while_guard_reads_the_object)
{
	if (!driver_evicts(stack_drivers[_i]))
		return;
	driver_knobs_reset();
	watching_filter = filter_for_tests("watching");
	watching_filter.map = watching_map;
	watching_filter.unmap = watching_unmap;
	watching_filter.free = watching_free;
	watching_filter.stats = pass_stats;
	ck_assert_int_eq(zpool_register_driver(&watching_filter), 0);
	pool = stack_open("guard+watching", stack_drivers[_i], &keeping);
	store_all();
	watches = true;
	(void)zpool_shrink(pool, 1, NULL);
	ck_assert(!watches);
	ck_assert_int_eq(pthread_join(freeing_thread, NULL), 0);
	bool freed = atomic_load(&freed_while_read);
	ck_assert(!freed);
	ck_assert_uint_eq(stack_stats(pool).refused_handles, 0);
	ck_assert_uint_eq(stack_stats(pool).errors, 0);
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
	zpool_destroy_pool(pool);
	ck_assert_str_eq(stack_log, "");
	ck_assert_int_eq(zpool_unregister_driver(&watching_filter), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A callback whose object another thread frees
 */

static int use_stale_handle(struct zpool *of, unsigned long handle)
{
	free_all_in_another_thread();
	ck_assert_ptr_null(zpool_map_handle(of, handle, ZPOOL_MM_RO));
	assert_contains(zpool_last_error(), "which another thread freed");
	ck_assert_int_eq(zpool_obj_size(of, handle), -EINVAL);
	zpool_free(of, handle);
	return 0;
}

/* The handle may be stale when the callback uses it; a guard on top of this one maps it, too. */
START_TEST(callback_may_use_a_handle_that_another_thread_freed)
{
	static const struct zpool_ops ops = { .evict = use_stale_handle };

	pool = stack_open("guard:abort=yes", stack_drivers[_i], &ops);
	if (zpool_evictable(pool)) {
		store_all();
		(void)zpool_shrink(pool, 1, NULL);
		ck_assert_uint_eq(stack_stats(pool).objects, 0);
		ck_assert_uint_eq(stack_stats(pool).errors, 0);
	}
	zpool_destroy_pool(pool);
}
END_TEST

static int free_twice(struct zpool *of, unsigned long handle)
{
	zpool_free(of, handle);
	zpool_free(of, handle);
	return 0;
}

START_TEST(double_free_inside_the_callback_is_found)
{
	static const struct zpool_ops ops = { .evict = free_twice };

	pool = stack_open("guard:leaks=no", stack_drivers[_i], &ops);
	if (zpool_evictable(pool)) {
		(void)stack_store(pool, OBJECT_BYTES);
		(void)zpool_shrink(pool, 1, NULL);
		ck_assert_uint_eq(stack_stats(pool).errors, 1);
		assert_contains(stack_log, "double free");
	}
	zpool_destroy_pool(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard and eviction");
	TCase *tcase = tcase_create("evict");

	/* If drivers verified themselves after each call, guard would map all objects. */
	if (setenv("ZPOOL_VERIFY", "0", 1))
		return 99;
	tcase_add_loop_test(tcase, free_waits_while_guard_reads_the_object, 0, STACK_DRIVERS);
	tcase_add_loop_test(tcase, callback_may_use_a_handle_that_another_thread_freed, 0, STACK_DRIVERS);
	tcase_add_loop_test(tcase, double_free_inside_the_callback_is_found, 0, STACK_DRIVERS);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
