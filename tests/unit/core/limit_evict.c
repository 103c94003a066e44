/* SPDX-License-Identifier: MIT
 *
 * Drivers that evict inside malloc, in pools whose limit the core enforces. The thread then gives up its turn.
 */
#include "config.h"

#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pools.h"
#include "tests/unit/core/limited.h"

/* Evicts object 1 before it stores a new one: directly, as drivers do, or like a driver of the kernel. */
static bool evicts_like_the_kernel, evicting;

static int evict_then_malloc(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	if (evicting) {
		evicting = false;
		ck_assert_int_eq(evicts_like_the_kernel ? zpool_evict(driver_pool, 1)
							: knobs.args.evict(knobs.args.evict_context, 1),
				 0);
	}
	return real->malloc(driver_pool, size, gfp, handle);
}

/* Calls malloc on a pool with a limit that the core enforces, whose driver then calls this function. */
static void evict_inside_malloc(int (*evict)(struct zpool *pool, unsigned long handle), bool like_the_kernel)
{
	struct zpool_driver original = driver_for_tests("mock");
	const struct zpool_ops ops = { evict };

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = evict_then_malloc;
	knobs.leaves_limit_to_core = true;
	evicts_like_the_kernel = like_the_kernel;
	evicting = true;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool("mock:limit=64K", ZPOOL_GFP_KERNEL, &ops);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	(void)store(1);
	ck_assert(!evicting);
	finish();
}

static unsigned int refused_evictions;

static int evict_in_vain(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	refused_evictions += knobs.args.evict(knobs.args.evict_context, 1) == -EAGAIN;
	refused_evictions += zpool_evict(driver_pool, 1) == -EAGAIN;
	return real->malloc(driver_pool, size, gfp, handle);
}

static int never_evict(struct zpool *evicted, unsigned long handle)
{
	(void)evicted, (void)handle;
	ck_abort_msg("a NOWAIT malloc called the evict function");
	return 0;
}

/* After the function, the thread would have to wait for the lock of the limit again. */
START_TEST(nowait_malloc_at_a_limit_does_not_evict)
{
	struct zpool_driver original = driver_for_tests("mock");
	const struct zpool_ops ops = { never_evict };
	unsigned long handle;

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = evict_in_vain;
	knobs.leaves_limit_to_core = true;
	refused_evictions = 0;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool("mock:limit=64K", ZPOOL_GFP_KERNEL, &ops);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_uint_eq(refused_evictions, 2);
	finish();
}
END_TEST

static int let_another_thread_store(struct zpool *evicted, unsigned long handle)
{
	unsigned long other = 0;
	pthread_t thread;

	ck_assert_ptr_eq(evicted, pool);
	ck_assert_uint_eq(handle, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_at_once, &other), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(nowait_error, 0);
	zpool_free(pool, other);
	/* The thread itself may store, too, and still has to be kept out by others. */
	zpool_free(pool, store(1));
	return 0;
}

START_TEST(other_threads_can_store_while_malloc_evicts)
{
	evict_inside_malloc(let_another_thread_store, false);
	evict_inside_malloc(let_another_thread_store, true);
}
END_TEST

/* A second pool, on which the driver of the first one is built, and the calls of malloc that have begun. */
static struct zpool *lower_pool;
static unsigned int depth;

static void *store_in_both_at_once(void *expected)
{
	struct zpool *const pools[] = { pool, lower_pool };
	unsigned long handle;

	for (int i = 0; i < 2; i++) {
		int err = zpool_malloc(pools[i], 1, ZPOOL_GFP_NOWAIT, &handle);
		ck_assert_int_eq(err, *(const int *)expected);
		if (!err)
			zpool_free(pools[i], handle);
	}
	return NULL;
}

static void another_thread_stores_in_both(int expected)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, store_in_both_at_once, &expected), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static int let_another_thread_store_in_both(struct zpool *evicted, unsigned long handle)
{
	ck_assert_ptr_eq(evicted, lower_pool);
	ck_assert_uint_eq(handle, 1);
	another_thread_stores_in_both(0);
	return 0;
}

