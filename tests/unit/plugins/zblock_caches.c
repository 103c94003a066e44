/* SPDX-License-Identifier: MIT
 *
 * Threads cache slots.  The tests check which thread gets a slot, how many slots are cached, and when they are freed.
 */
#include <config.h>

#include <pthread.h>

#include "zblock_fixture.h"

enum { SIZE = 1016, SLOTS = 8, MANY = 4000 };

static unsigned long handles[MANY];

static struct zblock_type *type_of(size_t size)
{
	struct zblock_pool *inside = pool;

	return &inside->types[inside->type_of[(size + 7) / 8]];
}

static uint64_t cached(size_t size)
{
	return zblock_cached_count(pool, type_of(size));
}

static void fill(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		handles[i] = store(size);
}

/* This thread frees handles[0] to handles[count - 1], and then waits with its cached slots until it may end. */
static pthread_t other;
static pthread_barrier_t barrier;

static void *free_and_wait(void *count)
{
	for (uintptr_t i = 0; i < (uintptr_t)count; i++)
		release(handles[i]);
	(void)pthread_barrier_wait(&barrier);
	(void)pthread_barrier_wait(&barrier);
	harness_end_thread(&harness);
	return NULL;
}

static void other_frees(unsigned int count)
{
	unit_require(pthread_barrier_init(&barrier, NULL, 2) == 0);
	unit_require(pthread_create(&other, NULL, free_and_wait, (void *)(uintptr_t)count) == 0);
	(void)pthread_barrier_wait(&barrier);
}

static void other_ends(void)
{
	(void)pthread_barrier_wait(&barrier);
	unit_require(pthread_join(other, NULL) == 0);
	unit_require(pthread_barrier_destroy(&barrier) == 0);
}

START_TEST(thread_reuses_the_slot_that_it_freed_last)
{
	unsigned int count = (unsigned int)_i;
	char *freed;

	fill(count + 1, SIZE);
	for (int i = 0; i < 100; i++) {
		freed = address_of(handles[count]);
		release(handles[count]);
		handles[count] = store(SIZE);
		/* The first free gives the thread its cache. */
		unit_require(i == 0 || address_of(handles[count]) == freed);
	}
	check_sound();
}
END_TEST

START_TEST(cached_slots_need_no_lock)
{
	struct zblock_type *type = type_of(SIZE);
	unsigned long handle;

	fill(2, SIZE);
	release(handles[1]);
	handles[1] = store(SIZE);
	zp_lock(&type->lock);
	release(handles[1]);
	ck_assert_int_eq(zblock->malloc(pool, SIZE, ZPOOL_GFP_NOWAIT, &handle), 0);
	release(handle);
	ck_assert_int_eq(zblock->malloc(pool, SIZE, 0, &handle), 0);
	zp_unlock(&type->lock);
	check_sound();
}
END_TEST

START_TEST(number_of_cached_slots_is_limited_by_the_block_type)
{
	struct zblock_type *type = type_of(SIZE);

	fill(MANY, SIZE);
	for (unsigned int i = 0; i < MANY; i++) {
		release(handles[i]);
		/*
		 * The limit is the share, plus the slot that was freed last and the slots that a full magazine returns
		 * at once.
		 */
		unit_require(cached(SIZE) <= ZBLOCK_FLUSH_SLOTS + 2 + type->used_slots / ZBLOCK_CACHED_SHARE);
		unit_require(cached(SIZE) <= ZP_MAGAZINE_ITEMS + 1);
		unit_require(stats().objects == MANY - i - 1);
	}
	check_sound();
	ck_assert_uint_le(cached(SIZE), 2);
}
END_TEST

/* A thread that can cache slots has its cache before it frees one. */
START_TEST(free_does_not_enlarge_the_pool)
{
	uint64_t held;

	fill((unsigned int)_i, SIZE);
	held = zblock->total_size(pool);
	for (int i = 0; i < _i; i++) {
		release(handles[i]);
		unit_require(zblock->total_size(pool) <= held);
	}
}
END_TEST

