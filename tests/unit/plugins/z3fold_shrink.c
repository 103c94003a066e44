/* SPDX-License-Identifier: MIT
 *
 * z3fold_shrink.c - eviction: its order, refusals, and other calls during the evict callback
 */
#include <config.h>

#include "z3fold_fixture.h"

/* Objects of these sizes fill a page. */
enum { FIRST = 22, LAST = 20, MIDDLE = 64 - FIRST - LAST };

struct page {
	unsigned long first, last, middle;
};

static struct page store_page(void)
{
	struct page page;

	page.first = store_chunks(FIRST);
	page.last = store_chunks(LAST);
	page.middle = store_chunks(MIDDLE);
	unit_require(page_of(page.first) == page_of(page.last) && page_of(page.first) == page_of(page.middle));
	return page;
}

static bool page_is_intact(const struct page *page)
{
	return chunks_are_intact(page->first, FIRST) && chunks_are_intact(page->last, LAST) &&
	       chunks_are_intact(page->middle, MIDDLE);
}

static void expect_asked(unsigned int at, const struct page *page)
{
	ck_assert_uint_eq(evictor.handles[at], page->middle);
	ck_assert_uint_eq(evictor.handles[at + 1], page->first);
	ck_assert_uint_eq(evictor.handles[at + 2], page->last);
}

START_TEST(pages_are_evicted_oldest_first_and_middle_before_first_before_last)
{
	struct page page[5];

	for (int i = 0; i < 5; i++)
		page[i] = store_page();
	/* A read does not make page 0 younger, but a store makes page 1 younger. */
	ck_assert(page_is_intact(&page[0]));
	release(page[1].last);
	page[1].last = store_chunks(LAST);
	ck_assert_uint_eq(page_of(page[1].first), page_of(page[1].last));
	ck_assert_uint_eq(shrink(4, 0), 4);
	ck_assert_uint_eq(evictor.asked, 12);
	expect_asked(0, &page[0]);
	expect_asked(3, &page[2]);
	expect_asked(6, &page[3]);
	expect_asked(9, &page[4]);
	ck_assert(page_is_intact(&page[1]));
	ck_assert_uint_eq(stats().evictions, 12);
	ck_assert_uint_eq(stats().evict_refused, 0);
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

START_TEST(free_does_not_make_a_page_younger)
{
	struct page old = store_page(), young = store_page();

	release(old.last);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 2);
	ck_assert_uint_eq(evictor.handles[0], old.middle);
	ck_assert_uint_eq(evictor.handles[1], old.first);
	ck_assert(page_is_intact(&young));
}
END_TEST

START_TEST(page_inherits_the_age_of_a_moved_object)
{
	unsigned long wide = store_chunks(34), second = store(4096), large = store_chunks(50), small = store_chunks(14);

	/* The youngest page is emptied into the oldest page, which then becomes the youngest. */
	ck_assert_uint_eq(page_of(large), page_of(small));
	release(large);
	ck_assert_uint_eq(page_of(small), page_of(wide));
	check_sound();
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], second);
	ck_assert(chunks_are_intact(wide, 34) && chunks_are_intact(small, 14));
}
END_TEST

START_TEST(old_object_does_not_make_its_new_page_older)
{
	unsigned long large = store_chunks(60), small = store_chunks(4), second = store(4096), wide = store_chunks(40);

	ck_assert_uint_eq(page_of(large), page_of(small));
	release(large);
	ck_assert_uint_eq(page_of(small), page_of(wide));
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.handles[0], second);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.handles[1], wide);
	ck_assert_uint_eq(evictor.handles[2], small);
}
END_TEST

START_TEST(refused_pages_go_to_the_head_and_eight_refusals_end_the_step)
{
	unsigned long handle[12];

	for (int i = 0; i < 12; i++)
		handle[i] = store(4096);
	evictor.act = evict_refuses;
	ck_assert_uint_eq(shrink(3, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 8);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(evictor.handles[i], handle[i]);
	ck_assert_uint_eq(stats().evict_refused, 8);
	evictor.asked = 0;
	evictor.act = evict_frees;
	ck_assert_uint_eq(shrink(6, 0), 6);
	for (int i = 0; i < 6; i++)
		ck_assert_uint_eq(evictor.handles[i], handle[(8 + i) % 12]);
}
END_TEST

static int (*acts[])(unsigned long handle) = { evict_refuses, evict_lies };

START_TEST(refused_eviction_keeps_the_other_objects_of_the_page)
{
	struct page page = store_page();

	evictor.act = acts[_i];
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 8);
	for (unsigned int i = 0; i < evictor.asked; i++)
		ck_assert_uint_eq(evictor.handles[i], page.middle);
	ck_assert(page_is_intact(&page));
	ck_assert_uint_eq(stats().evictions, 0);
	ck_assert_uint_eq(stats().evict_refused, 8);
}
END_TEST

