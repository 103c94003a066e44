/* SPDX-License-Identifier: MIT
 *
 * Limits of pools, which the core enforces for drivers that have no limit of their own
 */
#include "config.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/core/limited.h"

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

static _Atomic bool is_napping;

/* The library calls this function instead of the C library's. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	is_napping = true;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, time, left) ? -1 : 0;
}

static void *store_and_wait(void *handle)
{
	*(unsigned long *)handle = store(1);
	return NULL;
}

static pthread_t napper;
static unsigned long handle_of_napper;

/* The NOWAIT call has its turn until another thread waits for that. */
static int malloc_until_another_thread_naps(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	if (gfp & ZPOOL_GFP_NOWAIT) {
		ck_assert_int_eq(pthread_create(&napper, NULL, store_and_wait, &handle_of_napper), 0);
		while (!is_napping)
			(void)sched_yield();
		ck_assert_uint_eq(knobs.calls[CALL_MALLOC], 0);
	}
	return real->malloc(driver_pool, size, gfp, handle);
}

START_TEST(malloc_waits_for_the_turn_of_a_nowait_malloc)
{
	struct zpool_driver original = driver_for_tests("mock");
	unsigned long handle;

	start_empty();
	real = &original;
	driver.set_limit = NULL;
	driver.malloc = malloc_until_another_thread_naps;
	knobs.leaves_limit_to_core = true;
	open_pool("mock:limit=64K");
	is_napping = false;
	ck_assert_int_eq(zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_int_eq(pthread_join(napper, NULL), 0);
	ck_assert_uint_ne(handle_of_napper, handle);
	ck_assert_uint_eq(knobs.calls[CALL_MALLOC], 2);
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
		malloc_waits_for_the_turn_of_a_nowait_malloc,
		nowait_wakes_no_thread_after_the_check_of_a_limit,
		driver_with_a_limit_of_its_own_is_asked_directly,
		limit_that_is_lowered_during_a_malloc_holds,
		limit_that_a_driver_refuses_changes_nothing,
		driver_below_a_filter_never_sees_the_filters_share_of_the_limit,
		driver_below_a_filter_without_set_limit_gets_the_whole_limit,
	};
	return UNIT_RUN("core/limit", tests);
}
