/* SPDX-License-Identifier: MIT
 *
 * Threads cache slots.  The tests check which thread gets a slot, how many slots are cached, and when they are freed.
 */
#include <config.h>

#include <pthread.h>

#include "os_pages.h"
#include "zbud_fixture.h"

enum { MANY = 4000, HALF_CHUNKS = HALF / ZBUD_CHUNK_BYTES };

static unsigned long handles[MANY];

/* This pool cannot evict, so its malloc takes no lock either. */
static void setup_plain(void)
{
	struct zpool_create_args args = harness_args(&harness, zbud);

	memset(&evictor, 0, sizeof(evictor));
	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static uint32_t cached(void)
{
	struct zbud_pool *inside = pool;
	uint32_t counts[ZBUD_PAGE_CHUNKS];

	zp_lock(&inside->lock);
	zbud_cached_counts(pool, counts);
	zp_unlock(&inside->lock);
	return counts[HALF_CHUNKS];
}

static uint32_t used(void)
{
	return ((struct zbud_pool *)pool)->used_slots[HALF_CHUNKS];
}

static void fill(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		handles[i] = store(HALF);
}

static void release(unsigned long handle)
{
	unit_require(zbud->free(pool, handle) == 0);
}

static void trim(void)
{
	uint64_t released;

	ck_assert_int_eq(zbud->trim(pool, &released), 0);
}

static struct zp_cache *own_cache(void)
{
	return zp_caches_own(&((struct zbud_pool *)pool)->caches);
}

/* This thread frees handles[0] to handles[count - 1], and then waits with its cached slots until it may end. */
static pthread_t other;
static pthread_barrier_t barrier;

static void *free_and_wait(void *count)
{
	/* The first free gives the thread its cache. */
	release(store(1));
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
	enum { COUNT = 20 };
	uint64_t last = 0;

	fill(COUNT);
	for (int i = 0; i < 100; i++) {
		uint64_t location;

		release(handles[COUNT - 1]);
		handles[COUNT - 1] = store(HALF);
		unit_require(zp_handles_lookup(&((struct zbud_pool *)pool)->handles, handles[COUNT - 1], &location) ==
			     0);
		/* The first free gives the thread its cache. */
		unit_require(i < 2 || location == last);
		last = location;
	}
	check_sound();
}
END_TEST

START_TEST(cached_slots_need_no_lock)
{
	struct zbud_pool *inside = pool;
	unsigned long handle;

	fill(3);
	release(handles[2]);
	handles[2] = store(HALF);
	zp_lock(&inside->lock);
	release(handles[2]);
	ck_assert_int_eq(zbud->malloc(pool, HALF, ZPOOL_GFP_NOWAIT, &handle), 0);
	release(handle);
	ck_assert_int_eq(zbud->malloc(pool, HALF, 0, &handle), 0);
	zp_unlock(&inside->lock);
	check_sound();
}
END_TEST

START_TEST(number_of_cached_slots_is_limited_by_the_size_class)
{
	fill(MANY);
	for (unsigned int i = 0; i < MANY; i++) {
		release(handles[i]);
		/*
		 * The limit is the share, plus the slot that was freed last and the slots that a full magazine frees at
		 * once.
		 */
		unit_require(cached() <= ZBUD_FLUSH_SLOTS + 2 + used() / ZBUD_CACHED_SHARE);
		unit_require(cached() <= ZP_MAGAZINE_ITEMS + 1);
		unit_require(stats().objects == MANY - i - 1);
	}
	check_sound();
	ck_assert_uint_le(cached(), 2);
}
END_TEST

START_TEST(free_does_not_enlarge_the_pool)
{
	uint64_t held;

	fill((unsigned int)_i);
	held = zbud->total_size(pool);
	for (int i = 0; i < _i; i++) {
		release(handles[i]);
		unit_require(zbud->total_size(pool) <= held);
	}
}
END_TEST

START_TEST(cache_of_a_thread_takes_4096_bytes)
{
	uint64_t held;

	fill(2);
	held = zbud->total_size(pool);
	/* The thread has no cache yet, and gets one now; the page stays because it has another object. */
	release(handles[0]);
	ck_assert_uint_eq(zbud->total_size(pool), held + 4096);
}
END_TEST

START_TEST(cached_slots_do_not_count_as_objects)
{
	fill(MANY);
	for (unsigned int i = 0; i < 40; i++)
		release(handles[i]);
	ck_assert_uint_gt(cached(), 0);
	ck_assert_uint_eq(stats().objects, MANY - 40);
	ck_assert_uint_eq(stats().stored_bytes, (MANY - 40) * HALF);
	for (unsigned int i = 0; i < 40; i++) {
		ck_assert_int_eq(zbud->free(pool, handles[i]), -EINVAL);
		ck_assert_ptr_null(zbud->map(pool, handles[i], ZPOOL_MM_RO));
		ck_assert_int_eq(zbud->obj_size(pool, handles[i]), -EINVAL);
	}
	check_sound();
	trim();
	ck_assert_uint_eq(stats().pages, (MANY - 40) / 2);
}
END_TEST

START_TEST(trim_releases_slots_cached_by_other_threads)
{
	struct zbud_pool *inside = pool;

	fill(MANY);
	other_frees(40);
	ck_assert_uint_gt(cached(), 0);
	trim();
	ck_assert_uint_eq(cached(), 0);
	ck_assert_uint_eq(used(), MANY - 40);
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), MANY - 40);
	ck_assert_uint_eq(stats().pages, (MANY - 40) / 2);
	check_sound();
	other_ends();
}
END_TEST