START_TEST(cached_slots_do_not_count_as_objects)
{
	uint64_t pages;

	fill(MANY, SIZE);
	for (unsigned int i = 0; i < 40; i++)
		release(handles[i]);
	ck_assert_uint_gt(cached(SIZE), 0);
	ck_assert_uint_eq(stats().objects, MANY - 40);
	ck_assert_uint_eq(stats().stored_bytes, (MANY - 40) * SIZE);
	for (unsigned int i = 0; i < 40; i++) {
		ck_assert_int_eq(zblock->free(pool, handles[i]), -EINVAL);
		ck_assert_ptr_null(zblock->map(pool, handles[i], ZPOOL_MM_RO));
		ck_assert_int_eq(zblock->obj_size(pool, handles[i]), -EINVAL);
	}
	pages = stats().pages;
	ck_assert_uint_eq(type_stats(SIZE).objects, MANY - 40);
	/* Five blocks became empty, and one of them stays as the spare one. */
	ck_assert_uint_eq(type_stats(SIZE).zspages, MANY / SLOTS - 4);
	ck_assert_uint_lt(stats().pages, pages);
	ck_assert_uint_eq(cached(SIZE), 0);
}
END_TEST

START_TEST(last_object_of_a_type_empties_the_caches)
{
	fill(MANY, LARGEST);
	other_frees(10);
	ck_assert_uint_gt(cached(LARGEST), 0);
	for (unsigned int i = 10; i < MANY; i++)
		release(handles[i]);
	/* The slot that each thread freed last may stay cached. */
	ck_assert_uint_le(type_of(LARGEST)->used_slots, ZP_MAGAZINE_ITEMS + 2);
	ck_assert_uint_eq(stats().objects, 0);
	check_sound();
	(void)trim();
	ck_assert_uint_eq(stats().pages, 0);
	other_ends();
}
END_TEST

START_TEST(trim_releases_slots_cached_by_other_threads)
{
	struct zblock_pool *inside = pool;

	fill(MANY, LARGEST);
	other_frees(40);
	ck_assert_uint_gt(cached(LARGEST), 0);
	(void)trim();
	ck_assert_uint_eq(cached(LARGEST), 0);
	ck_assert_uint_eq(type_of(LARGEST)->used_slots, MANY - 40);
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), MANY - 40);
	check_sound();
	other_ends();
}
END_TEST

START_TEST(malloc_at_the_limit_uses_slots_cached_by_other_threads)
{
	unsigned int stored = 0;
	unsigned long handle;

	/* The caches get their memory before the limit is set. */
	release(store(SIZE));
	fill(MANY, SIZE);
	zblock->set_limit(pool, zblock->total_size(pool) + 8192);
	other_frees(40);
	ck_assert_uint_gt(cached(SIZE), 0);
	while (zblock->malloc(pool, SIZE, 0, &handle) == 0)
		stored++;
	ck_assert_uint_ge(stored, 40);
	ck_assert_uint_eq(cached(SIZE), 0);
	check_sound();
	other_ends();
}
END_TEST

START_TEST(ending_thread_caches_nothing)
{
	struct zblock_pool *inside = pool;
	uint64_t held;

	fill(MANY, SIZE);
	other_frees(40);
	ck_assert_uint_gt(cached(SIZE), 0);
	other_ends();
	ck_assert_uint_eq(cached(SIZE), 0);
	check_sound();
	held = zblock->total_size(pool);
	(void)trim();
	ck_assert_uint_le(zblock->total_size(pool), held - 4096);
	ck_assert(inside->caches.first == NULL || inside->caches.first->next == NULL);
}
END_TEST

/*
 * The object is freed more often than a handle has generations: the handle slot is retired, and the slot gets another
 * one.
 */
START_TEST(slot_is_reused_after_its_handle)
{
	enum { LIVES = (1 << 22) + 1000 };
	unsigned long handle, first = store(SIZE);

	release(first);
	for (int i = 0; i < LIVES; i++) {
		unit_require(zblock->malloc(pool, SIZE, 0, &handle) == 0);
		unit_require(!ZP_HANDLE_RETIRE || handle != first);
		release(handle);
	}
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_int_eq(zblock->free(pool, first), -EINVAL);
	(void)trim();
	ck_assert_uint_eq(stats().pages, 0);
}
END_TEST

