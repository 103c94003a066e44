/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "harness.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

#include "handles.h"
#include "unit.h"

enum { LARGEST = 65536, HUGE_BYTES = 1 << 30 };

static const struct zpool_driver *const libc = &libc_LTX_zpool_driver;
static struct harness harness;
static void *pool;

static void setup(void)
{
	struct zpool_create_args args = harness_args(&harness, libc);

	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static void teardown(void)
{
	ck_assert_msg(libc->verify(pool) == 0, "%s", harness.error);
	libc->destroy(pool);
}

static unsigned long store(size_t size, unsigned char mark)
{
	unsigned long handle = 0;
	char *at;

	unit_require(libc->malloc(pool, size, 0, &handle) == 0);
	at = libc->map(pool, handle, ZPOOL_MM_RW);
	unit_require(at);
	unit_require((uintptr_t)at % 16 == 0);
	memset(at, mark, size);
	unit_require(libc->unmap(pool, handle) == 0);
	return handle;
}

static bool holds(unsigned long handle, size_t size, unsigned char mark)
{
	const unsigned char *at = libc->map(pool, handle, ZPOOL_MM_RO);
	bool same = at != NULL;

	for (size_t i = 0; same && i < size; i++)
		same = at[i] == mark;
	if (at)
		libc->unmap(pool, handle);
	return same;
}

START_TEST(sizes_at_the_boundaries_work)
{
	unsigned long handle = 99;

	ck_assert_int_eq(libc->malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_int_eq(libc->malloc(pool, libc->max_object_bytes + 1, 0, &handle), -ENOSPC);
	ck_assert_uint_eq(handle, 99);
	for (size_t size = 1; size <= LARGEST; size = size * 2 - size / 3) {
		handle = store(size, 7);
		ck_assert_int_eq(libc->obj_size(pool, handle), (int64_t)size);
		ck_assert(holds(handle, size, 7));
		ck_assert_int_eq(libc->free(pool, handle), 0);
	}
	handle = store(LARGEST, 8);
	ck_assert(holds(handle, LARGEST, 8));
}
END_TEST

/* The object is zeroed, so the system need not provide memory for pages that are not written. */
START_TEST(objects_of_a_gibibyte_are_stored)
{
	unsigned long handle;
	int err = libc->malloc(pool, HUGE_BYTES, ZPOOL_GFP_ZERO, &handle);

	ck_assert_uint_ge(libc->max_object_bytes, HUGE_BYTES);
	if (err == -ENOMEM) {
		puts("skipped: malloc() cannot allocate a gibibyte here");
		return;
	}
	ck_assert_int_eq(err, 0);
	ck_assert_int_eq(libc->obj_size(pool, handle), HUGE_BYTES);
	ck_assert_uint_ge(libc->total_size(pool), HUGE_BYTES);
	unsigned char *at = libc->map(pool, handle, ZPOOL_MM_RW);
	at[0] = 1;
	at[HUGE_BYTES - 1] = 2;
	ck_assert_int_eq(libc->unmap(pool, handle), 0);
	at = libc->map(pool, handle, ZPOOL_MM_RO);
	ck_assert_uint_eq(at[0], 1);
	ck_assert_uint_eq(at[HUGE_BYTES / 2], 0);
	ck_assert_uint_eq(at[HUGE_BYTES - 1], 2);
	ck_assert_int_eq(libc->unmap(pool, handle), 0);
	ck_assert_int_eq(libc->free(pool, handle), 0);
	ck_assert_uint_lt(libc->total_size(pool), HUGE_BYTES);
}
END_TEST

START_TEST(nowait_is_always_refused)
{
	unsigned long handle = store(10, 1), other;

	ck_assert_int_eq(libc->free(pool, handle), 0);
	ck_assert_int_eq(libc->malloc(pool, 10, ZPOOL_GFP_NOWAIT, &other), -ENOMEM);
}
END_TEST

START_TEST(gfp_zero_clears_the_object)
{
	for (int i = 0; i < 100; i++) {
		unsigned long handle = store(1000, 0xff);

		libc->free(pool, handle);
		ck_assert_int_eq(libc->malloc(pool, 1000, ZPOOL_GFP_ZERO, &handle), 0);
		ck_assert(holds(handle, 1000, 0));
		libc->free(pool, handle);
	}
}
END_TEST

START_TEST(held_bytes_are_usable_sizes_headers_and_table)
{
	unsigned long handle[300];
	uint64_t before, blocks = 0;

	handle[0] = store(1, 0);
	/* After the table's first pages, an object adds only its own block. */
	before = libc->total_size(pool);
	for (int i = 1; i < 300; i++) {
		handle[i] = store((size_t)i * 97, 1);
		blocks += malloc_usable_size(libc->map(pool, handle[i], ZPOOL_MM_RO)) + 8;
		libc->unmap(pool, handle[i]);
	}
	ck_assert_uint_eq(libc->total_size(pool), before + blocks);
	for (int i = 1; i < 300; i++)
		ck_assert_int_eq(libc->free(pool, handle[i]), 0);
	ck_assert_uint_eq(libc->total_size(pool), before);
}
END_TEST

START_TEST(limit_holds_exactly_and_at_run_time)
{
	struct zpool_stats stats = { 0 };
	unsigned long handle, last = 0;
	uint64_t limit;

	(void)store(1, 1);
	limit = libc->total_size(pool) + 100000;
	ck_assert_int_eq(libc->set_limit(pool, limit), 0);
	while (libc->malloc(pool, 1000, 0, &handle) == 0)
		last = handle;
	ck_assert_uint_le(libc->total_size(pool), limit);
	ck_assert_uint_gt(libc->total_size(pool), limit - 2 * 1000);
	ck_assert_int_eq(libc->free(pool, last), 0);
	ck_assert_int_eq(libc->malloc(pool, 1000, 0, &handle), 0);
	ck_assert_int_eq(libc->set_limit(pool, 0), 0);
	ck_assert_int_eq(libc->malloc(pool, LARGEST, 0, &handle), 0);
	/* A caller that was compiled with a shorter structure gets only these members. */
	ck_assert_int_eq(libc->stats(pool, &stats, offsetof(struct zpool_stats, stored_bytes)), 0);
	ck_assert_uint_gt(stats.objects, 0);
	ck_assert_uint_eq(stats.stored_bytes, 0);
	ck_assert_int_eq(libc->stats(pool, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.malloc_failed_limit, 1);
}
END_TEST

/* Returns the most that the process had of address space, in KiB, or 0 if that is unknown. */
static unsigned long peak_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPeak: %lu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

START_TEST(malloc_above_the_limit_takes_no_memory)
{
	unsigned long handle, before;

	ck_assert_int_eq(libc->set_limit(pool, libc->total_size(pool) + 65536), 0);
	before = peak_kib();
	ck_assert_int_eq(libc->malloc(pool, HUGE_BYTES, ZPOOL_GFP_ZERO, &handle), -ENOMEM);
	ck_assert_uint_lt(peak_kib(), before + HUGE_BYTES / 1024 / 2 + 1);
}
END_TEST

START_TEST(block_is_released_if_no_handle_is_available)
{
	unsigned long handle;
	uint64_t held;

	/* The first 511 slots of the table are committed; more do not fit within the limit. */
	for (int i = 0; i < 511; i++)
		(void)store(1, 1);
	held = libc->total_size(pool);
	ck_assert_int_eq(libc->set_limit(pool, held + 1000), 0);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(libc->malloc(pool, 100, 0, &handle), -ENOMEM);
	ck_assert_uint_eq(libc->total_size(pool), held);
}
END_TEST

START_TEST(limit_counts_what_malloc_adds_to_a_block)
{
	unsigned long handle = store(1001, 1);
	size_t usable_bytes = malloc_usable_size(libc->map(pool, handle, ZPOOL_MM_RO));
	uint64_t held;

	libc->unmap(pool, handle);
	ck_assert_int_eq(libc->free(pool, handle), 0);
	held = libc->total_size(pool);
	ck_assert_int_eq(libc->set_limit(pool, held + 1001 + 8), 0);
	ck_assert_int_eq(libc->malloc(pool, 1001, 0, &handle), usable_bytes > 1001 ? -ENOMEM : 0);
	ck_assert_uint_le(libc->total_size(pool), held + 1001 + 8);
	ck_assert_int_eq(libc->set_limit(pool, held + usable_bytes + 8), 0);
	ck_assert_int_eq(libc->malloc(pool, 1001, 0, &handle), usable_bytes > 1001 ? 0 : -ENOMEM);
}
END_TEST

START_TEST(verify_names_what_is_broken)
{
	struct zp_handles *handles = pool; /* the first member of the pool */

	(void)store(1, 1);
	handles->groups_idle++;
	ck_assert_int_eq(libc->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "libc pool is damaged: "));
	handles->groups_idle--;
}
END_TEST

START_TEST(limit_too_small_for_a_pool_is_explained)
{
	struct harness small;
	struct zpool_create_args args = harness_args(&small, libc);

	args.limit_bytes = 1000;
	ck_assert_int_eq(harness_create(&small, &args), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(small.error, "1000 bytes"));
}
END_TEST

START_TEST(stale_and_mapped_handles_are_refused)
{
	unsigned long handle = store(5, 5);
	struct zpool_stats stats = { 0 };

	ck_assert_ptr_nonnull(libc->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(libc->free(pool, handle), -EBUSY);
	ck_assert_int_eq(libc->unmap(pool, handle), 0);
	ck_assert_int_eq(libc->unmap(pool, handle), -EINVAL);
	ck_assert_int_eq(libc->free(pool, handle), 0);
	ck_assert_int_eq(libc->free(pool, handle), -EINVAL);
	errno = 0;
	ck_assert_ptr_null(libc->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(libc->obj_size(pool, handle), -EINVAL);
	ck_assert_int_eq(libc->stats(pool, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.refused_handles, 2);
}
END_TEST

static int sum_object(unsigned long handle, size_t size, void *user)
{
	uint64_t *sums = user;

	ck_assert_int_eq(libc->obj_size(pool, handle), (int64_t)size);
	sums[0]++;
	sums[1] += size;
	/* Calls on the pool are allowed in the callback. */
	return libc->free(pool, handle);
}

START_TEST(walk_sees_every_object_and_may_free_it)
{
	uint64_t sums[2] = { 0, 0 };

	for (size_t i = 1; i <= 1000; i++)
		(void)store(i, 1);
	ck_assert_int_eq(libc->each_object(pool, sum_object, sums), 0);
	ck_assert_uint_eq(sums[0], 1000);
	ck_assert_uint_eq(sums[1], 500500);
	ck_assert_int_eq(libc->each_object(pool, sum_object, sums), 0);
	ck_assert_uint_eq(sums[0], 1000);
	ck_assert_int_eq(libc->trim(pool, &sums[0]), 0);
}
END_TEST

static void *churn(void *arg)
{
	struct unit_random random = { (uint64_t)(uintptr_t)arg };
	unsigned long handle[50] = { 0 };
	unsigned int size[50];
	uintptr_t mistakes = 0;

	for (int step = 0; step < 20000; step++) {
		unsigned int i = unit_below(&random, 50);

		if (handle[i]) {
			mistakes += !holds(handle[i], size[i], (unsigned char)i);
			mistakes += libc->free(pool, handle[i]) != 0;
			handle[i] = 0;
		} else {
			size[i] = 1 + unit_below(&random, 300);
			handle[i] = store(size[i], (unsigned char)i);
		}
	}
	return (void *)mistakes;
}

START_TEST(threads_keep_their_objects)
{
	struct unit_random random = unit_seed("threads_keep_their_objects");
	pthread_t thread[4];
	void *mistakes;

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, churn, (void *)(uintptr_t)(unit_random(&random) | 1)),
				 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &mistakes);
		ck_assert_uint_eq((uintptr_t)mistakes, 0);
	}
}
END_TEST

START_TEST(child_of_fork_has_a_copy)
{
	unsigned long handle = store(500, 3);
	pid_t child;
	int status;

	if (!unit_may_fork())
		return;
	libc->fork(pool, ZPOOL_FORK_PREPARE);
	child = fork();
	libc->fork(pool, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	if (child == 0) {
		bool fine = holds(handle, 500, 3) && libc->free(pool, handle) == 0 && libc->verify(pool) == 0;

		libc->destroy(pool);
		_exit(fine ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(holds(handle, 500, 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/libc");
	TCase *objects = tcase_create("objects");

	tcase_add_checked_fixture(objects, setup, teardown);
	tcase_set_timeout(objects, 300);
	tcase_add_test(objects, sizes_at_the_boundaries_work);
	tcase_add_test(objects, objects_of_a_gibibyte_are_stored);
	tcase_add_test(objects, nowait_is_always_refused);
	tcase_add_test(objects, gfp_zero_clears_the_object);
	tcase_add_test(objects, held_bytes_are_usable_sizes_headers_and_table);
	tcase_add_test(objects, limit_holds_exactly_and_at_run_time);
	tcase_add_test(objects, malloc_above_the_limit_takes_no_memory);
	tcase_add_test(objects, block_is_released_if_no_handle_is_available);
	tcase_add_test(objects, limit_counts_what_malloc_adds_to_a_block);
	tcase_add_test(objects, verify_names_what_is_broken);
	tcase_add_test(objects, limit_too_small_for_a_pool_is_explained);
	tcase_add_test(objects, stale_and_mapped_handles_are_refused);
	tcase_add_test(objects, walk_sees_every_object_and_may_free_it);
	tcase_add_test(objects, threads_keep_their_objects);
	tcase_add_test(objects, child_of_fork_has_a_copy);
	suite_add_tcase(suite, objects);
	return suite_run(suite);
}