START_TEST(malloc_at_the_limit_uses_slots_cached_by_other_threads)
{
	unsigned int stored = 0;
	unsigned long handle;

	fill(MANY);
	release(store(HALF));
	zbud->set_limit(pool, zbud->total_size(pool));
	other_frees(40);
	ck_assert_uint_gt(cached(), 0);
	while (zbud->malloc(pool, LARGEST, 0, &handle) == 0)
		stored++;
	ck_assert_uint_ge(stored, 18);
	ck_assert_uint_eq(cached(), 0);
	check_sound();
	other_ends();
}
END_TEST

static bool commit_is_slow;

/* While it fails, another thread that found no memory either puts all cached slots into their pages. */
static int fail_slowly(void *context, void *address, size_t bytes)
{
	if (!commit_is_slow)
		return zp_os_pages.commit(context, address, bytes);
	commit_is_slow = false;
	zbud_cached_put(pool);
	return -ENOMEM;
}

START_TEST(malloc_finds_slots_that_another_thread_put_into_pages_meanwhile)
{
	struct harness own;
	struct zpool_create_args args = harness_args(&own, zbud);
	struct zpool_page_source table = zp_os_pages;
	void *fixture_pool = pool;
	unsigned long handle;

	table.commit = fail_slowly;
	args.page_source = &table;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	pool = own.pool;
	fill(20);
	other_frees(2);
	ck_assert_uint_eq(cached(), 2);
	/* This object gets the last page of the reserve. */
	(void)store(LARGEST);
	commit_is_slow = true;
	ck_assert_int_eq(zbud->malloc(pool, LARGEST, 0, &handle), 0);
	ck_assert(!commit_is_slow);
	ck_assert_uint_eq(cached(), 0);
	check_sound();
	other_ends();
	zbud->destroy(pool);
	pool = fixture_pool;
}
END_TEST

/* A thread frees so many objects, then stores as many. */
struct replacement {
	unsigned int objects; /* in the pool */
	unsigned int at_once, rounds;
	unsigned int stored;
};

static void *replace(void *replacement_)
{
	struct replacement *replacement = replacement_;

	for (unsigned int round = 0; round < replacement->rounds; round++) {
		unsigned long *replaced = handles + round * replacement->at_once;

		for (unsigned int i = 0; i < replacement->at_once; i++)
			release(replaced[i]);
		for (unsigned int i = 0; i < replacement->at_once; i++)
			replacement->stored += zbud->malloc(pool, LARGEST, 0, &replaced[i]) == 0;
	}
	return NULL;
}

/*
 * In a small pool (0), thread caches take nothing of what was freed.  In a large one (1), a new thread may get its
 * cache, but not before it has stored an object again.
 */
