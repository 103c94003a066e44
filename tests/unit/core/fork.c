/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter;
static struct zpool *pool;
static unsigned long stored;

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
}

static void open_pool(const char *spec)
{
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool(spec, 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 16, 0, &stored), 0);
	ck_assert_int_eq(zpool_obj_write(pool, stored, "the parent's", 13, 0), 13);
}

static void finish(void)
{
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}

START_TEST(fork_takes_the_librarys_locks_from_the_start)
{
	ck_assert(zp_fork_armed);
}
END_TEST

/* The child has its own copy of the pool, and the parent does not see the child's changes. */
static int use_inherited_pool(void)
{
	unsigned long handle;
	char text[16];
	if (zpool_obj_read(pool, stored, text, 13, 0) != 13 || strcmp(text, "the parent's") != 0)
		return 1;
	if (zpool_obj_write(pool, stored, "the child's.", 13, 0) != 13 || zpool_malloc(pool, 8, 0, &handle) != 0)
		return 2;
	zpool_free(pool, stored);
	if (zpool_obj_size(pool, stored) != -EINVAL)
		return 3;
	zpool_destroy_pool(pool);
	pool = zpool_create_pool("mock", 0, NULL);
	return pool && zpool_malloc(pool, 8, 0, &handle) == 0 ? 0 : 4;
}

START_TEST(child_has_a_private_copy_of_a_pool_with_fork_support)
{
	char text[16];
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(unit_in_child(use_inherited_pool), 0);
	ck_assert_int_eq(zpool_obj_read(pool, stored, text, 13, 0), 13);
	ck_assert_str_eq(text, "the parent's");
	ck_assert_str_eq(knobs.phases, "ap");
	finish();
}
END_TEST

static int use_stranded_pool(void)
{
	unsigned long handle;
	if (zpool_malloc(pool, 8, 0, &handle) != -EOPNOTSUPP || zpool_obj_size(pool, stored) != -EOPNOTSUPP)
		return 1;
	if (!strstr(zpool_last_error(), "belongs to the parent process"))
		return 2;
	zpool_destroy_pool(pool);
	pool = zpool_create_pool("mock", 0, NULL);
	return pool && zpool_malloc(pool, 8, 0, &handle) == 0 ? 0 : 3;
}

START_TEST(child_cannot_use_a_pool_without_fork_support)
{
	if (!unit_may_fork())
		return;
	start();
	driver.fork = NULL;
	open_pool("mock");
	ck_assert_int_eq(unit_in_child(use_stranded_pool), 0);
	ck_assert_int_eq(zpool_obj_size(pool, stored), 16);
	finish();
}
END_TEST

START_TEST(fork_locks_a_stack_from_the_top)
{
	if (!unit_may_fork())
		return;
	start();
	open_pool("sieve+mock");
	ck_assert_int_eq(unit_in_child(use_inherited_pool), 0);
	ck_assert_str_eq(knobs.phases, "AapP");
	finish();
}
END_TEST

/* The pool that a driver of type "outer" made in its create, and on which it is built. */
static struct zpool *inner;
static struct zpool_driver outer;

static int outer_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	inner = zpool_create_pool("mock", 0, NULL);
	return inner ? driver.create(args, out) : -ENOMEM;
}

static void outer_destroy(void *context)
{
	zpool_destroy_pool(inner);
	driver.destroy(context);
}

static void outer_fork(void *context, enum zpool_fork_phase phase)
{
	unsigned long handle;
	if (phase != ZPOOL_FORK_PREPARE && zpool_malloc(inner, 8, 0, &handle) == 0)
		zpool_free(inner, handle);
	driver.fork(context, phase);
}

START_TEST(driver_uses_the_pool_on_which_it_is_built_after_a_fork)
{
	if (!unit_may_fork())
		return;
	start();
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	outer = driver_for_tests("outer");
	outer.create = outer_create;
	outer.destroy = outer_destroy;
	outer.fork = outer_fork;
	ck_assert_int_eq(zpool_register_driver(&outer), 0);
	pool = zpool_create_pool("outer", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 16, 0, &stored), 0);
	ck_assert_int_eq(zpool_obj_write(pool, stored, "the parent's", 13, 0), 13);
	ck_assert_int_eq(unit_in_child(use_inherited_pool), 0);
	ck_assert_str_eq(knobs.phases, "aapp");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&outer), 0);
	pool = NULL;
	finish();
}
END_TEST

static unsigned int received;

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	received++;
}

/* The child uses all parts of the library that have a lock of their own. */
static int use_the_rest(void)
{
	char path[64];
	received = 0;
	if (zpool_set_plugin_path("/nonexistent") != 0 || zpool_get_plugin_path(path, sizeof(path)) != 12)
		return 1;
	if (zpool_has_pool("no_such_driver") || received == 0)
		return 2;
	if (zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL) != 0 || zpool_rescan() != 0)
		return 3;
	if (zpool_set_log_handler(on_message, ZPOOL_LOG_DEBUG, NULL) != 0 || zpool_unload_driver("mock") != -EPERM)
		return 4;
	return zpool_loading_disable() != 0 || zpool_has_pool("no_such_driver") ? 5 : 0;
}

START_TEST(log_path_and_registry_work_in_the_child)
{
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(unit_in_child(use_the_rest), 0);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	finish();
}
END_TEST

static _Atomic bool stop;

static void *keep_busy(void *user)
{
	unsigned long handle;
	(void)user;
	while (!stop) {
		if (zpool_malloc(pool, 8, 0, &handle) == 0)
			zpool_free(pool, handle);
		(void)zpool_has_pool("no_such_driver");
		(void)zpool_set_plugin_path("/nonexistent");
		struct zpool *another = zpool_create_pool("mock", 0, NULL);
		zpool_destroy_pool(another);
	}
	return NULL;
}

