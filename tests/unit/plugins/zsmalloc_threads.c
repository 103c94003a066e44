/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_threads.c - storing, freeing and mapping while other threads compact, shrink, trim and walk the pool
 */
#include <config.h>

#include <pthread.h>
#include <sched.h>

#include "zsmalloc_fixture.h"

enum { WORKERS = 3, OWNED = 400, ROUNDS = 40000, ROUNDS_SLOW = 4000 };

/*
 * An object of one worker.  The evict callback runs in another thread, so whichever of the two takes the handle first
 * frees the object.
 */
struct owned {
	_Atomic(unsigned long) handle;
	size_t size;
};

static struct owned owned[WORKERS][OWNED];
static _Atomic(unsigned int) working;
static uint64_t seed;

static int evict_claims(void *context, unsigned long handle)
{
	(void)context;
	for (unsigned int i = 0; i < WORKERS * OWNED; i++) {
		unsigned long expected = handle;

		if (!atomic_compare_exchange_strong(&owned[i / OWNED][i % OWNED].handle, &expected, 0))
			continue;
		unit_require(zsmalloc->free(pool, handle) == 0);
		return 0;
	}
	return -EBUSY;
}

/* Takes the object's handle, checks its content and frees it. */
static void drop(struct owned *object)
{
	unsigned long handle = atomic_exchange(&object->handle, 0);

	if (!handle)
		return;
	unit_require(is_intact(handle, object->size));
	release(handle);
}

static void *work(void *mine_)
{
	struct owned *mine = mine_;
	struct unit_random random = { seed + (uint64_t)(mine - owned[0]) + 1 };
	bool slow = UNIT_SANITIZED || unit_on_valgrind();

	for (unsigned int round = 0; round < (slow ? ROUNDS_SLOW : ROUNDS); round++) {
		struct owned *object = &mine[unit_below(&random, OWNED)];

		drop(object);
		/* The number of objects grows and falls in phases, so that compaction has work to do. */
		if (unit_below(&random, 4) == 0 || (round / 500 % 2 && unit_below(&random, 4)))
			continue;
		object->size = unit_below(&random, 3) ? 1 + unit_below(&random, 1500) : 1 + unit_below(&random, 20000);
		atomic_store(&object->handle, store(object->size));
	}
	atomic_fetch_sub(&working, 1);
	return NULL;
}

static int visit(unsigned long handle, size_t size, void *seen)
{
	(void)handle;
	unit_require(size > 0);
	++*(uint64_t *)seen;
	return 0;
}

static void *disturb(void *unused)
{
	uint64_t released, seen = 0;
	unsigned int reclaimed;

	/* The workers may be done before this thread has run at all. */
	while (atomic_load(&working) || stats().evictions == 0) {
		struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = 100000 };

		unit_require(zsmalloc->compact(pool, &budget, &released) >= 0);
		(void)zsmalloc->shrink(pool, 2, &reclaimed);
		unit_require(zsmalloc->each_object(pool, visit, &seen) == 0);
		unit_require(zsmalloc->trim(pool, &released) == 0);
		unit_require(zsmalloc->verify(pool) == 0);
		sched_yield();
	}
	return unused;
}

START_TEST(threads_keep_their_objects)
{
	struct unit_random random = unit_seed("threads_keep_their_objects");
	pthread_t workers[WORKERS], disturbers[2];

	seed = unit_random(&random);
	atomic_store(&working, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		unit_require(pthread_create(&workers[i], NULL, work, owned[i]) == 0);
	for (int i = 0; i < 2; i++)
		unit_require(pthread_create(&disturbers[i], NULL, disturb, NULL) == 0);
	for (int i = 0; i < WORKERS; i++)
		unit_require(pthread_join(workers[i], NULL) == 0);
	for (int i = 0; i < 2; i++)
		unit_require(pthread_join(disturbers[i], NULL) == 0);
	check_sound();
	for (int i = 0; i < WORKERS * OWNED; i++)
		drop(&owned[i / OWNED][i % OWNED]);
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_gt(stats().compact_moved_bytes, 0);
	ck_assert_uint_gt(stats().evictions, 0);
}
END_TEST

/*
 * An owner moves its pending slot into a magazine without a lock, so statistics may find the slot in both places.  Even
 * if that slot is all that the class has, the number of objects must not be less than 0.
 */
START_TEST(number_of_objects_is_not_negative_with_slots_counted_twice)
{
	struct zsmalloc_pool *inside = pool;
	struct zp_magazine *magazine;
	struct zp_cache *cache;

	/* The first free gives the thread its cache. */
	release(store(1000));
	release(store(1000));
	cache = zp_caches_own(&inside->caches);
	ck_assert_ptr_nonnull(cache);
	ck_assert_uint_ne(zp_cache_pending(cache), ZP_ITEM_NONE);
	magazine = &cache->magazines[zsmalloc_class_index(inside, 1000)];
	ck_assert_uint_eq(zp_magazine_count(magazine), 0);
	magazine->items[0] = zp_cache_pending(cache);
	zp_magazine_set_count(magazine, 1);
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_eq(stats().stored_bytes, 0);
	zp_magazine_set_count(magazine, 0);
	check_sound();
}
END_TEST

static void open_shared(void)
{
	ck_assert_int_eq(open_pool(32, 16, 65536, true, evict_claims), 0);
}

static void close_shared(void)
{
	check_sound();
	zsmalloc->destroy(pool);
}

void add_thread_tests(Suite *suite)
{
	TCase *tcase = tcase_create("threads");

	tcase_add_checked_fixture(tcase, open_shared, close_shared);
	tcase_set_timeout(tcase, 300);
	tcase_add_test(tcase, threads_keep_their_objects);
	tcase_add_test(tcase, number_of_objects_is_not_negative_with_slots_counted_twice);
	suite_add_tcase(suite, tcase);
}