/* The malloc of the first pool calls that of the second one, which calls the first one again, which evicts. */
static int malloc_in_the_other_pool(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zpool *const next[] = { lower_pool, pool };
	unsigned long stored;
	unsigned int at = depth++;

	if (at < 2) {
		ck_assert_int_eq(zpool_malloc(next[at], 1, gfp, &stored), 0);
		zpool_free(next[at], stored);
	} else if (at == 2) {
		ck_assert_int_eq(knobs.args.evict(knobs.args.evict_context, 1), 0);
		/* The thread has the locks of both limits again. */
		another_thread_stores_in_both(-EAGAIN);
	}
	return real->malloc(driver_pool, size, gfp, handle);
}

START_TEST(drivers_of_limited_pools_may_be_built_on_each_other)
{
	struct zpool_driver original = driver_for_tests("mock");
	const struct zpool_ops ops = { let_another_thread_store_in_both };

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = malloc_in_the_other_pool;
	knobs.leaves_limit_to_core = true;
	depth = 0;
	open_pool("mock:limit=64K");
	lower_pool = zpool_create_pool("mock:limit=64K", ZPOOL_GFP_KERNEL, &ops);
	ck_assert_msg(lower_pool != NULL, "%s", zpool_last_error());
	zpool_free(pool, store(1));
	/* Three calls of this thread, and two of the one that the evict function started. */
	ck_assert_uint_eq(depth, 5);
	another_thread_stores_in_both(0);
	zpool_destroy_pool(lower_pool);
	finish();
}
END_TEST

static int fork_in_evict(struct zpool *evicted, unsigned long handle)
{
	(void)evicted, (void)handle;
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	return 0;
}

START_TEST(evict_function_that_malloc_calls_may_fork)
{
	if (!unit_may_fork())
		return;
	evict_inside_malloc(fork_in_evict, false);
	evict_inside_malloc(fork_in_evict, true);
}
END_TEST

static sem_t list_is_locked;

static void tell_phase(void *driver_pool, enum zpool_fork_phase phase)
{
	(void)driver_pool;
	if (phase == ZPOOL_FORK_PREPARE)
		ck_assert_int_eq(sem_post(&list_is_locked), 0);
}

static void *lock_like_fork(void *unused)
{
	zp_pools_fork_prepare();
	zp_pools_fork_release(false);
	return unused;
}

static pthread_t forking;

/* The newest pool is locked first, so the list is locked when the fork callback of that pool's driver runs. */
static int evict_while_another_thread_forks(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	ck_assert_int_eq(pthread_create(&forking, NULL, lock_like_fork, NULL), 0);
	ck_assert_int_eq(sem_wait(&list_is_locked), 0);
	ck_assert_int_eq(zpool_evict(driver_pool, 1), 0);
	return real->malloc(driver_pool, size, gfp, handle);
}

static int evict_nothing(struct zpool *evicted, unsigned long handle)
{
	(void)evicted, (void)handle;
	return 0;
}

START_TEST(evict_inside_malloc_does_not_deadlock_with_fork)
{
	struct zpool_driver original = driver_for_tests("mock"), newest = driver_for_tests("newest");
	const struct zpool_ops ops = { evict_nothing };

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = evict_while_another_thread_forks;
	newest.fork = tell_phase;
	ck_assert_int_eq(sem_init(&list_is_locked, 0, 0), 0);
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&newest), 0);
	pool = zpool_create_pool("mock:limit=64K", ZPOOL_GFP_KERNEL, &ops);
	struct zpool *second = zpool_create_pool("newest", ZPOOL_GFP_KERNEL, NULL);
	(void)store(1);
	ck_assert_int_eq(pthread_join(forking, NULL), 0);
	zpool_destroy_pool(second);
	ck_assert_int_eq(zpool_unregister_driver(&newest), 0);
	finish();
	ck_assert_int_eq(sem_destroy(&list_is_locked), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		nowait_malloc_at_a_limit_does_not_evict,
		other_threads_can_store_while_malloc_evicts,
		drivers_of_limited_pools_may_be_built_on_each_other,
		evict_function_that_malloc_calls_may_fork,
		evict_inside_malloc_does_not_deadlock_with_fork,
	};
	return UNIT_RUN("core/limit_evict", tests);
}