/* All locks are free in the child, no matter what the other threads were doing. */
START_TEST(child_of_a_program_with_busy_threads_does_not_deadlock)
{
	pthread_t threads[2];
	if (!unit_may_fork() || !unit_child_can_allocate())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_DEBUG, NULL), 0);
	stop = false;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, keep_busy, NULL), 0);
	int status = 0;
	for (int i = 0; i < 20 && status == 0; i++)
		status = unit_in_child(use_inherited_pool);
	if (status == 0)
		status = unit_in_child(use_the_rest);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	finish();
}
END_TEST

static pthread_barrier_t hook_runs, hook_may_end;

static void slow_hook(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&hook_runs);
	pthread_barrier_wait(&hook_may_end);
}

static void *end_with_a_slow_hook(void *user)
{
	(void)user;
	(void)knobs.host->thread_exit_add(knobs.core, slow_hook, pool);
	return NULL;
}

static int cancel_the_slow_hook(void)
{
	knobs.host->thread_exit_cancel(knobs.core, slow_hook, pool);
	return 0;
}

START_TEST(child_does_not_wait_for_hooks_of_lost_threads)
{
	pthread_t thread;
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	pthread_barrier_init(&hook_runs, NULL, 2);
	pthread_barrier_init(&hook_may_end, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_with_a_slow_hook, NULL), 0);
	pthread_barrier_wait(&hook_runs);
	int status = unit_in_child(cancel_the_slow_hook);
	pthread_barrier_wait(&hook_may_end);
	pthread_join(thread, NULL);
	ck_assert_int_eq(status, 0);
	finish();
}
END_TEST

static void exit_hook(void *arg)
{
	(void)arg;
	_exit(3);
}

static void exit_without_hook(void)
{
	_exit(0);
}

static int end_thread(void)
{
	if (atexit(exit_without_hook) != 0)
		return 2;
	pthread_exit(NULL);
}

/* Returns 3 if a child of this thread runs the hook when its thread ends, and 0 if it does not. */
static int end_child_with_hook(void)
{
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, exit_hook, pool), 0);
	int status = unit_in_child(end_thread);
	knobs.host->thread_exit_cancel(knobs.core, exit_hook, pool);
	return status;
}

START_TEST(child_runs_hooks_only_of_pools_with_fork_support)
{
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(end_child_with_hook(), 3);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	driver.fork = NULL;
	open_pool("mock");
	ck_assert_int_eq(end_child_with_hook(), 0);
	zpool_destroy_pool(pool);
	pool = zpool_create_pool("sieve+mock", 0, NULL);
	ck_assert_int_eq(end_child_with_hook(), 0);
	finish();
}
END_TEST

/* A driver may pass NULL instead of its layer; the hook then does not depend on a pool. */
START_TEST(child_runs_hooks_that_were_added_without_a_layer)
{
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(knobs.host->thread_exit_add(NULL, exit_hook, pool), 0);
	int status = unit_in_child(end_thread);
	knobs.host->thread_exit_cancel(NULL, exit_hook, pool);
	ck_assert_int_eq(status, 3);
	finish();
}
END_TEST

/* The layer that the hook names is gone, too, so the child must not look at it. */
START_TEST(child_runs_no_hooks_that_a_destroy_left_behind)
{
	if (!unit_may_fork())
		return;
	start();
	open_pool("mock");
	ck_assert_int_eq(knobs.host->thread_exit_add(knobs.core, exit_hook, &stored), 0);
	zpool_destroy_pool(pool);
	pool = NULL;
	int status = unit_in_child(end_thread);
	knobs.host->thread_exit_cancel(NULL, exit_hook, &stored);
	ck_assert_int_eq(status, 0);
	finish();
}
END_TEST

static pthread_barrier_t destroy_runs, destroy_may_end;
static void (*quick_destroy)(void *context);

static void slow_destroy(void *context)
{
	pthread_barrier_wait(&destroy_runs);
	pthread_barrier_wait(&destroy_may_end);
	quick_destroy(context);
}

static void *destroy_the_pool(void *user)
{
	zpool_destroy_pool(pool);
	return user;
}

START_TEST(child_runs_no_hooks_of_a_pool_that_was_being_destroyed)
{
	pthread_t thread;
	if (!unit_may_fork())
		return;
	start();
	quick_destroy = driver.destroy;
	driver.destroy = slow_destroy;
	open_pool("mock");
	pthread_barrier_init(&destroy_runs, NULL, 2);
	pthread_barrier_init(&destroy_may_end, NULL, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, destroy_the_pool, NULL), 0);
	pthread_barrier_wait(&destroy_runs);
	int status = end_child_with_hook();
	pthread_barrier_wait(&destroy_may_end);
	pthread_join(thread, NULL);
	ck_assert_int_eq(status, 0);
	pool = NULL;
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		fork_takes_the_librarys_locks_from_the_start,
		child_has_a_private_copy_of_a_pool_with_fork_support,
		child_cannot_use_a_pool_without_fork_support,
		fork_locks_a_stack_from_the_top,
		log_path_and_registry_work_in_the_child,
		child_of_a_program_with_busy_threads_does_not_deadlock,
		child_does_not_wait_for_hooks_of_lost_threads,
		driver_uses_the_pool_on_which_it_is_built_after_a_fork,
		child_runs_hooks_only_of_pools_with_fork_support,
		child_runs_hooks_that_were_added_without_a_layer,
		child_runs_no_hooks_that_a_destroy_left_behind,
		child_runs_no_hooks_of_a_pool_that_was_being_destroyed,
	};
	return UNIT_RUN("core/fork", tests);
}
