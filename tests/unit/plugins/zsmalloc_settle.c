/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_settle.c - what a whole compaction does with packed classes: tails, record numbers, page tables
 */
#include <config.h>

#include "zsmalloc_fixture.h"

enum { SIZES = 160, SIZE_STEP = 16 };

static struct {
	unsigned long handle;
	size_t size;
} objects[OBJECTS];

static const struct zsmalloc_pool *internals(void)
{
	return pool;
}

static uint32_t zspage_of(unsigned long handle)
{
	struct zsmalloc_pool *self = pool;
	uint64_t location;

	unit_require(zp_handles_lookup(&self->handles, handle, &location) == 0);
	return zsmalloc_location_zspage(location);
}

static void fill_with_many_sizes(struct unit_random *random)
{
	for (unsigned int i = 0; i < OBJECTS; i++) {
		objects[i].size = (1 + unit_below(random, SIZES)) * SIZE_STEP;
		objects[i].handle = store(objects[i].size);
	}
}

static void keep_randomly(struct unit_random *random, unsigned int percent)
{
	for (unsigned int i = 0; i < OBJECTS; i++) {
		if (!objects[i].handle || unit_below(random, 100) < percent)
			continue;
		release(objects[i].handle);
		objects[i].handle = 0;
	}
}

static void check_contents(void)
{
	for (unsigned int i = 0; i < OBJECTS; i++)
		unit_require(!objects[i].handle || is_intact(objects[i].handle, objects[i].size));
	check_sound();
}

START_TEST(objects_of_the_last_page_move_to_a_larger_class)
{
	/* The object of 1008 bytes leaves room on its page for the one of 992 bytes, which has a page of its own. */
	unsigned long small = store(992), large = store(1008);
	uint64_t pages = stats().pages;

	ck_assert_uint_ne(zspage_of(small), zspage_of(large));
	ck_assert_uint_ge(compact(0, 0), ZP_PAGE_BYTES);
	ck_assert_uint_eq(zspage_of(small), zspage_of(large));
	ck_assert_uint_lt(stats().pages, pages);
	ck_assert_int_ge(zsmalloc->obj_size(pool, small), 992);
	unit_require(is_intact(small, 992) && is_intact(large, 1008));
	check_sound();
	release(large);
	release(small);
	ck_assert_uint_eq(stats().objects, 0);
}
END_TEST

START_TEST(objects_before_the_last_page_stay)
{
	/* The last object is alone on the second page, and the page of 1008 bytes has room for it and few more. */
	unsigned long first = store(992), last = first;
	uint64_t pages = stats().pages;

	while (stats().pages == pages)
		last = store(992);
	unsigned long large = store(1008);
	pages = stats().pages;
	ck_assert_uint_eq(zspage_of(first), zspage_of(last));
	ck_assert_uint_ge(compact(0, 0), ZP_PAGE_BYTES);
	ck_assert_uint_eq(zspage_of(last), zspage_of(large));
	ck_assert_uint_ne(zspage_of(first), zspage_of(large));
	ck_assert_uint_eq(stats().pages, pages - 1);
	check_sound();
}
END_TEST

START_TEST(tail_page_does_not_make_an_older_zspage_younger)
{
	/* The larger object's zspage is older, so the smaller object would be evicted too soon if it moved there. */
	unsigned long large = store(1008), small = store(992);

	(void)compact(0, 0);
	ck_assert_uint_ne(zspage_of(small), zspage_of(large));
	(void)shrink(1, 0);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], large);
}
END_TEST

START_TEST(mapped_tail_stays)
{
	unsigned long small = store(992), large = store(1008);
	uint32_t before = zspage_of(small);

	ck_assert_ptr_nonnull(zsmalloc->map(pool, small, ZPOOL_MM_RO));
	(void)compact(0, 0);
	ck_assert_uint_eq(zspage_of(small), before);
	ck_assert_int_eq(zsmalloc->unmap(pool, small), 0);
	(void)compact(0, 0);
	ck_assert_uint_eq(zspage_of(small), zspage_of(large));
	check_sound();
}
END_TEST

/* In each part of the compaction, the object that reaches the budget is the last one that moves. */
START_TEST(tails_stay_within_the_budget)
{
	struct unit_random random = unit_seed("tails_stay_within_the_budget");
	struct zpool_budget budget = { .struct_size = sizeof(budget) };
	uint64_t released;
	int err = 1;

	fill_with_many_sizes(&random);
	keep_randomly(&random, 20);
	while (err == 1) {
		uint64_t moved = stats().compact_moved_bytes;

		budget.bytes = 1 + unit_below(&random, 3000);
		err = zsmalloc->compact(pool, &budget, &released);
		unit_require(err == 0 || err == 1);
		moved = stats().compact_moved_bytes - moved;
		unit_require(moved < budget.bytes + SIZES * SIZE_STEP + 16);
	}
	check_contents();
}
END_TEST

START_TEST(number_of_records_is_the_number_of_zspages)
{
	struct unit_random random = unit_seed("number_of_records_is_the_number_of_zspages");

	fill_with_many_sizes(&random);
	uint32_t before = internals()->records.end;
	keep_randomly(&random, 20);
	(void)compact(0, 0);
	ck_assert_uint_lt(internals()->records.end, before);
	ck_assert_uint_le(internals()->records.end, internals()->records.live + internals()->records.live / 16 + 2);
	check_contents();
	/* Record numbers that became free are used again. */
	fill_with_many_sizes(&random);
	ck_assert_uint_le(internals()->records.end, before + before / 4);
	check_contents();
}
END_TEST

