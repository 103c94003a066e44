/* SPDX-License-Identifier: MIT
 *
 * Limits of pools, which the core enforces for drivers that have no limit of their own
 */
#include "config.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/pools.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver;
static struct zpool *pool;

static void start_empty(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
}

static void open_pool(const char *spec)
{
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
}

static void finish(void)
{
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}

static unsigned long store(size_t size)
{
	unsigned long handle = 0;
	ck_assert_int_eq(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_uint_ne(handle, 0);
	return handle;
}

static void overrule(enum driver_call call, int64_t answer, const char *message)
{
	knobs.overrule[call] = true;
	knobs.answer[call] = answer;
	knobs.message = message;
}

START_TEST(core_enforces_the_limit_for_a_driver_without_set_limit)
{
	unsigned long handle = 77, first;
	start_empty();
	driver.set_limit = NULL;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=4208"); /* an empty pool plus 112 bytes */
	first = store(48);
	(void)store(32);
	ck_assert_uint_eq(zpool_get_total_size(pool), 4208);
	assert_fails(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "its limit is reached");
	ck_assert_uint_eq(handle, 77);
	ck_assert_uint_eq(zpool_get_total_size(pool), 4208);
	/* The malloc is repeated after a trim that released something. */
	ck_assert_uint_eq(knobs.calls[CALL_FREE], 2);
	zpool_free(pool, first);
	(void)store(48);
	ck_assert_int_eq(zpool_set_limit(pool, 0), 0);
	(void)store(DRIVER_MAX_OBJECT);
	ck_assert_int_eq(zpool_set_limit(pool, 1), 0);
	assert_fails(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "its limit is reached");
	overrule(CALL_MALLOC, -EAGAIN, NULL);
	assert_fails(zpool_malloc(pool, 1, 0, &handle), EAGAIN, "NOWAIT");
	ck_assert_uint_eq(handle, 77);
	finish();
}
END_TEST

START_TEST(failed_trim_is_not_the_reason_of_a_malloc_beyond_the_limit)
{
	unsigned long handle;

	start_empty();
	driver.set_limit = NULL;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=4208");
	overrule(CALL_TRIM, -EDOM, "the trim failed");
	assert_fails(zpool_malloc(pool, 200, 0, &handle), ENOMEM, "its limit is reached");
	ck_assert(!knobs.overrule[CALL_TRIM]);
	finish();
}
END_TEST

static struct zpool_driver *real;
static uint64_t held_bytes;

/* Like a driver that keeps the memory of freed objects for later ones. */
static uint64_t size_with_free_slots(void *driver_pool)
{
	uint64_t bytes = real->total_size(driver_pool);
	if (bytes > held_bytes)
		held_bytes = bytes;
	return held_bytes;
}

static void open_keeping_pool(const char *spec)
{
	static struct zpool_driver original;

	start_empty();
	original = driver_for_tests("mock");
	real = &original;
	held_bytes = 0;
	driver.set_limit = NULL;
	driver.trim = NULL;
	driver.total_size = size_with_free_slots;
	knobs.leaves_limit_to_core = true;
	open_pool(spec);
}

START_TEST(freed_space_is_used_again_below_a_lowered_limit)
{
	unsigned long handles[4], refused;

	open_keeping_pool("mock:limit=64K");
	for (int i = 0; i < 4; i++)
		handles[i] = store(48);
	uint64_t size = zpool_get_total_size(pool);
	ck_assert_int_eq(zpool_set_limit(pool, DRIVER_EMPTY_BYTES + 16), 0);
	zpool_free(pool, handles[0]);
	zpool_free(pool, handles[1]);
	for (int i = 0; i < 2; i++)
		handles[i] = store(48);
	ck_assert_uint_eq(zpool_get_total_size(pool), size);
	assert_fails(zpool_malloc(pool, 48, 0, &refused), ENOMEM, "its limit is reached");

	/* Space that was returned to the system is lost to the pool. */
	zpool_free(pool, handles[0]);
	held_bytes = 0;
	assert_fails(zpool_malloc(pool, 48, 0, &refused), ENOMEM, "its limit is reached");
	finish();
}
END_TEST

/* The memory of a refused object stays with the driver, but the pool may not use it. */
START_TEST(refused_malloc_makes_no_room_above_the_limit)
{
	unsigned long handle;

	open_keeping_pool("mock:limit=4208");
	(void)store(96);
	for (int i = 0; i < 3; i++) {
		assert_fails(zpool_malloc(pool, 16, 0, &handle), ENOMEM, "its limit is reached");
		ck_assert_int_eq(zpool_set_limit(pool, 4208), 0);
	}
	finish();
}
END_TEST

static int nowait_error;

static void *store_at_once(void *handle)
{
	nowait_error = zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, handle);
	return NULL;
}

