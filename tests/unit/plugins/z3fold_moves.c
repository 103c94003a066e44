/* SPDX-License-Identifier: MIT
 *
 * z3fold_moves.c - moves inside a page, after a free and by compaction; and objects that a mapping keeps in place
 */
#include <config.h>

#include "z3fold_fixture.h"

/* The three objects of a page, with these sizes in chunks. */
struct trio {
	unsigned long first, middle, last;
};

static struct trio store_trio(unsigned int first, unsigned int middle, unsigned int last)
{
	struct trio trio;

	trio.first = store_chunks(first);
	trio.last = store_chunks(last);
	trio.middle = store_chunks(middle);
	unit_require(page_of(trio.first) == page_of(trio.last) && page_of(trio.first) == page_of(trio.middle));
	unit_require(chunk_of(trio.first) == 0 && chunk_of(trio.middle) == first && chunk_of(trio.last) == 64 - last);
	return trio;
}

START_TEST(middle_object_without_first_moves_next_to_the_last)
{
	struct trio trio = store_trio(10, 20, 12);

	release(trio.first);
	ck_assert_uint_eq(chunk_of(trio.middle), 64 - 12 - 20);
	ck_assert_int_eq(buddy_of(trio.middle), Z3FOLD_MIDDLE);
	ck_assert(chunks_are_intact(trio.middle, 20) && chunks_are_intact(trio.last, 12));
	/* The two holes have become one, and the next object is stored there as the first. */
	trio.first = store_chunks(32);
	ck_assert_uint_eq(chunk_of(trio.first), 0);
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

START_TEST(middle_object_moves_only_to_gain_three_chunks)
{
	struct trio trio = store_trio(10, 20, 64 - 10 - 20 - 2);
	unsigned int last = 64 - 10 - 20 - 2;

	release(trio.first);
	ck_assert_uint_eq(chunk_of(trio.middle), 10);
	trio.first = store_chunks(10);
	ck_assert_uint_eq(chunk_of(trio.first), 0);
	ck_assert(chunks_are_intact(trio.middle, 20) && chunks_are_intact(trio.last, last));
	release(trio.first);
	release(trio.middle);
	release(trio.last);
	trio = store_trio(10, 20, last - 1);
	release(trio.first);
	ck_assert_uint_eq(chunk_of(trio.middle), 13);
	ck_assert(chunks_are_intact(trio.middle, 20) && chunks_are_intact(trio.last, last - 1));
}
END_TEST

START_TEST(malloc_moves_an_object_to_enlarge_a_gap)
{
	struct trio trio = store_trio(10, 20, 32);
	unsigned long wider;

	release(trio.first);
	ck_assert_uint_eq(chunk_of(trio.middle), 10);
	wider = store_chunks(12);
	ck_assert_uint_eq(page_of(wider), page_of(trio.middle));
	ck_assert_uint_eq(chunk_of(wider), 0);
	ck_assert_uint_eq(chunk_of(trio.middle), 12);
	ck_assert(chunks_are_intact(wider, 12) && chunks_are_intact(trio.middle, 20) &&
		  chunks_are_intact(trio.last, 32));
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

START_TEST(sole_middle_object_moves_to_the_first_place)
{
	struct trio trio = store_trio(10, 20, 12);

	release(trio.last);
	ck_assert_uint_eq(chunk_of(trio.middle), 10);
	release(trio.first);
	ck_assert_uint_eq(chunk_of(trio.middle), 0);
	ck_assert_int_eq(buddy_of(trio.middle), Z3FOLD_FIRST);
	ck_assert(chunks_are_intact(trio.middle, 20));
	/* The page can take two more objects again. */
	ck_assert_uint_eq(page_of(store_chunks(24)), page_of(trio.middle));
	ck_assert_uint_eq(page_of(store_chunks(20)), page_of(trio.middle));
}
END_TEST

START_TEST(mapped_middle_object_stays_and_leaves_a_hole_on_each_side)
{
	struct trio trio = store_trio(10, 20, 12);
	unsigned long left, right, elsewhere;

	pin(trio.middle);
	release(trio.first);
	release(trio.last);
	ck_assert_uint_eq(chunk_of(trio.middle), 10);
	ck_assert_int_eq(buddy_of(trio.middle), Z3FOLD_MIDDLE);
	check_sound();
	/* The page has 44 free chunks, but at most 34 of them in one piece. */
	elsewhere = store_chunks(35);
	ck_assert_uint_ne(page_of(elsewhere), page_of(trio.middle));
	release(elsewhere);
	/* The object goes to the smaller of the two holes that suffice. */
	left = store_chunks(10);
	ck_assert_uint_eq(page_of(left), page_of(trio.middle));
	ck_assert_uint_eq(chunk_of(left), 0);
	right = store_chunks(34);
	ck_assert_uint_eq(page_of(right), page_of(trio.middle));
	ck_assert_uint_eq(chunk_of(right), 30);
	ck_assert_uint_eq(chunk_of(trio.middle), 10);
	unpin(trio.middle);
	ck_assert(chunks_are_intact(left, 10) && chunks_are_intact(trio.middle, 20) && chunks_are_intact(right, 34));
}
END_TEST

START_TEST(space_beside_a_mapped_middle_object_is_found_after_unmap)
{
	struct trio trio = store_trio(10, 20, 12);
	unsigned long object;

	pin(trio.middle);
	release(trio.first);
	release(trio.last);
	object = store_chunks(44);
	ck_assert_uint_ne(page_of(object), page_of(trio.middle));
	release(object);
	unpin(trio.middle);
	object = store_chunks(44);
	ck_assert_uint_eq(page_of(object), page_of(trio.middle));
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert(chunks_are_intact(trio.middle, 20) && chunks_are_intact(object, 44));
}
END_TEST

START_TEST(search_skips_only_a_few_blocked_pages)
{
	enum { PAGES = 40 };
	struct trio trio[PAGES];
	unsigned long object;

	for (int i = 0; i < PAGES; i++)
		trio[i] = store_trio(20, 24, 20);
	for (int i = 0; i < PAGES; i++) {
		pin(trio[i].middle);
		release(trio[i].first);
		release(trio[i].last);
	}
	/*
	 * Each page has room for 40 chunks, but its middle object is mapped, except in the page that is tried last.
	 * Each search tries eight pages.
	 */
	unpin(trio[0].middle);
	for (int searches = 1; searches < PAGES / Z3FOLD_FIND_TRIES; searches++) {
		object = store_chunks(40);
		ck_assert_uint_ne(page_of(object), page_of(trio[0].middle));
		ck_assert_uint_eq(stats().pages, PAGES + searches);
	}
	object = store_chunks(40);
	ck_assert_uint_eq(page_of(object), page_of(trio[0].middle));
	for (int i = 0; i < PAGES; i++) {
		if (i > 0)
			unpin(trio[i].middle);
		unit_require(chunks_are_intact(trio[i].middle, 24));
	}
}
END_TEST

START_TEST(malloc_searches_all_blocks_before_it_fails)
{
	enum { PAGES = 12 };
	struct trio trio[PAGES];
	unsigned long object;
	uint64_t released;

	for (int i = 0; i < PAGES; i++)
		trio[i] = store_trio(20, 24, 20);
	for (int i = 0; i < PAGES; i++) {
		pin(trio[i].middle);
		release(trio[i].first);
		release(trio[i].last);
	}
	ck_assert_int_eq(z3fold->trim(pool, &released), 0);
	ck_assert_int_eq(z3fold->set_limit(pool, z3fold->total_size(pool)), 0);
	/* The only page that can take the object is tried last, after more pages than one search tries. */
	unpin(trio[0].middle);
	object = store_chunks(40);
	ck_assert_uint_eq(page_of(object), page_of(trio[0].middle));
	for (int i = 1; i < PAGES; i++)
		unpin(trio[i].middle);
}
END_TEST

START_TEST(sole_object_moves_to_the_tightest_gap)
{
	unsigned long wide = store_chunks(30), tight = store_chunks(50), small, large;

	large = store_chunks(55);
	small = store_chunks(9);
	ck_assert_uint_eq(page_of(large), page_of(small));
	ck_assert_uint_eq(stats().pages, 3);
	release(large);
	ck_assert_uint_eq(page_of(small), page_of(tight));
	ck_assert_uint_eq(stats().pages, 2);
	ck_assert_uint_eq(stats().compact_moved_bytes, 9 * CHUNK);
	ck_assert_uint_eq(stats().compact_released_bytes, 4096);
	ck_assert(chunks_are_intact(small, 9) && chunks_are_intact(tight, 50) && chunks_are_intact(wide, 30));
}
END_TEST

START_TEST(mapped_sole_object_stays_until_compaction)
{
	unsigned long wide = store_chunks(30), large = store_chunks(60), small = store_chunks(4);
	const char *at = z3fold->map(pool, small, ZPOOL_MM_RO);

	ck_assert_uint_eq(page_of(large), page_of(small));
	pin(wide);
	release(large);
	ck_assert_uint_ne(page_of(small), page_of(wide));
	ck_assert_uint_eq(compact(0, 0), 0);
	/* The object is mapped a second time at the same address, so it stays mapped after one unmap. */
	ck_assert_ptr_eq(z3fold->map(pool, small, ZPOOL_MM_RO), at);
	unpin(small);
	ck_assert_uint_eq(compact(0, 0), 0);
	ck_assert_uint_ne(page_of(small), page_of(wide));
	ck_assert_uint_eq(stats().mapped_handles, 2);
	unpin(small);
	/* Pages with a mapped object can take objects like other pages. */
	ck_assert_uint_ge(compact(0, 0), 4096);
	ck_assert_uint_eq(page_of(small), page_of(wide));
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_uint_eq(stats().compactions, 3);
	unpin(wide);
	ck_assert(chunks_are_intact(small, 4) && chunks_are_intact(wide, 30));
}
END_TEST

START_TEST(other_objects_join_the_page_of_a_mapped_object)
{
	unsigned long wide = store_chunks(30), large = store_chunks(60), small = store_chunks(4);
	uint64_t location = location_of(small);

	pin(small);
	release(large);
	ck_assert_uint_ge(compact(0, 0), 4096);
	ck_assert_uint_eq(location_of(small), location);
	ck_assert_uint_eq(page_of(wide), page_of(small));
	unpin(small);
	ck_assert(chunks_are_intact(small, 4) && chunks_are_intact(wide, 30));
}
END_TEST

START_TEST(object_that_is_being_freed_is_not_moved)
{
	struct trio trio = store_trio(10, 20, 12);
	uint64_t location;
	uint32_t slot;

	/* The test acts as another thread that has begun to free the object, and waits for the lock. */
	ck_assert_int_eq(zp_handles_begin_free(&pool->handles, trio.middle, &slot, &location), 0);
	release(trio.first);
	release(trio.last);
	ck_assert_uint_eq(z3fold_page_at(pool, z3fold_location_pgno(location))->middle_at, 10);
	check_sound();
	ck_assert_uint_eq(compact(0, 0), 0);
	zp_lock(&pool->lock);
	ck_assert_uint_eq(z3fold_drop(pool, location), z3fold_location_pgno(location));
	zp_unlock(&pool->lock);
	z3fold_page_put(pool, z3fold_location_pgno(location));
	zp_handles_release(&pool->handles, slot);
	ck_assert_uint_eq(stats().pages, 0);
}
END_TEST

/* ---- compaction ---- */

START_TEST(compaction_empties_pages_of_two)
{
	enum { PAGES = 30, CHUNKS = 21 };
	struct trio trio[PAGES];

	for (unsigned int i = 0; i < PAGES; i++)
		trio[i] = store_trio(CHUNKS, 64 - 2 * CHUNKS, CHUNKS);
	for (unsigned int i = 0; i < PAGES; i++)
		release(trio[i].middle);
	ck_assert_uint_eq(stats().pages, PAGES);
	ck_assert_uint_eq(stats().free_slots, PAGES);
	/* The objects of three pages fit into two. */
	ck_assert_uint_ge(compact(0, 0), PAGES / 3 * 4096);
	ck_assert_uint_eq(stats().pages, 2 * PAGES / 3);
	ck_assert_uint_eq(stats().free_slots, 0);
	ck_assert_uint_eq(stats().compact_moved_bytes, 2 * PAGES / 3 * CHUNKS * CHUNK);
	for (unsigned int i = 0; i < PAGES; i++)
		ck_assert(chunks_are_intact(trio[i].first, CHUNKS) && chunks_are_intact(trio[i].last, CHUNKS));
	ck_assert_uint_eq(compact(0, 0), 0);
}
END_TEST

START_TEST(compaction_continues_after_a_page_that_it_cannot_empty)
{
	struct trio movable = store_trio(20, 26, 18), blocked = store_trio(20, 26, 18);
	unsigned long tight = store_chunks(45), wide = store_chunks(40);

	/* Both pages have the same room, and compaction tries the blocked one first. */
	release(movable.middle);
	release(blocked.middle);
	ck_assert_uint_eq(pool->by_room[26], page_of(blocked.last));
	pin(blocked.last);
	ck_assert_uint_ge(compact(0, 0), 4096);
	ck_assert_uint_eq(page_of(movable.first), page_of(wide));
	ck_assert_uint_eq(page_of(movable.last), page_of(tight));
	unpin(blocked.last);
	ck_assert(chunks_are_intact(movable.first, 20) && chunks_are_intact(movable.last, 18));
}
END_TEST

START_TEST(compaction_moves_all_of_a_page_or_nothing)
{
	unsigned long larger = store_chunks(20), smaller = store_chunks(18), other = store_chunks(40);
	uint64_t locations[] = { location_of(larger), location_of(smaller), location_of(other) };

	/* The larger object would fit into the room of 24 chunks, but then the smaller one would not. */
	ck_assert_uint_eq(page_of(larger), page_of(smaller));
	ck_assert_uint_ne(page_of(larger), page_of(other));
	ck_assert_uint_eq(compact(0, 0), 0);
	ck_assert_uint_eq(stats().compact_moved_bytes, 0);
	ck_assert_uint_eq(location_of(larger), locations[0]);
	ck_assert_uint_eq(location_of(smaller), locations[1]);
	ck_assert_uint_eq(location_of(other), locations[2]);
	check_sound();
	ck_assert(chunks_are_intact(larger, 20) && chunks_are_intact(smaller, 18) && chunks_are_intact(other, 40));
}
END_TEST

START_TEST(page_with_a_mapped_object_is_not_evicted)
{
	unsigned long larger = store_chunks(20), smaller = store_chunks(18);
	unsigned long wide = store_chunks(30), tight = store_chunks(45);

	ck_assert_uint_eq(stats().pages, 3);
	for (int i = 0; i < 2; i++) {
		pin(i ? larger : smaller);
		ck_assert_uint_eq(compact(0, 0), 0);
		ck_assert_uint_eq(page_of(larger), page_of(smaller));
		check_sound();
		unpin(i ? larger : smaller);
	}
	ck_assert_uint_ge(compact(0, 0), 4096);
	ck_assert_uint_eq(page_of(larger), page_of(wide));
	ck_assert_uint_eq(page_of(smaller), page_of(tight));
	ck_assert(chunks_are_intact(larger, 20) && chunks_are_intact(smaller, 18));
	ck_assert(chunks_are_intact(wide, 30) && chunks_are_intact(tight, 45));
}
END_TEST

START_TEST(budget_ends_compaction_and_further_calls_finish_it)
{
	struct zpool_budget hurry = { .struct_size = sizeof(hurry), .ns = 1 };
	static unsigned long handles[4000];
	struct unit_random random = unit_seed("budget_ends_compaction_and_further_calls_finish_it");
	unsigned int calls = 0, left = 0;
	uint64_t released;
	int result;

	for (unsigned int i = 0; i < 4000; i++)
		handles[i] = store_chunks(1 + unit_below(&random, 40));
	for (unsigned int i = 0; i < 4000; i++)
		if (i % 3 == 0)
			pin(handles[i]);
	for (unsigned int i = 0; i < 4000; i++)
		if (i % 3)
			release(handles[i]);
	for (unsigned int i = 0; i < 4000; i += 3)
		unpin(handles[i]);
	ck_assert_int_eq(z3fold->compact(pool, &hurry, &released), 1);
	do {
		struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = 10000 };
		struct zpool_stats before = stats();

		result = z3fold->compact(pool, &budget, &released);
		unit_require(result == 0 || result == 1);
		/*
		 * The last page may exceed the budget by its own objects, and by a middle object that is shifted for
		 * each of them.
		 */
		unit_require(stats().compact_moved_bytes - before.compact_moved_bytes < 10000 + 3 * 4096);
		unit_require(result == 0 || released >= 4096);
		unit_require(stats().compact_released_bytes - before.compact_released_bytes == released);
		unit_require(++calls < 4000);
	} while (result == 1);
	ck_assert_uint_gt(calls, 3);
	check_sound();
	ck_assert_uint_eq(compact(0, 0), 0);
	for (unsigned int i = 0; i < 4000; i += 3, left++)
		unit_require(zp_handles_lookup(&pool->handles, handles[i], &released) == 0);
	ck_assert_uint_eq(stats().objects, left);
}
END_TEST

/* ---- comparison with a reference ---- */

START_TEST(random_use_never_loses_an_object)
{
	enum { LIVE = 600 };
	struct unit_random random = unit_seed("random_use_never_loses_an_object");
	static struct {
		unsigned long handle;
		size_t size;
		bool pinned;
	} object[LIVE];
	unsigned int steps = UNIT_SANITIZED || unit_on_valgrind() ? 20000 : 100000, live = 0;

	memset(object, 0, sizeof(object));
	for (unsigned int step = 0; step < steps; step++) {
		unsigned int i = unit_below(&random, LIVE), what = unit_below(&random, 20);

		if (!object[i].handle) {
			object[i].size = 1 + unit_below(&random, unit_below(&random, 3) ? 1600 : 4096);
			object[i].handle = store(object[i].size);
			live++;
		} else if (what < 4) {
			/* A mapped object is neither moved nor freed. */
			if (object[i].pinned)
				unpin(object[i].handle);
			else
				pin(object[i].handle);
			object[i].pinned = !object[i].pinned;
		} else if (object[i].pinned) {
			unit_require(z3fold->free(pool, object[i].handle) == -EBUSY);
		} else {
			unit_require(is_intact(object[i].handle, object[i].size));
			release(object[i].handle);
			object[i].handle = 0;
			live--;
		}
		if (step % 500 == 0) {
			struct zpool_budget budget = { .struct_size = sizeof(budget),
						       .bytes = unit_below(&random, 50000) };
			uint64_t released;

			unit_require(z3fold->compact(pool, &budget, &released) >= 0);
		}
		if (step % 100 == 0)
			check_sound();
	}
	for (unsigned int i = 0; i < LIVE; i++) {
		if (object[i].pinned)
			unpin(object[i].handle);
		unit_require(!object[i].handle || is_intact(object[i].handle, object[i].size));
	}
	ck_assert_uint_eq(stats().objects, live);
	ck_assert_uint_ge(stats().pages * 3, live);
}
END_TEST

void add_move_tests(Suite *suite)
{
	TCase *tcase = tcase_create("moves");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, middle_object_without_first_moves_next_to_the_last);
	tcase_add_test(tcase, middle_object_moves_only_to_gain_three_chunks);
	tcase_add_test(tcase, malloc_moves_an_object_to_enlarge_a_gap);
	tcase_add_test(tcase, sole_middle_object_moves_to_the_first_place);
	tcase_add_test(tcase, mapped_middle_object_stays_and_leaves_a_hole_on_each_side);
	tcase_add_test(tcase, space_beside_a_mapped_middle_object_is_found_after_unmap);
	tcase_add_test(tcase, search_skips_only_a_few_blocked_pages);
	tcase_add_test(tcase, malloc_searches_all_blocks_before_it_fails);
	tcase_add_test(tcase, sole_object_moves_to_the_tightest_gap);
	tcase_add_test(tcase, mapped_sole_object_stays_until_compaction);
	tcase_add_test(tcase, other_objects_join_the_page_of_a_mapped_object);
	tcase_add_test(tcase, object_that_is_being_freed_is_not_moved);
	tcase_add_test(tcase, compaction_empties_pages_of_two);
	tcase_add_test(tcase, compaction_continues_after_a_page_that_it_cannot_empty);
	tcase_add_test(tcase, compaction_moves_all_of_a_page_or_nothing);
	tcase_add_test(tcase, page_with_a_mapped_object_is_not_evicted);
	tcase_add_test(tcase, budget_ends_compaction_and_further_calls_finish_it);
	tcase_add_test(tcase, random_use_never_loses_an_object);
}
