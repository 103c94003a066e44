/* SPDX-License-Identifier: MIT */
#include "os_pages.h"

#include "unit.h"

static const struct zpool_page_source *const os = &zp_os_pages;

START_TEST(reservation_is_aligned_and_zero)
{
	for (size_t align = 4096; align <= (size_t)8 << 20; align *= 2) {
		char *at = os->reserve(os->context, 3 * 4096, align, -1);

		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % align, 0);
		ck_assert_int_eq(os->commit(os->context, at, 3 * 4096), 0);
		for (size_t i = 0; i < 3 * 4096; i += 64)
			ck_assert_int_eq(at[i], 0);
		at[0] = at[3 * 4096 - 1] = 1;
		os->release(os->context, at, 3 * 4096);
	}
}
END_TEST

START_TEST(decommitted_pages_read_as_zero_and_their_neighbours_stay)
{
	size_t bytes = 64 * 4096;
	char *at = os->reserve(os->context, bytes, 4096, -1);

	memset(at, 0x55, bytes);
	ck_assert_int_eq(os->decommit(os->context, at + 5 * 4096, 7 * 4096), 0);
	for (size_t i = 0; i < bytes; i += 128)
		ck_assert_int_eq(at[i], i / 4096 >= 5 && i / 4096 < 12 ? 0 : 0x55);
	os->release(os->context, at, bytes);
}
END_TEST

START_TEST(a_node_is_a_wish_whether_or_not_it_exists)
{
	static const int nodes[] = { 0, 1, 63, 1023, 5000 };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char *at = os->reserve(os->context, 4096, 4096, nodes[i]);

		ck_assert_ptr_nonnull(at);
		*at = 1;
		os->release(os->context, at, 4096);
	}
}
END_TEST

START_TEST(reservation_that_cannot_be_gives_null)
{
	ck_assert_ptr_null(os->reserve(os->context, 0, 4096, -1));
	ck_assert_ptr_null(os->reserve(os->context, SIZE_MAX - 4095, 4096, -1));
	ck_assert_ptr_null(os->reserve(os->context, SIZE_MAX / 2 + 1, (size_t)1 << (8 * sizeof(size_t) - 2), -1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/os_pages");
	TCase *pages = tcase_create("os_pages");

	tcase_add_test(pages, reservation_is_aligned_and_zero);
	tcase_add_test(pages, decommitted_pages_read_as_zero_and_their_neighbours_stay);
	tcase_add_test(pages, a_node_is_a_wish_whether_or_not_it_exists);
	tcase_add_test(pages, reservation_that_cannot_be_gives_null);
	suite_add_tcase(suite, pages);
	return unit_run(suite);
}