START_TEST(new_thread_can_replace_objects_at_the_limit)
{
	struct replacement replacements[] = { { .objects = 100, .at_once = 3, .rounds = 1 },
					      { .objects = 600, .at_once = 1, .rounds = 3 } };
	struct replacement *replacement = &replacements[_i];

	for (unsigned int i = 0; i < replacement->objects; i++)
		handles[i] = store(LARGEST);
	zbud->set_limit(pool, zbud->total_size(pool));
	unit_require(pthread_create(&other, NULL, replace, replacement) == 0);
	unit_require(pthread_join(other, NULL) == 0);
	ck_assert_uint_eq(replacement->stored, replacement->at_once * replacement->rounds);
	check_sound();
}
END_TEST

static void *replace_one_of_two(void *got_cache)
{
	release(handles[0]);
	release(handles[1]);
	unit_require(!own_cache());
	handles[0] = store(LARGEST);
	*(bool *)got_cache = own_cache() != NULL;
	return NULL;
}

START_TEST(new_thread_gets_a_cache_in_a_large_pool_at_its_limit)
{
	bool got_cache = false;

	for (unsigned int i = 0; i < 600; i++)
		handles[i] = store(LARGEST);
	zbud->set_limit(pool, zbud->total_size(pool));
	unit_require(pthread_create(&other, NULL, replace_one_of_two, &got_cache) == 0);
	unit_require(pthread_join(other, NULL) == 0);
	ck_assert(got_cache);
	check_sound();
}
END_TEST

START_TEST(ending_thread_caches_nothing)
{
	struct zbud_pool *inside = pool;

	fill(MANY);
	other_frees(40);
	ck_assert_uint_gt(cached(), 0);
	other_ends();
	ck_assert_uint_eq(cached(), 0);
	ck_assert_uint_eq(used(), MANY - 40);
	check_sound();
	trim();
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
	unsigned long handle, first = store(HALF);

	release(first);
	for (int i = 0; i < LIVES; i++) {
		unit_require(zbud->malloc(pool, HALF, 0, &handle) == 0);
		unit_require(!ZP_HANDLE_RETIRE || handle != first);
		release(handle);
	}
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_int_eq(zbud->free(pool, first), -EINVAL);
	trim();
	ck_assert_uint_eq(stats().pages, 0);
	ck_assert_uint_eq(zp_handles_taken(&((struct zbud_pool *)pool)->handles), 0);
}
END_TEST

START_TEST(thread_works_without_a_cache_if_memory_is_short)
{
	struct zbud_pool *inside = pool;
	unsigned long handle = 0;

	ck_assert_int_eq(zbud->malloc(pool, HALF, 0, &handle), 0);
	zbud->set_limit(pool, zbud->total_size(pool));
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(zbud->free(pool, handle), 0);
		ck_assert_int_eq(zbud->malloc(pool, HALF, 0, &handle), 0);
	}
	ck_assert_ptr_null(inside->caches.first);
	check_sound();
	zbud->set_limit(pool, 0);
	release(handle);
	ck_assert_ptr_nonnull(inside->caches.first);
}
END_TEST

/* ---- eviction ---- */

/* Threads cache both slots of the oldest page (2), one of them (1), or none (0). */
START_TEST(shrink_does_not_evict_cached_slots)
{
	fill(MANY);
	other_frees((unsigned int)_i);
	ck_assert_uint_eq(cached(), (unsigned int)_i);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 2 - (unsigned int)_i);
	for (unsigned int i = 0; i < evictor.asked; i++)
		ck_assert_uint_eq(evictor.handles[i], handles[(unsigned int)_i + i]);
	ck_assert_uint_eq(stats().evictions, 2 - (unsigned int)_i);
	ck_assert_uint_eq(stats().pages, MANY / 2 - 1);
	ck_assert_uint_eq(stats().objects, MANY - 2);
	ck_assert_uint_eq(cached(), 0);
	check_sound();
	other_ends();
}
END_TEST

