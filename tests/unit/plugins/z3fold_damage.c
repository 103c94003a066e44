/* SPDX-License-Identifier: MIT
 *
 * z3fold_damage.c - the damage that verify must find
 */
#include <config.h>

#include "z3fold_fixture.h"

static void expect_damage(const char *what, const char *message)
{
	harness.error[0] = '\0';
	ck_assert_msg(z3fold->verify(pool) == -EUCLEAN, "%s passed", what);
	ck_assert_msg(strstr(harness.error, message), "%s: %s", what, harness.error);
}

/* Changes a member, expects that verify reports this, restores the member, and expects that verify succeeds. */
#define DAMAGE(member, value, message)                                                                                 \
	do {                                                                                                           \
		__typeof__(member) before_ = (member);                                                                 \
		(member) = (__typeof__(member))(value);                                                                \
		expect_damage(#member, message);                                                                       \
		(member) = before_;                                                                                    \
		check_sound();                                                                                         \
	} while (0)

START_TEST(verify_names_damage_in_a_page)
{
	unsigned long first = store_chunks(10), last = store_chunks(12), middle = store_chunks(20);
	unsigned long alone = store_chunks(30), beside = store_chunks(9);
	struct z3fold_page *page = z3fold_page_at(pool, page_of(first)), *open = z3fold_page_at(pool, page_of(alone));

	ck_assert_uint_eq(page_of(middle), page_of(last));
	ck_assert_uint_eq(page_of(beside), page_of(alone));
	DAMAGE(page->chunks[Z3FOLD_FIRST], 11, "overlaps the first");
	DAMAGE(page->chunks[Z3FOLD_FIRST], 53, "overlap");
	DAMAGE(page->chunks[Z3FOLD_FIRST], 65, "larger than a page");
	DAMAGE(page->chunks[Z3FOLD_FIRST], 9, "differ");
	DAMAGE(page->chunks[Z3FOLD_LAST], 13, "elsewhere");
	DAMAGE(page->chunks[Z3FOLD_MIDDLE], 50, "page's end");
	DAMAGE(page->handle_slots[Z3FOLD_FIRST], page->handle_slots[Z3FOLD_LAST], "elsewhere");
	DAMAGE(page->handle_slots[Z3FOLD_FIRST], ZP_SLOT_NONE, "elsewhere");
	DAMAGE(page->handle_slots[Z3FOLD_FIRST], 100000, "elsewhere");
	DAMAGE(page->stamp, pool->clock + 1, "stamps");
	DAMAGE(open->chunks[Z3FOLD_FIRST], 31, "differ");
	DAMAGE(open->handle_slots[Z3FOLD_MIDDLE], 1, "elsewhere");
	for (unsigned int wrong = 0; wrong < 64; wrong++) {
		unsigned int right = page->middle_at;

		if (wrong == right)
			continue;
		page->middle_at = wrong & 63;
		expect_damage("middle_at", "");
		page->middle_at = right & 63;
	}
	page->state = Z3FOLD_PAGE_FREE;
	expect_damage("state", "not marked as listed");
	page->state = Z3FOLD_PAGE_LISTED;
	open->middle_at = 31;
	expect_damage("middle_at", "without a middle");
	open->middle_at = 0;
}
END_TEST

START_TEST(verify_names_damage_in_counts_and_rings)
{
	unsigned long alone = store_chunks(30), other = store_chunks(40), full = store(4096);
	struct z3fold_page *page = z3fold_page_at(pool, page_of(alone)),
			   *headless = z3fold_page_at(pool, page_of(full));

	DAMAGE(pool->objects, pool->objects + 1, "counts of objects");
	DAMAGE(pool->stored_chunks, pool->stored_chunks - 1, "counts of objects");
	DAMAGE(pool->listed_pages, pool->listed_pages + 1, "count of pages");
	DAMAGE(pool->listed_pages, pool->listed_pages - 1, "more pages");
	DAMAGE(pool->open_slots, 0, "count of free slots");
	DAMAGE(pool->room_mask, 0, "mask of rings");
	DAMAGE(pool->room_mask, pool->room_mask | 2, "mask of rings");
	DAMAGE(pool->room_pages[34], 2, "count of pages in a ring");
	DAMAGE(pool->by_room[34], page_of(other), "ring of another room");
	DAMAGE(pool->by_room[34], ZP_PGNO_NONE, "mask of rings");
	DAMAGE(pool->newest, ZP_PGNO_NONE, "count of pages");
	DAMAGE(page->links[Z3FOLD_BY_ROOM].next, ZP_PGNO_NONE, "in none although it has");
	DAMAGE(headless->links[Z3FOLD_BY_ROOM].next, page_of(alone), "although it has no room");
	DAMAGE(page->links[Z3FOLD_BY_AGE].next, ZP_PGNO_NONE, "ring by age");
	DAMAGE(page->links[Z3FOLD_BY_AGE].prev, page_of(alone), "ring by age");
}
END_TEST

START_TEST(verify_finds_a_handle_without_a_page)
{
	unsigned long handle = store_chunks(3);
	uint64_t location = location_of(handle);
	uint32_t slot;

	ck_assert_int_eq(zp_handles_bind(&pool->handles, 0, &slot, 1), 1);
	(void)zp_handles_publish(&pool->handles, slot, location + 5);
	expect_damage("a handle into a hole", "its object is not");
	(void)zp_handles_publish(&pool->handles, slot, location);
	expect_damage("a second handle of an object", "its object is not");
	(void)zp_handles_publish(&pool->handles, slot, location + Z3FOLD_PAGE_CHUNKS);
	expect_damage("a handle into a page not in use", "not in use");
	(void)zp_handles_publish(&pool->handles, slot, z3fold_location(200000, 0));
	expect_damage("a handle to a page without a record", "not in use");
	ck_assert_int_eq(zp_handles_begin_free(
				 &pool->handles,
				 zp_handle_make(&pool->handles, slot,
						zp_word_generation(atomic_load(zp_handles_word(&pool->handles, slot)))),
				 &slot, &location),
			 0);
	zp_handles_release(&pool->handles, slot);
}
END_TEST

void add_damage_tests(Suite *suite)
{
	TCase *tcase = tcase_create("damage");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, verify_names_damage_in_a_page);
	tcase_add_test(tcase, verify_names_damage_in_counts_and_rings);
	tcase_add_test(tcase, verify_finds_a_handle_without_a_page);
}