/* ---- what the callback may do ---- */

static struct page mine;
static unsigned int frees_allowed; /* number of callbacks that free their object; later ones refuse */

static int evict_some(unsigned long handle)
{
	return evictor.asked <= frees_allowed ? evict_frees(handle) : -EIO;
}

START_TEST(partly_emptied_page_stays_usable)
{
	static const unsigned int left_chunks[] = { 0, FIRST + LAST, LAST };
	unsigned int room = 64 - left_chunks[_i];
	unsigned long object;

	mine = store_page();
	evictor.act = evict_some;
	frees_allowed = (unsigned int)_i;
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	check_sound();
	ck_assert_uint_eq(stats().evictions, _i);
	ck_assert_uint_eq(stats().objects, 3 - (unsigned int)_i);
	ck_assert(chunks_are_intact(mine.last, LAST));
	object = store_chunks(room);
	ck_assert_uint_eq(page_of(object), page_of(mine.last));
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert(chunks_are_intact(mine.last, LAST) && chunks_are_intact(object, room));
}
END_TEST

static int evict_frees_all(unsigned long handle)
{
	ck_assert_uint_eq(handle, mine.middle);
	/* The callback frees objects of the page under reclaim for which it was not called. */
	release(mine.last);
	release(mine.first);
	release(mine.middle);
	ck_assert_uint_eq(stats().pages, 1);
	check_sound();
	/* The page still belongs to the reclaim, so a new object gets another page. */
	(void)store(10);
	ck_assert_uint_eq(stats().pages, 2);
	check_sound();
	return 0;
}

START_TEST(frees_during_a_reclaim_leave_the_page_to_the_reclaim)
{
	mine = store_page();
	evictor.act = evict_frees_all;
	ck_assert_uint_eq(shrink(1, 0), 1);
	/* The evict callback must not be called for objects that no longer exist. */
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(stats().objects, 1);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 1);
}
END_TEST

static int evict_beside_compaction(unsigned long handle)
{
	uint64_t location;
	uint32_t page = page_of(mine.first);

	if (handle != mine.middle)
		return evict_frees(handle);
	/*
	 * One object remains in the page under reclaim. Another page has room for it, but compaction must not move it.
	 */
	release(mine.middle);
	release(mine.last);
	location = location_of(mine.first);
	(void)compact(0, 0);
	ck_assert_uint_eq(location_of(mine.first), location);
	/* No object is stored in the page either. */
	release(store_chunks(3));
	ck_assert_uint_ne(page_of(store_chunks(1)), page);
	check_sound();
	return 0;
}

START_TEST(compaction_leaves_a_page_under_reclaim_alone)
{
	unsigned long other;

	mine = store_page();
	other = store_chunks(30);
	evictor.act = evict_beside_compaction;
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 2);
	ck_assert(chunks_are_intact(other, 30));
	ck_assert_uint_eq(stats().objects, 2);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 1);
}
END_TEST

static int evict_shrinks_too(unsigned long handle)
{
	unsigned int reclaimed;

	/* The inner call evicts another page, because this one is no longer in the order of eviction. */
	if (evictor.asked == 1)
		unit_require(z3fold->shrink(pool, 1, &reclaimed) == 0 && reclaimed == 1);
	return evict_frees(handle);
}

START_TEST(shrink_inside_the_callback_takes_the_next_page)
{
	struct page old = store_page(), young = store_page();

	evictor.act = evict_shrinks_too;
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.handles[0], old.middle);
	expect_asked(1, &young);
	ck_assert_uint_eq(evictor.handles[4], old.first);
	ck_assert_uint_eq(stats().pages, 0);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 0);
}
END_TEST

