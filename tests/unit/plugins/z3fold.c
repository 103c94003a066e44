/* SPDX-License-Identifier: MIT
 *
 * The geometry of pages, their density, and calls that lack memory.
 */
#include <config.h>

#include "z3fold_fixture.h"

#include "strict_source.h"

START_TEST(sizes_at_the_boundaries_work)
{
	unsigned long handle = 12345;

	ck_assert_int_eq(z3fold->malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_int_eq(z3fold->malloc(pool, 4097, 0, &handle), -ENOSPC);
	ck_assert_int_eq(z3fold->malloc(pool, SIZE_MAX, 0, &handle), -ENOSPC);
	ck_assert_uint_eq(handle, 12345);
	for (size_t size = 1; size <= 4096; size++) {
		handle = store(size);
		unit_require(z3fold->obj_size(pool, handle) == (int64_t)(size + 63) / 64 * 64);
		unit_require(is_intact(handle, size));
		release(handle);
	}
	ck_assert_uint_eq(stats().pages, 0);
	ck_assert_uint_eq(stats().stored_bytes, 0);
}
END_TEST

START_TEST(page_is_filled_first_then_last_then_middle)
{
	unsigned long first = store_chunks(10), last = store_chunks(12), middle = store_chunks(20);
	unsigned long fourth = store_chunks(1);

	ck_assert_uint_eq(page_of(first), page_of(last));
	ck_assert_uint_eq(page_of(first), page_of(middle));
	ck_assert_uint_ne(page_of(first), page_of(fourth));
	ck_assert_uint_eq(chunk_of(first), 0);
	ck_assert_uint_eq(chunk_of(last), 64 - 12);
	ck_assert_uint_eq(chunk_of(middle), 10);
	ck_assert_int_eq(buddy_of(first), Z3FOLD_FIRST);
	ck_assert_int_eq(buddy_of(middle), Z3FOLD_MIDDLE);
	ck_assert_int_eq(buddy_of(last), Z3FOLD_LAST);
	ck_assert(chunks_are_intact(first, 10) && chunks_are_intact(middle, 20) && chunks_are_intact(last, 12));
	ck_assert_uint_eq(stats().pages, 2);
}
END_TEST

START_TEST(page_is_used_to_its_last_chunk)
{
	unsigned long large = store_chunks(63), small = store_chunks(1), first = store_chunks(1);
	unsigned long last = store_chunks(61), middle = store_chunks(2);

	ck_assert_uint_eq(page_of(large), page_of(small));
	ck_assert_uint_eq(page_of(first), page_of(last));
	ck_assert_uint_eq(page_of(first), page_of(middle));
	ck_assert_uint_eq(stats().pages, 2);
	ck_assert(chunks_are_intact(large, 63) && chunks_are_intact(small, 1));
	ck_assert(chunks_are_intact(first, 1) && chunks_are_intact(last, 61) && chunks_are_intact(middle, 2));
}
END_TEST

START_TEST(object_of_page_size_has_a_page_alone)
{
	unsigned long headless = store(4096), also = store(4033), small = store(1);

	ck_assert_uint_eq(stats().pages, 3);
	ck_assert(is_intact(headless, 4096) && is_intact(also, 4033) && is_intact(small, 1));
	ck_assert_uint_eq(stats().free_slots, 2);
	release(headless);
	ck_assert_uint_eq(stats().pages, 2);
}
END_TEST

START_TEST(object_goes_to_the_tightest_gap)
{
	unsigned long wide = store_chunks(33), tight = store_chunks(40), tighter = store_chunks(50), object;

	object = store_chunks(13);
	ck_assert_uint_eq(page_of(object), page_of(tighter));
	object = store_chunks(23);
	ck_assert_uint_eq(page_of(object), page_of(tight));
	object = store_chunks(30);
	ck_assert_uint_eq(page_of(object), page_of(wide));
	/* The object becomes the third one in a page whose room is 1. */
	(void)store_chunks(1);
	ck_assert_uint_eq(stats().pages, 3);
	check_sound();
}
END_TEST

START_TEST(every_combination_of_three_sizes_and_frees_works)
{
	static const unsigned int sizes[] = { 1, 2, 3, 4, 10, 20, 21, 22, 31, 32, 33, 42, 60, 61, 62, 63, 64 };
	enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

	for (unsigned int i = 0; i < SIZES * SIZES * SIZES; i++) {
		unsigned int chunks[3] = { sizes[i % SIZES], sizes[i / SIZES % SIZES], sizes[i / SIZES / SIZES] };

		for (unsigned int freed = 0; freed < 3; freed++) {
			unsigned long handle[3];

			for (unsigned int k = 0; k < 3; k++)
				handle[k] = store_chunks(chunks[k]);
			release(handle[freed]);
			check_sound();
			handle[freed] = store_chunks(chunks[(freed + 1) % 3]);
			unit_require(chunks_are_intact(handle[freed], chunks[(freed + 1) % 3]));
			for (unsigned int k = 1; k < 3; k++)
				unit_require(chunks_are_intact(handle[(freed + k) % 3], chunks[(freed + k) % 3]));
			check_sound();
			for (unsigned int k = 0; k < 3; k++)
				release(handle[k]);
			unit_require(stats().pages == 0);
		}
	}
}
END_TEST

/*
 * The number of pages, out of 10,000 pages of a heap, that compress to 0, 1, 2, ... chunks. Rounding makes the sums
 * slightly less than 10,000.
 */
static const uint16_t heap_lz4[64] = { 0,    0,    3,   56,  195, 166,  67,  16,  14,  22,  33,  37, 32, 58, 168, 303,
				       1077, 1100, 554, 751, 930, 1006, 465, 444, 184, 207, 362, 91, 26, 36, 37,  31,
				       73,   593,  144, 34,  36,  25,   25,  82,  18,  12,  15,  6,  4,  4,  2,   2,
				       1,    5,    42,  92,  3,   7,    204, 94,  7,   0,   0,   0,  0,  0,  0,   0 };
static const uint16_t heap_zstd[64] = { 0,  0,  64, 179, 248, 79, 983, 68,  216, 534, 1812, 1193, 477, 1190, 1001, 250,
					49, 22, 27, 29,  722, 48, 49,  52,  46,  44,  35,   28,   28,  24,   18,   10,
					6,  3,  2,  2,   8,   10, 10,  109, 11,  9,   29,   245,  31,  0,    0,    0,
					0,  0,  0,  0,   0,   0,  0,   0,   0,   0,   0,    0,    0,   0,    0,    0 };

static unsigned int draw_chunks(struct unit_random *random, const uint16_t *heap)
{
	for (;;) {
		uint32_t at = unit_below(random, 10000);

		for (unsigned int chunks = 1; chunks < 64; chunks++) {
			if (at < heap[chunks])
				return chunks;
			at -= heap[chunks];
		}
	}
}

enum { HEAP_OBJECTS = 100000 };

static unsigned long heap_handles[HEAP_OBJECTS];

/* Returns the number of objects in a hundred pages. */
static uint64_t density(void)
{
	return stats().objects * 100 / stats().pages;
}

static void store_heap(struct unit_random *random, const uint16_t *heap)
{
	for (unsigned int i = 0; i < HEAP_OBJECTS; i++)
		unit_require(z3fold->malloc(pool, draw_chunks(random, heap) * CHUNK, 0, &heap_handles[i]) == 0);
}

static void replace_heap(struct unit_random *random, const uint16_t *heap)
{
	for (unsigned int i = 0; i < 2 * HEAP_OBJECTS; i++) {
		unsigned int k = unit_below(random, HEAP_OBJECTS);

		release(heap_handles[k]);
		unit_require(z3fold->malloc(pool, draw_chunks(random, heap) * CHUNK, 0, &heap_handles[k]) == 0);
	}
}

START_TEST(compressed_heaps_are_stored_densely)
{
	struct unit_random random = unit_seed("compressed_heaps_are_stored_densely");
	const uint16_t *heap = _i ? heap_zstd : heap_lz4;
	uint64_t least = _i ? 295 : 265;

	store_heap(&random, heap);
	printf("# %s: %d.%02d objects per page", _i ? "zstd" : "lz4", (int)density() / 100, (int)density() % 100);
	ck_assert_uint_ge(density(), least);
	replace_heap(&random, heap);
	printf(", %d.%02d after replacements", (int)density() / 100, (int)density() % 100);
	ck_assert_uint_ge(density(), least);
	for (unsigned int i = 0; i < HEAP_OBJECTS; i++)
		if (unit_below(&random, 4))
			release(heap_handles[i]);
	(void)compact(0, 0);
	printf(", %d.%02d after freeing three quarters\n", (int)density() / 100, (int)density() % 100);
	ck_assert_uint_ge(density(), least);
}
END_TEST

START_TEST(stale_handles_are_refused_everywhere)
{
	unsigned long handle = store(100), other = store(200);

	release(handle);
	ck_assert_int_eq(z3fold->free(pool, handle), -EINVAL);
	ck_assert_int_eq(z3fold->free(pool, 0), -EINVAL);
	ck_assert_ptr_null(z3fold->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(z3fold->unmap(pool, handle), -EINVAL);
	ck_assert_int_eq(z3fold->unmap(pool, other), -EINVAL);
	ck_assert_int_eq(z3fold->obj_size(pool, handle), -EINVAL);
	pin(other);
	ck_assert_int_eq(z3fold->free(pool, other), -EBUSY);
	unpin(other);
	ck_assert_uint_eq(stats().refused_handles, 3);
	ck_assert(is_intact(other, 200));
}
END_TEST

START_TEST(zeroed_objects_are_zero_in_used_pages)
{
	for (unsigned int i = 0; i < 200; i++)
		release(store(1 + i * 20));
	for (unsigned int i = 1; i < 64; i += 7) {
		unsigned long handle;
		const char *at;

		ck_assert_int_eq(z3fold->malloc(pool, i * CHUNK, ZPOOL_GFP_ZERO, &handle), 0);
		at = z3fold->map(pool, handle, ZPOOL_MM_RO);
		for (unsigned int k = 0; k < i * CHUNK; k++)
			unit_require(at[k] == 0);
		unpin(handle);
	}
}
END_TEST

static int add_size(unsigned long handle, size_t size, void *sum)
{
	unit_require(z3fold->obj_size(pool, handle) == (int64_t)size);
	*(uint64_t *)sum += size;
	return 0;
}

static int stop(unsigned long handle, size_t size, void *calls)
{
	(void)handle;
	(void)size;
	return ++*(int *)calls == 3 ? 42 : 0;
}

START_TEST(walk_sees_every_object)
{
	uint64_t sum = 0;
	int calls = 0;

	for (unsigned int i = 1; i < 500; i++)
		(void)store(i);
	ck_assert_int_eq(z3fold->each_object(pool, add_size, &sum), 0);
	ck_assert_uint_eq(sum, stats().stored_bytes);
	ck_assert_int_eq(z3fold->each_object(pool, stop, &calls), 42);
	ck_assert_int_eq(calls, 3);
}
END_TEST

/* ---- missing memory ---- */

START_TEST(nowait_uses_only_committed_memory)
{
	unsigned long handle, kept[3];

	/* A new pool has neither a slot of the handle table nor a page. */
	ck_assert_int_eq(z3fold->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	(void)store_chunks(30);
	ck_assert_int_eq(z3fold->malloc(pool, 30 * CHUNK, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_int_eq(z3fold->malloc(pool, 4 * CHUNK, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_int_eq(z3fold->malloc(pool, CHUNK, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	for (int i = 0; i < 3; i++)
		kept[i] = store(4096);
	for (int i = 0; i < 3; i++)
		release(kept[i]);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(z3fold->malloc(pool, 4096, ZPOOL_GFP_NOWAIT, &kept[i]), 0);
	ck_assert_int_eq(z3fold->malloc(pool, 4096, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	zp_lock(&pool->lock);
	ck_assert_int_eq(z3fold->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	zp_unlock(&pool->lock);
	ck_assert_uint_eq(stats().malloc_failed_again, 1);
	ck_assert_uint_eq(stats().malloc_failed_memory, 3);
	ck_assert_uint_eq(stats().malloc_failed_limit, 0);
}
END_TEST

START_TEST(nowait_moves_a_middle_object_to_make_space)
{
	unsigned long first = store_chunks(10), last = store_chunks(32), middle = store_chunks(20), handle;

	release(first);
	ck_assert_uint_eq(chunk_of(middle), 10);
	ck_assert_int_eq(z3fold->malloc(pool, 12 * CHUNK, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_uint_eq(page_of(handle), page_of(middle));
	ck_assert(chunks_are_intact(middle, 20) && chunks_are_intact(last, 32));
}
END_TEST

START_TEST(nowait_defers_a_page_without_a_record)
{
	unsigned long handle = 0;
	uint64_t released;
	uint32_t pgno, slot;

	/* The reserve has a page whose record is not committed, and the handle table has a slot. */
	ck_assert_int_eq(zp_pages_get(&pool->pages, 1, 0, &pgno), 0);
	zp_pages_put(&pool->pages, pgno, 1);
	ck_assert_int_eq(zp_handles_bind(&pool->handles, 0, &slot, 1), 1);
	zp_handles_unbind(&pool->handles, &slot, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(z3fold->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	ck_assert_uint_eq(pool->spare_pgno, pgno);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 1);
	ck_assert_uint_eq(zp_handles_taken(&pool->handles), 1);
	check_sound();
	handle = store(64);
	ck_assert_uint_eq(page_of(handle), pgno);
	ck_assert_uint_eq(pool->spare_pgno, ZP_PGNO_NONE);
	release(handle);
	/* Trim decommits records, and returns the page and the slot that a NOWAIT call got but could not use. */
	ck_assert_int_eq(z3fold->trim(pool, &released), 0);
	ck_assert_int_eq(zp_pages_get(&pool->pages, 1, 0, &pgno), 0);
	zp_pages_put(&pool->pages, pgno, 1);
	ck_assert_int_eq(zp_handles_bind(&pool->handles, 0, &slot, 1), 1);
	zp_handles_unbind(&pool->handles, &slot, 1);
	ck_assert_int_eq(z3fold->malloc(pool, 64, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	ck_assert_uint_eq(pool->spare_pgno, pgno);
	ck_assert_int_eq(z3fold->trim(pool, &released), 0);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 0);
	ck_assert_uint_eq(zp_handles_taken(&pool->handles), 0);
}
END_TEST

START_TEST(limit_holds_exactly_and_at_run_time)
{
	uint64_t before = z3fold->total_size(pool), held;
	unsigned long handle, last = 0;

	ck_assert_int_eq(z3fold->set_limit(pool, before + (1 << 20)), 0);
	while (z3fold->malloc(pool, 4096, 0, &handle) == 0)
		last = handle;
	held = z3fold->total_size(pool);
	ck_assert_uint_le(held, before + (1 << 20));
	ck_assert_uint_gt(held, before + (1 << 20) - 4096);
	ck_assert_uint_eq(stats().malloc_failed_limit, 1);
	ck_assert_uint_eq(stats().malloc_failed_memory, 0);
	release(last);
	ck_assert_int_eq(z3fold->malloc(pool, 4096, 0, &handle), 0);
	ck_assert_int_eq(z3fold->set_limit(pool, 0), 0);
	ck_assert_int_eq(z3fold->malloc(pool, 4096, 0, &handle), 0);
	ck_assert_uint_eq(stats().pool_bytes_peak, z3fold->total_size(pool));
}
END_TEST

START_TEST(limit_too_small_for_a_pool_is_explained)
{
	struct harness small;
	struct zpool_create_args args = harness_args(&small, z3fold);

	args.limit_bytes = 1000;
	ck_assert_int_eq(harness_create(&small, &args), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(small.error, "1000 bytes"));
}
END_TEST

START_TEST(trim_releases_everything_unused)
{
	static unsigned long handle[3000];
	uint64_t start = z3fold->total_size(pool), released;

	for (int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 3000; i++)
			handle[i] = store(4096);
		for (unsigned int i = 0; i < 3000; i++)
			release(handle[i]);
		ck_assert_int_eq(z3fold->trim(pool, &released), 0);
		/* The records of segments and groups and of the table of pages remain. */
		ck_assert_uint_le(z3fold->total_size(pool), start + (40 << 10));
		check_sound();
	}
}
END_TEST

START_TEST(reserve_can_be_chosen_and_changed)
{
	struct zpool_value value = { .key = "reserve", .number = 100 * 4096, .given = 1 };
	struct harness own;
	struct zpool_create_args args = harness_args(&own, z3fold);
	static unsigned long handle[500];
	uint64_t held;

	args.values = &value;
	args.value_count = 1;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(z3fold->malloc(own.pool, 4096, 0, &handle[i]), 0);
	held = z3fold->total_size(own.pool);
	for (int i = 0; i < 100; i++)
		z3fold->free(own.pool, handle[i]);
	ck_assert_uint_eq(z3fold->total_size(own.pool), held);
	value.number = 10 * 4096;
	ck_assert_int_eq(z3fold->set(own.pool, 0, &value), 0);
	ck_assert_uint_eq(z3fold->total_size(own.pool), held - 90 * 4096);
	ck_assert_int_eq(z3fold->set(own.pool, 1, &value), -EINVAL);
	z3fold->destroy(own.pool);
}
END_TEST

START_TEST(host_page_source_supplies_all_held_memory)
{
	struct strict_source source;
	struct harness own;
	struct zpool_create_args args = harness_args(&own, z3fold);
	static unsigned long handle[3000];
	uint64_t released;

	strict_source_init(&source);
	args.page_source = &source.table;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	for (int i = 0; i < 3000; i++)
		unit_require(z3fold->malloc(own.pool, (size_t)(i + 1), ZPOOL_GFP_ZERO, &handle[i]) == 0);
	ck_assert_uint_eq(z3fold->total_size(own.pool),
			  atomic_load(&source.committed_bytes) + sizeof(struct z3fold_pool));
	for (int i = 0; i < 3000; i += 2)
		unit_require(z3fold->free(own.pool, handle[i]) == 0);
	ck_assert_int_eq(z3fold->verify(own.pool), 0);
	ck_assert_uint_eq(z3fold->total_size(own.pool),
			  atomic_load(&source.committed_bytes) + sizeof(struct z3fold_pool));
	/* If the source cannot decommit memory, the pool keeps it. */
	atomic_store(&source.refuse_decommit, true);
	ck_assert_int_eq(z3fold->trim(own.pool, &released), 0);
	ck_assert_uint_eq(z3fold->total_size(own.pool),
			  atomic_load(&source.committed_bytes) + sizeof(struct z3fold_pool));
	atomic_store(&source.refuse_decommit, false);
	atomic_store(&source.commits_left, 0);
	for (int i = 0; i < 3000; i++)
		if (z3fold->malloc(own.pool, 4096, 0, &handle[i]) == -ENOMEM)
			break;
	ck_assert_int_eq(z3fold->malloc(own.pool, 4096, 0, &handle[0]), -ENOMEM);
	ck_assert_int_eq(z3fold->verify(own.pool), 0);
	z3fold->destroy(own.pool);
	ck_assert(strict_source_fini(&source));
}
END_TEST

START_TEST(failed_commits_lose_neither_pages_nor_slots)
{
	struct strict_source source;
	struct harness own;
	struct zpool_create_args args = harness_args(&own, z3fold);
	struct z3fold_pool *inside;
	unsigned long handle;
	int commits = 0;

	strict_source_init(&source);
	args.page_source = &source.table;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	inside = own.pool;
	/*
	 * Committed memory stays committed, and each try may commit one more time. So each step of a malloc fails once.
	 */
	for (; commits < 50; commits++) {
		atomic_store(&source.commits_left, commits ? 1 : 0);
		if (z3fold->malloc(own.pool, 100, 0, &handle) == 0)
			break;
		ck_assert_uint_eq(zp_handles_taken(&inside->handles), 0);
		ck_assert_uint_eq(zp_pages_handed_out(&inside->pages), 0);
		ck_assert_int_eq(z3fold->verify(own.pool), 0);
	}
	ck_assert_int_ge(commits, 3);
	ck_assert_int_lt(commits, 50);
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), 1);
	z3fold->destroy(own.pool);
	ck_assert(strict_source_fini(&source));
}
END_TEST

static TCase *tcase_in(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("plugins/z3fold");
	TCase *objects = tcase_in(suite, "objects"), *limits = tcase_in(suite, "limits");

	tcase_add_test(objects, sizes_at_the_boundaries_work);
	tcase_add_test(objects, page_is_filled_first_then_last_then_middle);
	tcase_add_test(objects, page_is_used_to_its_last_chunk);
	tcase_add_test(objects, object_of_page_size_has_a_page_alone);
	tcase_add_test(objects, object_goes_to_the_tightest_gap);
	tcase_add_test(objects, every_combination_of_three_sizes_and_frees_works);
	tcase_add_loop_test(objects, compressed_heaps_are_stored_densely, 0, 2);
	tcase_add_test(objects, stale_handles_are_refused_everywhere);
	tcase_add_test(objects, zeroed_objects_are_zero_in_used_pages);
	tcase_add_test(objects, walk_sees_every_object);
	tcase_add_test(limits, nowait_uses_only_committed_memory);
	tcase_add_test(limits, nowait_moves_a_middle_object_to_make_space);
	tcase_add_test(limits, nowait_defers_a_page_without_a_record);
	tcase_add_test(limits, limit_holds_exactly_and_at_run_time);
	tcase_add_test(limits, limit_too_small_for_a_pool_is_explained);
	tcase_add_test(limits, trim_releases_everything_unused);
	tcase_add_test(limits, reserve_can_be_chosen_and_changed);
	tcase_add_test(limits, host_page_source_supplies_all_held_memory);
	tcase_add_test(limits, failed_commits_lose_neither_pages_nor_slots);
	add_damage_tests(suite);
	add_move_tests(suite);
	add_shrink_tests(suite);
	add_thread_tests(suite);
	return suite_run(suite);
}
