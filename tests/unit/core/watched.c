/* SPDX-License-Identifier: MIT
 *
 * In a host with the thread sanitizer, each call of a loaded driver runs unseen, callbacks of the host are seen, and
 * what returns memory to a pool happens before what takes memory from it.
 *
 * The program has the functions of the sanitizer's interface itself, so that it can count their calls. What the real
 * sanitizer reports is tested by tests/stress/sanitized_host.sh.
 */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

#if defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

#ifndef HAS_SANITIZER

static unsigned int acquired, released;
static void *acquired_pool, *released_pool;
static _Thread_local int unseen_reads, unseen_writes;
static atomic_uint unseen_calls;

void __tsan_acquire(void *address);
void __tsan_release(void *address);
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

void __tsan_acquire(void *address)
{
	acquired++;
	acquired_pool = address;
}

void __tsan_release(void *address)
{
	released++;
	released_pool = address;
}

void AnnotateIgnoreReadsBegin(const char *file, int line)
{
	ck_assert(file && line > 0);
	atomic_fetch_add(&unseen_calls, 1);
	unseen_reads++;
}

void AnnotateIgnoreReadsEnd(const char *file, int line)
{
	ck_assert(file && line > 0);
	unseen_reads--;
}

void AnnotateIgnoreWritesBegin(const char *file, int line)
{
	ck_assert(file && line > 0);
	unseen_writes++;
}

void AnnotateIgnoreWritesEnd(const char *file, int line)
{
	ck_assert(file && line > 0);
	unseen_writes--;
}

static bool is_seen(void)
{
	return unseen_reads == 0 && unseen_writes == 0;
}

static struct zpool *pool;
static unsigned int asked;

static int refuse(struct zpool *of, unsigned long handle, void *user)
{
	(void)user;
	ck_assert_ptr_eq(of, pool);
	ck_assert(is_seen());
	/* A call inside of a callback is hidden, and what follows it is seen again. */
	ck_assert_int_gt(zpool_obj_size(of, handle), 0);
	ck_assert(is_seen());
	asked++;
	return -EBUSY;
}

static void start(const char *spec)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.evict = refuse;
	pool = zpool_open(spec, &args, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert(is_seen());
	acquired = released = asked = 0;
	acquired_pool = released_pool = NULL;
	atomic_store(&unseen_calls, 0);
}

/* Checks that the calls since the last check went to the driver unseen, and that the host is seen again. */
#define assert_unseen(calls)                                                                                           \
	do {                                                                                                           \
		ck_assert_uint_ge(atomic_exchange(&unseen_calls, 0), calls);                                           \
		ck_assert(is_seen());                                                                                  \
	} while (0)

static unsigned long store(void)
{
	unsigned long handle;

	ck_assert_int_eq(zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle), 0);
	return handle;
}

START_TEST(memory_is_released_by_free_and_unmap_and_acquired_by_malloc_and_map)
{
	start("zsmalloc");
	unsigned long handle = store();
	assert_unseen(1);
	ck_assert_uint_eq(acquired, 1);
	ck_assert_ptr_eq(acquired_pool, pool);
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	assert_unseen(1);
	ck_assert_uint_eq(acquired, 2);
	ck_assert_uint_eq(released, 0);
	zpool_unmap_handle(pool, handle);
	assert_unseen(1);
	ck_assert_uint_eq(released, 1);
	ck_assert_ptr_eq(released_pool, pool);
	zpool_free(pool, handle);
	assert_unseen(1);
	ck_assert_uint_eq(released, 2);
	zpool_destroy_pool(pool);
	assert_unseen(1);
}
END_TEST

static int visit_class(const struct zpool_class_stats *stats, size_t size, void *count)
{
	ck_assert(is_seen() && size >= sizeof(*stats));
	++*(unsigned int *)count;
	return 0;
}

static int visit_object(struct zpool *of, unsigned long handle, size_t size, void *count)
{
	ck_assert(is_seen() && of == pool && handle && size >= 100);
	++*(unsigned int *)count;
	return 0;
}

START_TEST(every_function_runs_unseen_and_every_callback_is_seen)
{
	struct zpool_stats stats;
	unsigned int objects = 0, classes = 0;
	char byte = 1;
	uint64_t gone;

	start("zsmalloc");
	unsigned long handle = store();
	assert_unseen(1);
	ck_assert_int_eq(zpool_obj_write(pool, handle, &byte, 1, 0), 1);
	assert_unseen(1);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 0), 1);
	assert_unseen(1);
	ck_assert_int_ge(zpool_obj_size(pool, handle), 100);
	assert_unseen(1);
	ck_assert_uint_gt(zpool_get_total_size(pool), 0);
	assert_unseen(1);
	ck_assert_int_ge(zpool_compact(pool, 0, 0, &gone), 0);
	assert_unseen(1);
	ck_assert_int_eq(zpool_trim(pool, &gone), 0);
	assert_unseen(1);
	ck_assert_int_eq(zpool_set_limit(pool, 1 << 20), 0);
	assert_unseen(1);
	ck_assert_int_eq(zpool_set_param(pool, "compact", "no"), 0);
	assert_unseen(1);
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), 0);
	assert_unseen(1);
	ck_assert_int_eq(zpool_each_object(pool, visit_object, &objects), 0);
	assert_unseen(1);
	ck_assert_uint_eq(objects, 1);
	ck_assert_int_eq(zpool_each_class(pool, visit_class, &classes), 0);
	assert_unseen(1);
	ck_assert_uint_eq(classes, 1);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(evict_callbacks_are_seen)
{
	start("zbud");
	unsigned long handle = store();

	ck_assert_int_lt(zpool_shrink(pool, 1, NULL), 0);
	assert_unseen(2);
	ck_assert_uint_gt(asked, 0);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(child_and_parent_are_seen_after_a_fork)
{
	int status;

	if (!unit_may_fork())
		return;
	start("zsmalloc");
	unsigned long handle = store();
	pid_t child = fork();

	if (child == 0) {
		zpool_free(pool, handle);
		_exit(is_seen() ? 0 : 1);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(is_seen());
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}
END_TEST

static void *store_and_free(void *seen)
{
	zpool_free(pool, store());
	*(bool *)seen = is_seen();
	return NULL;
}

/* zsmalloc empties a thread's cache when the thread ends. */
START_TEST(work_at_the_end_of_a_thread_runs_unseen)
{
	bool seen = false;
	pthread_t thread;

	start("zsmalloc");
	ck_assert_int_eq(pthread_create(&thread, NULL, store_and_free, &seen), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(seen);
	/* malloc, free, and the end */
	assert_unseen(3);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(registered_drivers_are_seen)
{
	struct zpool_driver driver = driver_for_tests("mock");

	driver_knobs_reset();
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	start("mock");
	zpool_free(pool, store());
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(atomic_load(&unseen_calls), 0);
	ck_assert_uint_eq(acquired + released, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		memory_is_released_by_free_and_unmap_and_acquired_by_malloc_and_map,
		every_function_runs_unseen_and_every_callback_is_seen,
		evict_callbacks_are_seen,
		child_and_parent_are_seen_after_a_fork,
		work_at_the_end_of_a_thread_runs_unseen,
		registered_drivers_are_seen,
	};
	return UNIT_RUN("core/watched", tests);
}

#else

int main(void)
{
	puts("SKIP: this program has the thread sanitizer, so it cannot take the sanitizer's place");
	return 77;
}

#endif