START_TEST(page_of_a_mapped_object_is_skipped_without_a_callback)
{
	struct page old = store_page();
	unsigned long other = store(4096), in[3];

	in[0] = old.first;
	in[1] = old.middle;
	in[2] = old.last;
	pin(in[_i]);
	ck_assert_int_eq(z3fold->free(pool, in[_i]), -EBUSY);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], other);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	unpin(in[_i]);
	ck_assert(page_is_intact(&old));
	ck_assert_uint_eq(shrink(1, 0), 1);
}
END_TEST

static int evict_beside_a_shrink(unsigned long handle)
{
	/* The object may still be evicted, so this is not the end. */
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	return evict_frees(handle);
}

START_TEST(page_that_another_call_is_emptying_counts_as_left)
{
	(void)store(1);
	evictor.act = evict_beside_a_shrink;
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
}
END_TEST

START_TEST(shrink_with_nothing_to_evict_is_reported)
{
	struct zpool_create_args args;
	struct harness deaf;
	unsigned int reclaimed = 9;

	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	(void)store(1);
	ck_assert_uint_eq(shrink(0, -EINVAL), 0);
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	args = harness_args(&deaf, z3fold);
	ck_assert_int_eq(harness_create(&deaf, &args), 0);
	ck_assert_int_eq(z3fold->shrink(deaf.pool, 1, &reclaimed), -EINVAL);
	ck_assert_uint_eq(reclaimed, 0);
	z3fold->destroy(deaf.pool);
}
END_TEST

/* ---- slots that another thread was returning at a fork ---- */

/* Begins a free that no thread will end, as that of another thread that stopped there. */
static void lose(unsigned long handle)
{
	uint64_t location;

	unit_require(zp_handles_try_begin_free(&pool->handles, handle, &location));
}

static void become_child(void)
{
	z3fold->fork(pool, ZPOOL_FORK_PREPARE);
	z3fold->fork(pool, ZPOOL_FORK_CHILD);
}

START_TEST(objects_beside_a_lost_slot_are_evicted_in_a_child)
{
	struct page page = store_page();
	unsigned long in_order[] = { page.middle, page.first, page.last };

	lose(in_order[_i]);
	/* In the parent, the other thread will soon end its call. */
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 0);
	become_child();
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 2);
	ck_assert_uint_eq(evictor.handles[0], in_order[_i == 0 ? 1 : 0]);
	ck_assert_uint_eq(evictor.handles[1], in_order[_i == 2 ? 1 : 2]);
	ck_assert_uint_eq(stats().evictions, 2);
	/* The page stays usable. */
	unsigned long beside = store_chunks(1);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 3);
	ck_assert_uint_eq(evictor.handles[2], beside);
}
END_TEST

START_TEST(lost_slots_are_nothing_to_evict_in_a_child)
{
	for (unsigned int i = 0; i < 2 * Z3FOLD_RECLAIM_TRIES; i++)
		lose(store(4096));
	unsigned long young = store(4096);
	become_child();
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], young);
	young = store(4096);
	pin(young);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	unpin(young);
}
END_TEST

void add_shrink_tests(Suite *suite)
{
	TCase *tcase = tcase_create("shrink");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, pages_are_evicted_oldest_first_and_middle_before_first_before_last);
	tcase_add_test(tcase, free_does_not_make_a_page_younger);
	tcase_add_test(tcase, page_inherits_the_age_of_a_moved_object);
	tcase_add_test(tcase, old_object_does_not_make_its_new_page_older);
	tcase_add_test(tcase, refused_pages_go_to_the_head_and_eight_refusals_end_the_step);
	tcase_add_loop_test(tcase, refused_eviction_keeps_the_other_objects_of_the_page, 0, 2);
	tcase_add_loop_test(tcase, partly_emptied_page_stays_usable, 1, 3);
	tcase_add_test(tcase, frees_during_a_reclaim_leave_the_page_to_the_reclaim);
	tcase_add_test(tcase, compaction_leaves_a_page_under_reclaim_alone);
	tcase_add_test(tcase, shrink_inside_the_callback_takes_the_next_page);
	tcase_add_loop_test(tcase, page_of_a_mapped_object_is_skipped_without_a_callback, 0, 3);
	tcase_add_test(tcase, page_that_another_call_is_emptying_counts_as_left);
	tcase_add_test(tcase, shrink_with_nothing_to_evict_is_reported);
	tcase_add_loop_test(tcase, objects_beside_a_lost_slot_are_evicted_in_a_child, 0, 3);
	tcase_add_test(tcase, lost_slots_are_nothing_to_evict_in_a_child);
}
