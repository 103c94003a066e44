/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_maps.c - threads that map the same objects for writing and for reading
 */
#include <config.h>

#include "zsmalloc_fixture.h"

#include <pthread.h>

enum { WORKERS = 3, SHARED = 3, ROUNDS = 4000 };

static unsigned long shared[SHARED];
static uint64_t seed;

static void *map_to_read(void *handle)
{
	void *at = zsmalloc->map(pool, *(unsigned long *)handle, ZPOOL_MM_RO);

	unit_require(at && zsmalloc->unmap(pool, *(unsigned long *)handle) == 0);
	return at;
}

static void *map_in_another_thread(unsigned long handle)
{
	pthread_t thread;
	void *at;

	unit_require(pthread_create(&thread, NULL, map_to_read, &handle) == 0);
	unit_require(pthread_join(thread, &at) == 0);
	return at;
}

/* Exclusive pins need a process that has had two threads, and a thread that has a cache. */
static void prepare(void)
{
	setup();
	for (unsigned int i = 0; i < SHARED; i++)
		shared[i] = store(500);
	release(store(500));
	(void)map_in_another_thread(shared[0]);
}

START_TEST(object_mapped_for_writing_can_be_mapped_by_others)
{
	void *at = zsmalloc->map(pool, shared[0], ZPOOL_MM_WO);

	ck_assert_ptr_nonnull(at);
	ck_assert_ptr_eq(map_in_another_thread(shared[0]), at);
	ck_assert_ptr_eq(zsmalloc->map(pool, shared[0], ZPOOL_MM_WO), at);
	ck_assert_int_eq(zsmalloc->free(pool, shared[0]), -EBUSY);
	ck_assert_uint_eq(stats().mapped_handles, 1);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[0]), 0);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[0]), 0);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[0]), -EINVAL);
	release(shared[0]);
}
END_TEST

START_TEST(object_mapped_for_writing_is_neither_freed_nor_moved)
{
	char *at = zsmalloc->map(pool, shared[1], ZPOOL_MM_WO);

	ck_assert_ptr_nonnull(at);
	release(shared[0]);
	release(shared[2]);
	ck_assert_int_eq(zsmalloc->free(pool, shared[1]), -EBUSY);
	(void)compact(0, 0);
	memset(at, 7, 500);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[1]), 0);
	ck_assert_ptr_eq(zsmalloc->map(pool, shared[1], ZPOOL_MM_RO), at);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[1]), 0);
	release(shared[1]);
	ck_assert_int_eq(zsmalloc->unmap(pool, shared[1]), -EINVAL);
}
END_TEST

static void *map_at_random(void *index)
{
	struct unit_random random = { seed + (uint64_t)(uintptr_t)index + 1 };

	release(store(500));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned long handle = shared[unit_below(&random, SHARED)];
		bool writes = unit_below(&random, 2);

		unit_require(zsmalloc->map(pool, handle, writes ? ZPOOL_MM_WO : ZPOOL_MM_RO));
		if (unit_below(&random, 8) == 0)
			unit_require(zsmalloc->free(pool, handle) == -EBUSY);
		unit_require(zsmalloc->unmap(pool, handle) == 0);
	}
	return NULL;
}

/* If a pin is lost or left over, freeing the objects fails. */
START_TEST(pins_of_readers_and_writers_are_counted)
{
	pthread_t threads[WORKERS];

	struct unit_random random = unit_seed("pins_of_readers_and_writers_are_counted");

	seed = unit_random(&random);
	for (uintptr_t i = 0; i < WORKERS; i++)
		unit_require(pthread_create(&threads[i], NULL, map_at_random, (void *)i) == 0);
	for (unsigned int i = 0; i < WORKERS; i++)
		unit_require(pthread_join(threads[i], NULL) == 0);
	ck_assert_uint_eq(stats().mapped_handles, 0);
	for (unsigned int i = 0; i < SHARED; i++) {
		ck_assert_int_eq(zsmalloc->unmap(pool, shared[i]), -EINVAL);
		release(shared[i]);
	}
	ck_assert_uint_eq(stats().objects, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zsmalloc, maps");
	TCase *maps = tcase_create("maps");

	tcase_add_checked_fixture(maps, prepare, teardown);
	tcase_set_timeout(maps, 300);
	tcase_add_test(maps, object_mapped_for_writing_can_be_mapped_by_others);
	tcase_add_test(maps, object_mapped_for_writing_is_neither_freed_nor_moved);
	tcase_add_test(maps, pins_of_readers_and_writers_are_counted);
	suite_add_tcase(suite, maps);
	return suite_run(suite);
}
