/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "zbud_fixture.h"

#include "strict_source.h"

START_TEST(sizes_at_the_boundaries_work)
{
	unsigned long handle = 12345;

	ck_assert_int_eq(zbud->malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_int_eq(zbud->malloc(pool, LARGEST + 1, 0, &handle), -ENOSPC);
	ck_assert_int_eq(zbud->malloc(pool, SIZE_MAX, 0, &handle), -ENOSPC);
	ck_assert_uint_eq(handle, 12345);
	ck_assert_uint_eq(LARGEST, 3968);
	for (size_t size = 1; size <= LARGEST; size += size < 130 ? 1 : 61) {
		int64_t usable;

		handle = store(size);
		usable = zbud->obj_size(pool, handle);
		ck_assert_int_ge(usable, (int64_t)size);
		ck_assert_int_lt(usable, (int64_t)size + 64);
		ck_assert(is_intact(handle, size));
		ck_assert_int_eq(zbud->free(pool, handle), 0);
	}
	handle = store(LARGEST);
	ck_assert(is_intact(handle, LARGEST));
}
END_TEST

START_TEST(two_objects_share_a_page_and_never_three)
{
	unsigned long first = store(HALF), last = store(HALF + 64), third = store(65), fourth = store(LARGEST);

	ck_assert_ptr_eq(page_of(first), page_of(last));
	ck_assert_ptr_ne(page_of(first), page_of(third));
	ck_assert_ptr_ne(page_of(third), page_of(fourth));
	ck_assert_uint_eq(stats().pages, 3);
	/* The first object begins right behind the header, and the last one ends at the end of the page. */
	ck_assert_uint_eq((uintptr_t)zbud->map(pool, first, ZPOOL_MM_RO) % 4096, 64);
	ck_assert_uint_eq((uintptr_t)zbud->map(pool, last, ZPOOL_MM_RO) % 4096, 4096 - (HALF + 64));
	zbud->unmap(pool, first);
	zbud->unmap(pool, last);
	ck_assert(is_intact(first, HALF) && is_intact(last, HALF + 64));
}
END_TEST

START_TEST(object_goes_to_the_tightest_gap)
{
	unsigned long wide = store(33 * 64), tight = store(40 * 64), tighter = store(50 * 64), object;

	object = store(13 * 64);
	ck_assert_ptr_eq(page_of(object), page_of(tighter));
	object = store(23 * 64);
	ck_assert_ptr_eq(page_of(object), page_of(tight));
	object = store(30 * 64);
	ck_assert_ptr_eq(page_of(object), page_of(wide));
	object = store(64);
	ck_assert_uint_eq(stats().pages, 4);
	check_sound();
	ck_assert_int_eq(zbud->free(pool, object), 0);
	ck_assert_uint_eq(stats().pages, 3);
}
END_TEST

START_TEST(space_of_a_freed_object_is_reused)
{
	unsigned long first = store(HALF), last = store(HALF), other;
	void *page = page_of(first);
	uint64_t released;

	ck_assert_int_eq(zbud->free(pool, first), 0);
	other = store(HALF + 64);
	ck_assert_ptr_eq(page_of(other), page);
	ck_assert_int_eq(zbud->free(pool, last), 0);
	/* The thread caches the slot until trim frees it. */
	ck_assert_int_eq(zbud->trim(pool, &released), 0);
	last = store(10);
	ck_assert_ptr_eq(page_of(last), page);
	ck_assert(is_intact(other, HALF + 64));
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

START_TEST(stale_handles_are_refused_everywhere)
{
	unsigned long handle = store(50);

	ck_assert_int_eq(zbud->free(pool, handle), 0);
	ck_assert_int_eq(zbud->free(pool, handle), -EINVAL);
	(void)store(50);
	errno = 0;
	ck_assert_ptr_null(zbud->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(zbud->unmap(pool, handle), -EINVAL);
	ck_assert_int_eq(zbud->obj_size(pool, handle), -EINVAL);
	ck_assert_int_eq(zbud->free(pool, handle), -EINVAL);
	ck_assert_uint_eq(stats().refused_handles, 2);
	ck_assert_uint_eq(stats().objects, 1);
}
END_TEST

START_TEST(zeroed_objects_are_zero_in_used_pages)
{
	for (int round = 0; round < 50; round++) {
		unsigned long dirty[2] = { store(HALF), store(HALF) }, handle;
		const char *at;

		zbud->free(pool, dirty[0]);
		zbud->free(pool, dirty[1]);
		unit_require(zbud->malloc(pool, LARGEST - 40, ZPOOL_GFP_ZERO, &handle) == 0);
		at = zbud->map(pool, handle, ZPOOL_MM_RO);
		for (int64_t i = 0; i < zbud->obj_size(pool, handle); i++)
			unit_require(at[i] == 0);
		zbud->unmap(pool, handle);
		zbud->free(pool, handle);
	}
}
END_TEST

static int sum_object(unsigned long handle, size_t size, void *user)
{
	uint64_t *sums = user;

	ck_assert_int_eq(zbud->obj_size(pool, handle), (int64_t)size);
	sums[0]++;
	sums[1] += size;
	return sums[0] == sums[2] ? 42 : 0;
}

START_TEST(walk_sees_every_object)
{
	uint64_t sums[3] = { 0, 0, 0 };

	for (size_t i = 1; i <= 300; i++)
		(void)store(i * 13);
	ck_assert_int_eq(zbud->each_object(pool, sum_object, sums), 0);
	ck_assert_uint_eq(sums[0], 300);
	ck_assert_uint_eq(sums[1], stats().stored_bytes);
	sums[2] = 302;
	ck_assert_int_eq(zbud->each_object(pool, sum_object, sums), 42);
}
END_TEST

START_TEST(nowait_uses_free_slots_and_the_reserve)
{
	unsigned long handle, room, kept[3];

	ck_assert_int_eq(zbud->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	room = store(HALF);
	ck_assert_int_eq(zbud->malloc(pool, HALF, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_ptr_eq(page_of(room), page_of(handle));
	ck_assert_int_eq(zbud->malloc(pool, HALF, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	for (int i = 0; i < 3; i++)
		kept[i] = store(LARGEST);
	for (int i = 0; i < 3; i++)
		zbud->free(pool, kept[i]);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(zbud->malloc(pool, LARGEST, ZPOOL_GFP_NOWAIT, &kept[i]), 0);
	ck_assert_int_eq(zbud->malloc(pool, LARGEST, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	zp_lock(&((struct zbud_pool *)pool)->lock);
	ck_assert_int_eq(zbud->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	zp_unlock(&((struct zbud_pool *)pool)->lock);
	ck_assert_uint_eq(stats().malloc_failed_again, 1);
	ck_assert_uint_eq(stats().malloc_failed_memory, 3);
}
END_TEST

START_TEST(failures_leak_no_slots_of_the_handle_table)
{
	struct zbud_pool *inside = pool;
	unsigned long handle, kept = store(LARGEST);

	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(zbud->malloc(pool, LARGEST, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	/* The pool may keep one handle slot for the next NOWAIT call, which uses it. */
	ck_assert_uint_le(zp_handles_taken(&inside->handles), 2);
	ck_assert_int_eq(zbud->free(pool, kept), 0);
	ck_assert_int_eq(zbud->malloc(pool, LARGEST, ZPOOL_GFP_NOWAIT, &kept), 0);
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), 1);
	zbud->set_limit(pool, zbud->total_size(pool));
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(zbud->malloc(pool, LARGEST, 0, &handle), -ENOMEM);
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), 1);
}
END_TEST

START_TEST(limit_holds_exactly_and_at_run_time)
{
	uint64_t before = zbud->total_size(pool), held;
	unsigned long handle, last = 0;

	ck_assert_int_eq(zbud->set_limit(pool, before + (1 << 20)), 0);
	while (zbud->malloc(pool, LARGEST, 0, &handle) == 0)
		last = handle;
	held = zbud->total_size(pool);
	ck_assert_uint_le(held, before + (1 << 20));
	ck_assert_uint_gt(held, before + (1 << 20) - 4096);
	ck_assert_int_eq(zbud->free(pool, last), 0);
	ck_assert_int_eq(zbud->malloc(pool, LARGEST, 0, &handle), 0);
	ck_assert_int_eq(zbud->set_limit(pool, 0), 0);
	ck_assert_int_eq(zbud->malloc(pool, LARGEST, 0, &handle), 0);
	ck_assert_uint_eq(stats().pool_bytes_peak, zbud->total_size(pool));
}
END_TEST

START_TEST(limit_too_small_for_a_pool_is_explained)
{
	struct harness small;
	struct zpool_create_args args = harness_args(&small, zbud);

	args.limit_bytes = 1000;
	ck_assert_int_eq(harness_create(&small, &args), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(small.error, "1000 bytes"));
}
END_TEST

START_TEST(reserve_can_be_chosen_and_changed)
{
	struct zpool_value value = { .key = "reserve", .number = 100 * 4096, .given = 1 };
	struct harness own;
	struct zpool_create_args args = harness_args(&own, zbud);
	static unsigned long handle[500];
	uint64_t held, released;

	args.values = &value;
	args.value_count = 1;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	/* Slots that the thread caches would keep their pages in use. */
	harness_occupy_seats(&((struct zbud_pool *)own.pool)->caches);
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(zbud->malloc(own.pool, LARGEST, 0, &handle[i]), 0);
	held = zbud->total_size(own.pool);
	for (int i = 0; i < 100; i++)
		zbud->free(own.pool, handle[i]);
	ck_assert_uint_eq(zbud->total_size(own.pool), held);
	value.number = 10 * 4096;
	ck_assert_int_eq(zbud->set(own.pool, 0, &value), 0);
	ck_assert_uint_eq(zbud->total_size(own.pool), held - 90 * 4096);
	ck_assert_int_eq(zbud->trim(own.pool, &released), 0);
	ck_assert_uint_eq(released, 10 * 4096);
	zbud->destroy(own.pool);
}
END_TEST

START_TEST(host_page_source_supplies_all_held_memory)
{
	struct strict_source source;
	struct harness own;
	struct zpool_create_args args = harness_args(&own, zbud);
	static unsigned long handle[3000];

	strict_source_init(&source);
	args.page_source = &source.table;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	for (int i = 0; i < 3000; i++)
		ck_assert_int_eq(zbud->malloc(own.pool, (size_t)(i % LARGEST + 1), ZPOOL_GFP_ZERO, &handle[i]), 0);
	ck_assert_uint_eq(zbud->total_size(own.pool), atomic_load(&source.committed_bytes) + sizeof(struct zbud_pool));
	for (int i = 0; i < 3000; i += 2)
		ck_assert_int_eq(zbud->free(own.pool, handle[i]), 0);
	ck_assert_int_eq(zbud->verify(own.pool), 0);
	ck_assert_uint_eq(zbud->total_size(own.pool), atomic_load(&source.committed_bytes) + sizeof(struct zbud_pool));
	atomic_store(&source.commits_left, 0);
	for (int i = 0; i < 3000; i++)
		if (zbud->malloc(own.pool, LARGEST, 0, &handle[i]) == -ENOMEM)
			break;
	ck_assert_int_eq(zbud->malloc(own.pool, LARGEST, 0, &handle[0]), -ENOMEM);
	ck_assert_int_eq(zbud->verify(own.pool), 0);
	zbud->destroy(own.pool);
	ck_assert(strict_source_fini(&source));
}
END_TEST

START_TEST(verify_names_what_is_broken)
{
	struct zbud_pool *inside = pool;
	struct zbud_page *page;

	/* The damaged page is examined first, and sound ones after it. */
	(void)store(3968);
	(void)store(3968);
	(void)store(100);
	page = zp_list_entry(inside->lru.next, struct zbud_page, lru);
	page->chunks[ZBUD_FIRST]++;
	ck_assert_int_eq(zbud->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "slots differ"));
	page->chunks[ZBUD_FIRST]--;
	page->handle_slots[ZBUD_FIRST] ^= 1;
	ck_assert_int_eq(zbud->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "handle"));
	page->handle_slots[ZBUD_FIRST] ^= 1;
	inside->used_slots[1]++;
	ck_assert_int_eq(zbud->verify(pool), -EUCLEAN);
	inside->used_slots[1]--;
	inside->unbuddied_mask ^= 1;
	ck_assert_int_eq(zbud->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "the mask of lists with room"));
	inside->unbuddied_mask ^= 1;
	ck_assert_int_eq(zbud->verify(pool), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zbud");
	TCase *objects = tcase_in(suite, "objects"), *pools = tcase_in(suite, "pool");

	tcase_add_test(objects, sizes_at_the_boundaries_work);
	tcase_add_test(objects, two_objects_share_a_page_and_never_three);
	tcase_add_test(objects, object_goes_to_the_tightest_gap);
	tcase_add_test(objects, space_of_a_freed_object_is_reused);
	tcase_add_test(objects, stale_handles_are_refused_everywhere);
	tcase_add_test(objects, zeroed_objects_are_zero_in_used_pages);
	tcase_add_test(objects, walk_sees_every_object);
	tcase_add_test(objects, nowait_uses_free_slots_and_the_reserve);
	tcase_add_test(pools, limit_holds_exactly_and_at_run_time);
	tcase_add_test(pools, failures_leak_no_slots_of_the_handle_table);
	tcase_add_test(pools, limit_too_small_for_a_pool_is_explained);
	tcase_add_test(pools, reserve_can_be_chosen_and_changed);
	tcase_add_test(pools, host_page_source_supplies_all_held_memory);
	tcase_add_test(pools, verify_names_what_is_broken);
	return suite_run(suite);
}
