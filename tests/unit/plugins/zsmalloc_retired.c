/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_retired.c - objects and cached slots whose handle slots have no generation left
 */
#include <config.h>

#include "zsmalloc_fixture.h"

enum { SIZE = 1000, COUNT = 500, ROUNDS = 400 };

static unsigned long handles[COUNT];

/* Pools with an evict callback take cached slots with the class's lock held, and others do not. */
static void open_with_few_generations(bool evicts)
{
	ck_assert_int_eq(open_pool(32, 16, 65536, false, evicts ? evict : NULL), 0);
	harness_set_few_generations(&((struct zsmalloc_pool *)pool)->handles);
}

static void fill(void)
{
	for (unsigned int i = 0; i < COUNT; i++)
		handles[i] = store(SIZE);
}

static void expect_no_pages(void)
{
	uint64_t released;

	ck_assert_int_eq(zsmalloc->trim(pool, &released), 0);
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_eq(stats().pages, 0);
}

static bool is_new(const unsigned long *seen, unsigned int count, unsigned long handle)
{
	while (count--)
		if (seen[count] == handle)
			return false;
	return true;
}

/* The thread frees and stores one object more often than a handle slot has generations. */
START_TEST(handles_are_not_used_again_after_their_last_generation)
{
	static unsigned long seen[ROUNDS];

	open_with_few_generations(_i);
	fill();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		seen[i] = handles[9];
		release(handles[9]);
		handles[9] = store(SIZE);
		ck_assert(!ZP_HANDLE_RETIRE || is_new(seen, i + 1, handles[9]));
		ck_assert_int_eq(zsmalloc->free(pool, seen[i]), -EINVAL);
	}
	check_sound();
	for (unsigned int i = 0; i < COUNT; i++) {
		unit_require(is_intact(handles[i], SIZE));
		release(handles[i]);
	}
	expect_no_pages();
	teardown();
}
END_TEST

/* The slot that was freed last still has such a handle slot when the cache is emptied. */
START_TEST(trim_frees_a_pending_slot_without_generations)
{
	open_with_few_generations(_i);
	for (unsigned int i = 0; i < 8; i++) {
		unsigned long handle = store(SIZE);

		for (unsigned int lives = 0; lives < i; lives++) {
			release(handle);
			handle = store(SIZE);
		}
		release(handle);
		expect_no_pages();
	}
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zsmalloc, retired handles");
	TCase *tcase = tcase_create("retired");

	tcase_set_timeout(tcase, 300);
	tcase_add_loop_test(tcase, handles_are_not_used_again_after_their_last_generation, 0, 2);
	tcase_add_loop_test(tcase, trim_frees_a_pending_slot_without_generations, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