START_TEST(object_in_a_cached_slot_makes_its_page_young)
{
	fill(20);
	release(handles[19]);
	handles[19] = store(HALF);
	release(handles[0]);
	handles[0] = store(HALF);
	ck_assert_ptr_eq(page_of(handles[0]), page_of(handles[1]));
	ck_assert_uint_eq(shrink(9, 0), 9);
	ck_assert_uint_eq(evictor.handles[0], handles[2]);
	ck_assert(is_intact(handles[0], HALF) && is_intact(handles[1], HALF));
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.handles[18], handles[0]);
	ck_assert_uint_eq(stats().objects, 0);
}
END_TEST

static int evict_caches_nothing(unsigned long handle)
{
	uint32_t before = cached();

	release(handle);
	unit_require(own_cache() && cached() == before);
	return 0;
}

START_TEST(evict_callback_caches_nothing)
{
	fill(MANY);
	release(handles[MANY - 1]);
	release(handles[MANY - 2]);
	ck_assert_uint_gt(cached(), 0);
	evictor.act = evict_caches_nothing;
	ck_assert_uint_eq(shrink(20, 0), 20);
	ck_assert_uint_eq(evictor.asked, 40);
	check_sound();
}
END_TEST

START_TEST(verify_finds_damaged_caches)
{
	struct zp_magazine *magazine;
	uint32_t kept;

	fill(MANY);
	for (unsigned int i = 0; i < 10; i++)
		release(handles[i]);
	magazine = &own_cache()->magazines[HALF_CHUNKS];
	kept = magazine->items[0];
	ck_assert_uint_gt(zp_magazine_count(magazine), 1);
	/* These are the handle slot of a live object, one beyond the table, and no slot. */
	const uint32_t wrong[] = { zp_handle_slot(handles[MANY - 1]), UINT32_MAX, ZP_SLOT_NONE };
	for (int i = 0; i < 3; i++) {
		magazine->items[0] = wrong[i];
		ck_assert_int_eq(zbud->verify(pool), -EUCLEAN);
		ck_assert_ptr_nonnull(strstr(harness.error, "caches a slot that is not its own"));
	}
	magazine->items[0] = kept;
	check_sound();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zbud, caches");
	TCase *plain = tcase_create("caches"), *evicting = tcase_in(suite, "eviction");

	tcase_add_checked_fixture(plain, setup_plain, teardown);
	tcase_set_timeout(plain, 300);
	suite_add_tcase(suite, plain);
	tcase_add_test(plain, thread_reuses_the_slot_that_it_freed_last);
	tcase_add_test(plain, cached_slots_need_no_lock);
	tcase_add_test(plain, number_of_cached_slots_is_limited_by_the_size_class);
	tcase_add_loop_test(plain, free_does_not_enlarge_the_pool, ZBUD_CACHED_FROM_SLOTS, 24);
	tcase_add_test(plain, cache_of_a_thread_takes_4096_bytes);
	tcase_add_test(plain, cached_slots_do_not_count_as_objects);
	tcase_add_test(plain, trim_releases_slots_cached_by_other_threads);
	tcase_add_test(plain, malloc_at_the_limit_uses_slots_cached_by_other_threads);
	tcase_add_test(plain, malloc_finds_slots_that_another_thread_put_into_pages_meanwhile);
	tcase_add_loop_test(plain, new_thread_can_replace_objects_at_the_limit, 0, 2);
	tcase_add_test(plain, new_thread_gets_a_cache_in_a_large_pool_at_its_limit);
	tcase_add_test(plain, ending_thread_caches_nothing);
	tcase_add_test(plain, slot_is_reused_after_its_handle);
	tcase_add_test(plain, thread_works_without_a_cache_if_memory_is_short);
	tcase_add_test(plain, verify_finds_damaged_caches);
	tcase_add_test(evicting, thread_reuses_the_slot_that_it_freed_last);
	tcase_add_test(evicting, trim_releases_slots_cached_by_other_threads);
	tcase_add_loop_test(evicting, shrink_does_not_evict_cached_slots, 0, 3);
	tcase_add_test(evicting, object_in_a_cached_slot_makes_its_page_young);
	tcase_add_test(evicting, evict_callback_caches_nothing);
	tcase_add_test(evicting, verify_finds_damaged_caches);
	return suite_run(suite);
}