START_TEST(mapped_object_keeps_its_zspage)
{
	struct unit_random random = unit_seed("mapped_object_keeps_its_zspage");
	static char *at[OBJECTS];

	fill_with_many_sizes(&random);
	for (unsigned int i = 0; i < OBJECTS; i++)
		at[i] = i % 97 == 0 ? zsmalloc->map(pool, objects[i].handle, ZPOOL_MM_RW) : NULL;
	for (unsigned int i = 0; i < OBJECTS; i++) {
		if (at[i] || unit_below(&random, 5) == 0)
			continue;
		release(objects[i].handle);
		objects[i].handle = 0;
	}
	(void)compact(0, 0);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		if (!at[i])
			continue;
		unit_require(zsmalloc->map(pool, objects[i].handle, ZPOOL_MM_RO) == at[i]);
		unit_require(zsmalloc->unmap(pool, objects[i].handle) == 0);
		unit_require(zsmalloc->unmap(pool, objects[i].handle) == 0);
	}
	check_contents();
	(void)compact(0, 0);
	check_contents();
}
END_TEST

/* Returns how many page tables serve less than an eighth of their pages. */
static unsigned int count_lonely(void)
{
	struct zsmalloc_pool *self = pool;
	unsigned int lonely = 0;

	for (uint32_t segment = 1; segment < self->pages.segments; segment++)
		for (uint32_t page = 0; page < ZP_SEGMENT_PAGES; page += ZP_TABLE_PAGES) {
			unsigned int used = zp_pages_in_table(&self->pages, segment << ZP_SEGMENT_SHIFT | page);

			lonely += used > 0 && used < ZP_TABLE_PAGES / 8;
		}
	return lonely;
}

START_TEST(sparse_zspages_are_merged)
{
	enum { SCATTERED = 12, BETWEEN = 700, COMPANY = 1400 };
	static unsigned long between[SCATTERED * BETWEEN];
	unsigned long scattered[SCATTERED];

	for (unsigned int i = 0; i < COMPANY; i++)
		(void)store(4096);
	for (unsigned int i = 0; i < SCATTERED; i++) {
		for (unsigned int k = 0; k < BETWEEN; k++)
			between[i * BETWEEN + k] = store(4096);
		scattered[i] = store(100 + 200 * i);
	}
	for (unsigned int i = 0; i < SCATTERED * BETWEEN; i++)
		release(between[i]);
	ck_assert_uint_gt(compact(0, 0), 0);
	ck_assert_uint_le(count_lonely(), 1);
	for (unsigned int i = 0; i < SCATTERED; i++)
		unit_require(is_intact(scattered[i], 100 + 200 * i));
	check_sound();
}
END_TEST

START_TEST(eviction_order_survives_renumbering)
{
	struct unit_random random = unit_seed("eviction_order_survives_renumbering");

	fill_with_many_sizes(&random);
	keep_randomly(&random, 25);
	(void)compact(0, 0);
	check_contents();
	/* Zspages are evicted in the order of their stamps. */
	uint64_t stamp = 0;
	while (stats().objects) {
		const struct zsmalloc_zspage *oldest = NULL;
		struct zsmalloc_pool *self = pool;

		for (uint32_t number = 1; number < self->records.end; number++) {
			const struct zsmalloc_header *header = zsmalloc_header(self, number);
			const struct zsmalloc_zspage *zspage = zsmalloc_zspage(self, number);

			if (header->class_index < self->class_count && header->listed &&
			    (!oldest || zspage->stamp < oldest->stamp))
				oldest = zspage;
		}
		unit_require(oldest && oldest->stamp >= stamp);
		stamp = oldest->stamp;
		(void)shrink(1, 0);
	}
	check_sound();
}
END_TEST

/* The number of the newest zspage, which was destroyed, goes to an older one.  That does not become the newest so. */
START_TEST(renumbered_zspage_is_not_taken_for_the_newest_one)
{
	unsigned long gone[2], older, newer[2];

	gone[0] = store(60000);
	older = store(3000);
	newer[0] = store(1000);
	(void)store(3000);
	gone[1] = store(60000);
	release(gone[0]);
	release(gone[1]);
	uint32_t number = zspage_of(newer[0]);
	(void)compact(0, 0);
	ck_assert_uint_ne(zspage_of(newer[0]), number);
	newer[1] = store(1000);
	ck_assert_uint_eq(zspage_of(newer[0]), zspage_of(newer[1]));
	(void)shrink(1, 0);
	ck_assert_uint_eq(evictor.handles[0], older);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zsmalloc: settling");
	TCase *tcase = tcase_create("settling");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, objects_of_the_last_page_move_to_a_larger_class);
	tcase_add_test(tcase, objects_before_the_last_page_stay);
	tcase_add_test(tcase, tail_page_does_not_make_an_older_zspage_younger);
	tcase_add_test(tcase, mapped_tail_stays);
	tcase_add_test(tcase, tails_stay_within_the_budget);
	tcase_add_test(tcase, number_of_records_is_the_number_of_zspages);
	tcase_add_test(tcase, mapped_object_keeps_its_zspage);
	tcase_add_test(tcase, sparse_zspages_are_merged);
	tcase_add_test(tcase, eviction_order_survives_renumbering);
	tcase_add_test(tcase, renumbered_zspage_is_not_taken_for_the_newest_one);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
