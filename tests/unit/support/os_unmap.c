/* SPDX-License-Identifier: MIT
 *
 * Ranges that the system refuses to unmap. This program's own munmap(2) stands before that of the C library.
 */
#include "unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "os_unmap.h"

enum { PAGES = 300 };

static size_t page_bytes;
static bool refuses;
static size_t unmapped_bytes;

int munmap(void *address, size_t bytes)
{
	if (refuses) {
		errno = ENOMEM;
		return -1;
	}
	unmapped_bytes += bytes;
	return (int)syscall(SYS_munmap, address, bytes);
}

static char *map_pages(size_t count)
{
	char *at = mmap(NULL, count * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

static void set_up(void)
{
	page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	refuses = false;
	unmapped_bytes = 0;
}

START_TEST(refused_range_releases_its_memory)
{
	char *at = map_pages(1);

	at[0] = 7;
	refuses = true;
	errno = ERANGE;
	zp_os_unmap(at, page_bytes);
	ck_assert_int_eq(errno, ERANGE);
	ck_assert_int_eq(at[0], 0);
	refuses = false;
	zp_os_unmap(map_pages(1), page_bytes);
	ck_assert_uint_eq(unmapped_bytes, 2 * page_bytes);
}
END_TEST

START_TEST(refused_ranges_are_unmapped_by_the_next_call)
{
	char *at[10], *between = map_pages(1);

	for (int i = 0; i < 10; i++)
		at[i] = map_pages((size_t)i + 1);
	refuses = true;
	for (int i = 0; i < 10; i++)
		zp_os_unmap(at[i], ((size_t)i + 1) * page_bytes);
	refuses = false;
	zp_os_unmap(between, page_bytes);
	ck_assert_uint_eq(unmapped_bytes, 56 * page_bytes);
	zp_os_unmap(map_pages(1), page_bytes);
	ck_assert_uint_eq(unmapped_bytes, 57 * page_bytes);
}
END_TEST

/* The number of ranges that are remembered is limited, but ranges beside each other count as one. */
START_TEST(adjacent_ranges_are_merged)
{
	char *at = map_pages(PAGES);

	refuses = true;
	for (size_t i = 0; i < PAGES / 2; i++) {
		zp_os_unmap(at + (PAGES / 2 + i) * page_bytes, page_bytes);
		zp_os_unmap(at + (PAGES / 2 - 1 - i) * page_bytes, page_bytes);
	}
	refuses = false;
	zp_os_unmap(map_pages(1), page_bytes);
	ck_assert_uint_eq(unmapped_bytes, (PAGES + 1) * page_bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("os_unmap");
	TCase *tcase = tcase_create("os_unmap");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_test(tcase, refused_range_releases_its_memory);
	tcase_add_test(tcase, refused_ranges_are_unmapped_by_the_next_call);
	tcase_add_test(tcase, adjacent_ranges_are_merged);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