/* The core calls it with the lock of the limit held. */
static int malloc_while_others_try(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	unsigned long other = 77;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, store_at_once, &other), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(other, 77);
	return real->malloc(driver_pool, size, gfp, handle);
}

START_TEST(nowait_does_not_wait_for_the_check_of_a_limit)
{
	struct zpool_driver original = driver_for_tests("mock");
	struct zpool_stats stats;
	unsigned long handle;

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = malloc_while_others_try;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=64K");
	nowait_error = 0;
	ck_assert_int_eq(zpool_malloc(pool, 1, 0, &handle), 0);
	ck_assert_int_eq(nowait_error, -EAGAIN);
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.malloc_failed_again, 1);
	finish();
}
END_TEST

enum { CHILD_NO_SECCOMP = 77 };
static _Atomic pid_t waiter;

static void *store_after_waiting(void *handle)
{
	waiter = (pid_t)syscall(SYS_gettid);
	(void)zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, handle);
	return NULL;
}

static bool is_asleep(pid_t thread)
{
	char path[64], line[256] = "";
	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	const char *name_end = bytes > 0 ? strrchr(line, ')') : NULL;
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

/* After this, a call that wakes another thread ends the process. */
static bool forbid_futex(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* The NOWAIT call returns from here, and gives up its turn, while another thread waits for it. */
static int malloc_once_another_thread_waits(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static unsigned long other;
	pthread_t thread;

	if (gfp & ZPOOL_GFP_NOWAIT) {
		if (pthread_create(&thread, NULL, store_after_waiting, &other) != 0)
			return -EIO;
		while (!waiter || !is_asleep(waiter))
			(void)usleep(1000);
		if (!forbid_futex())
			syscall(SYS_exit_group, CHILD_NO_SECCOMP);
	}
	return real->malloc(driver_pool, size, gfp, handle);
}

static int store_while_another_thread_waits(void)
{
	unsigned long handle;
	int err = zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, &handle);
	syscall(SYS_exit_group, err ? 1 : 0);
	return 1;
}

START_TEST(nowait_wakes_no_thread_after_the_check_of_a_limit)
{
	static struct zpool_driver original;

	if (!unit_may_fork() || !unit_child_can_allocate())
		return;
	start_empty();
	original = driver_for_tests("mock");
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = malloc_once_another_thread_waits;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=64K");
	int status = unit_in_child(store_while_another_thread_waits);
	ck_assert_msg(status == 0 || status == CHILD_NO_SECCOMP, "the child ended with status %d", status);
	finish();
}
END_TEST

START_TEST(driver_with_a_limit_of_its_own_is_asked_directly)
{
	unsigned long handle = 77;
	start_empty();
	open_pool("mock:limit=4208");
	(void)store(96);
	unsigned int sizes = knobs.calls[CALL_TOTAL_SIZE];
	assert_fails(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "its limit is reached");
	ck_assert_uint_eq(knobs.calls[CALL_TOTAL_SIZE], sizes);
	finish();
}
END_TEST

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

static int lower_the_limit(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	ck_assert_int_eq(zpool_set_limit(pool, DRIVER_EMPTY_BYTES + 1), 0);
	return real->malloc(driver_pool, size, gfp, handle);
}

START_TEST(limit_that_is_lowered_during_a_malloc_holds)
{
	struct zpool_driver original = driver_for_tests("mock");
	unsigned long handle;

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = lower_the_limit;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=64K");
	assert_fails(zpool_malloc(pool, 500, ZPOOL_GFP_KERNEL, &handle), ENOMEM, "its limit is reached");
	ck_assert_uint_le(zpool_get_total_size(pool), DRIVER_EMPTY_BYTES + 1);
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

enum { SHARE_BYTES = 1000 };
static uint64_t largest_limit;
static unsigned int limits_given;

static int note_limit(void *driver_pool, uint64_t limit_bytes)
{
	if (limit_bytes > largest_limit)
		largest_limit = limit_bytes;
	limits_given++;
	return real->set_limit(driver_pool, limit_bytes);
}

static int pass_on_what_is_left(void *filter, uint64_t limit_bytes)
{
	(void)filter;
	return knobs.filter_lower.driver->set_limit(knobs.filter_lower.pool, limit_bytes - SHARE_BYTES);
}

/* The driver must not have the whole limit even for a moment, because another thread may call malloc. */
START_TEST(driver_below_a_filter_never_sees_the_filters_share_of_the_limit)
{
	struct zpool_driver original = driver_for_tests("mock"), filter = filter_for_tests("sieve");
	const uint64_t limit = 64 << 10;

	start_empty();
	real = &original;
	driver.set_limit = note_limit;
	filter.set_limit = pass_on_what_is_left;
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	open_pool("sieve+mock");
	largest_limit = limits_given = 0;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(zpool_set_limit(pool, limit), 0);
	ck_assert_int_eq(zpool_set_param(pool, "limit", "65536"), 0);
	ck_assert_uint_eq(largest_limit, limit - SHARE_BYTES);
	ck_assert_uint_eq(limits_given, 4);
	finish();
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}
END_TEST

START_TEST(driver_below_a_filter_without_set_limit_gets_the_whole_limit)
{
	struct zpool_driver original = driver_for_tests("mock"), filter = filter_for_tests("sieve");

	start_empty();
	real = &original;
	driver.set_limit = note_limit;
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	open_pool("sieve+mock");
	largest_limit = limits_given = 0;
	ck_assert_int_eq(zpool_set_limit(pool, 64 << 10), 0);
	ck_assert_uint_eq(largest_limit, 64 << 10);
	ck_assert_uint_eq(limits_given, 1);
	finish();
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}
END_TEST

START_TEST(limit_that_a_driver_refuses_changes_nothing)
{
	struct zpool_driver filter = filter_for_tests("sieve");

	start_empty();
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	open_pool("sieve+mock");
	overrule(CALL_SET_LIMIT, -EDOM, NULL);
	assert_fails(zpool_set_limit(pool, DRIVER_EMPTY_BYTES + 1), EDOM, "driver \"mock\" failed");
	(void)store(200);
	finish();
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		core_enforces_the_limit_for_a_driver_without_set_limit,
		failed_trim_is_not_the_reason_of_a_malloc_beyond_the_limit,
		freed_space_is_used_again_below_a_lowered_limit,
		refused_malloc_makes_no_room_above_the_limit,
		nowait_does_not_wait_for_the_check_of_a_limit,
		nowait_wakes_no_thread_after_the_check_of_a_limit,
		driver_with_a_limit_of_its_own_is_asked_directly,
		nowait_malloc_at_a_limit_does_not_evict,
		limit_that_is_lowered_during_a_malloc_holds,
		other_threads_can_store_while_malloc_evicts,
		drivers_of_limited_pools_may_be_built_on_each_other,
		evict_function_that_malloc_calls_may_fork,
		evict_inside_malloc_does_not_deadlock_with_fork,
		limit_that_a_driver_refuses_changes_nothing,
		driver_below_a_filter_never_sees_the_filters_share_of_the_limit,
		driver_below_a_filter_without_set_limit_gets_the_whole_limit,
	};
	return UNIT_RUN("core/limit", tests);
}