/* The slot that was freed last still has such a handle slot when the cache is emptied. */
START_TEST(trim_frees_a_pending_slot_without_generations)
{
	struct zblock_pool *inside = pool;

	harness_set_few_generations(&inside->handles);
	for (unsigned int i = 0; i < 8; i++) {
		unsigned long handle = store(SIZE);

		for (unsigned int lives = 0; lives < i; lives++) {
			release(handle);
			handle = store(SIZE);
		}
		release(handle);
		(void)trim();
		check_sound();
		ck_assert_uint_eq(stats().objects, 0);
		ck_assert_uint_eq(stats().pages, 0);
	}
}
END_TEST

START_TEST(thread_works_without_a_cache_if_memory_is_short)
{
	struct zblock_pool *inside = pool;
	unsigned long handle = 0;

	ck_assert_int_eq(zblock->malloc(pool, SIZE, 0, &handle), 0);
	zblock->set_limit(pool, zblock->total_size(pool));
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(zblock->free(pool, handle), 0);
		ck_assert_int_eq(zblock->malloc(pool, SIZE, 0, &handle), 0);
	}
	ck_assert_ptr_null(inside->caches.first);
	check_sound();
	zblock->set_limit(pool, 0);
	release(handle);
	ck_assert_ptr_nonnull(inside->caches.first);
}
END_TEST

START_TEST(verify_finds_damaged_caches)
{
	struct zblock_pool *inside = pool;
	struct zp_magazine *magazine;
	uint32_t kept;
	uint64_t location;

	fill(MANY, SIZE);
	for (unsigned int i = 0; i < 10; i++)
		release(handles[i]);
	magazine = &inside->caches.first->magazines[type_of(SIZE) - inside->types];
	kept = magazine->items[0];
	ck_assert_uint_gt(zp_magazine_count(magazine), 1);
	/* These are the handle slot of a live object, one beyond the table, and no slot. */
	const uint32_t wrong[] = { zp_handle_slot(handles[MANY - 1]), UINT32_MAX, ZP_SLOT_NONE };
	for (int i = 0; i < 3; i++) {
		magazine->items[0] = wrong[i];
		ck_assert_int_eq(zblock->verify(pool), -EUCLEAN);
		ck_assert_ptr_nonnull(strstr(harness.error, "caches a slot that is not its own"));
	}
	magazine->items[0] = kept;
	check_sound();
	/* This location is in no block. */
	location = zp_handles_location(&inside->handles, kept);
	zp_handles_set_location(&inside->handles, kept, zblock_location(inside->record_end, 0));
	ck_assert_int_eq(zblock->verify(pool), -EUCLEAN);
	zp_handles_set_location(&inside->handles, kept, location);
	check_sound();
}
END_TEST

void add_cache_tests(Suite *suite)
{
	TCase *tcase = tcase_in(suite, "caches");

	tcase_add_loop_test(tcase, thread_reuses_the_slot_that_it_freed_last, 0, 3 * SLOTS);
	tcase_add_test(tcase, cached_slots_need_no_lock);
	tcase_add_test(tcase, number_of_cached_slots_is_limited_by_the_block_type);
	tcase_add_loop_test(tcase, free_does_not_enlarge_the_pool, ZBLOCK_CACHED_FROM_SLOTS, 3 * SLOTS);
	tcase_add_test(tcase, cached_slots_do_not_count_as_objects);
	tcase_add_test(tcase, last_object_of_a_type_empties_the_caches);
	tcase_add_test(tcase, trim_releases_slots_cached_by_other_threads);
	tcase_add_test(tcase, malloc_at_the_limit_uses_slots_cached_by_other_threads);
	tcase_add_test(tcase, ending_thread_caches_nothing);
	tcase_add_test(tcase, slot_is_reused_after_its_handle);
	tcase_add_test(tcase, trim_frees_a_pending_slot_without_generations);
	tcase_add_test(tcase, thread_works_without_a_cache_if_memory_is_short);
	tcase_add_test(tcase, verify_finds_damaged_caches);
}
