/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_holes.c - holes, and which mallocs may take them
 */
#include <config.h>

#include "zsmalloc_fixture.h"

enum { COUNT = 4000 };

static unsigned long handles[COUNT];

static void fill(size_t size)
{
	for (unsigned int i = 0; i < COUNT; i++)
		handles[i] = store(size);
}

static void free_every_other(void)
{
	for (unsigned int i = 0; i < COUNT; i += 2) {
		release(handles[i]);
		handles[i] = 0;
	}
}

static void check_contents(size_t size)
{
	for (unsigned int i = 0; i < COUNT; i++)
		unit_require(!handles[i] || is_intact(handles[i], size));
	check_sound();
}

static void set_compact(bool on)
{
	struct zpool_value value = { .key = "compact", .number = on, .given = 1 };

	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &value), 0);
}

/* A malloc takes a hole of a slightly larger class before its own class commits memory. */
START_TEST(malloc_borrows_holes_of_the_next_classes)
{
	fill(1000);
	free_every_other();
	uint64_t pages = stats().pages, borrowed = 0;
	for (unsigned int i = 0; i < COUNT / 4; i++) {
		unsigned long handle = store(930);

		borrowed += zsmalloc->obj_size(pool, handle) >= 1000;
	}
	ck_assert_uint_ge(borrowed, COUNT / 4 - 8);
	ck_assert_uint_le(stats().pages, pages + 4);
	check_contents(1000);
}
END_TEST

/* Slots that were never used are not borrowed, because the larger class is growing into them. */
START_TEST(malloc_borrows_no_slots_of_tail_pages)
{
	(void)store(1000);
	uint64_t pages = stats().pages;
	unsigned long handle = store(930);

	ck_assert_int_lt(zsmalloc->obj_size(pool, handle), 1000);
	ck_assert_uint_gt(stats().pages, pages);
	check_sound();
}
END_TEST

START_TEST(malloc_borrows_no_holes_of_far_larger_classes)
{
	fill(1000);
	free_every_other();
	unsigned long handle = store(500);
	ck_assert_int_lt(zsmalloc->obj_size(pool, handle), 600);
	check_contents(1000);
}
END_TEST

/* A program that replaces objects at random fills holes, so the pool neither grows nor moves objects. */
START_TEST(random_replacements_hardly_move_objects)
{
	struct unit_random random = unit_seed("random_replacements_hardly_move_objects");
	uint64_t replaced_bytes = 0;

	set_compact(true);
	for (unsigned int i = 0; i < COUNT; i++)
		handles[i] = store(700 + unit_below(&random, 600));
	for (unsigned int i = 0; i < 20 * COUNT; i++) {
		unsigned int victim = unit_below(&random, COUNT), size = 700 + unit_below(&random, 600);

		release(handles[victim]);
		handles[victim] = store(size);
		replaced_bytes += size;
	}
	struct zpool_stats now = stats();
	ck_assert_uint_le(now.compact_moved_bytes, replaced_bytes / 50);
	ck_assert_uint_le(now.pages * ZP_PAGE_BYTES, now.stored_bytes + now.stored_bytes / 8);
	check_sound();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zsmalloc: holes");
	TCase *tcase = tcase_create("holes");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, malloc_borrows_holes_of_the_next_classes);
	tcase_add_test(tcase, malloc_borrows_no_slots_of_tail_pages);
	tcase_add_test(tcase, malloc_borrows_no_holes_of_far_larger_classes);
	tcase_add_test(tcase, random_replacements_hardly_move_objects);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
