/* SPDX-License-Identifier: MIT
 *
 * table.c - the table of records: growth from the front, trim from the back, and its bound
 */
#include <config.h>

#include "table.h"

#include <errno.h>

#include "strict_source.h"
#include "unit.h"

enum { ENTRIES = 10000, ENTRY_BYTES = 24, ENTRY_WORDS = ENTRY_BYTES / sizeof(uint64_t) };

static struct strict_source source;
static struct zp_pages pages;
static struct zp_table table;
static uint64_t held_at_start;

static void open_table(const struct zpool_page_source *from, uint32_t entry_bytes)
{
	ck_assert_int_eq(zp_pages_init(&pages, from, -1, 0), 0);
	held_at_start = zp_pages_held_bytes(&pages);
	zp_table_init(&table, entry_bytes);
}

static void close_table(void)
{
	zp_table_fini(&table, &pages);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held_at_start);
	zp_pages_fini(&pages);
}

/* Uses the system's page source, whose released memory may be read. */
static void setup(void)
{
	open_table(NULL, ENTRY_BYTES);
}

static void setup_strict(void)
{
	strict_source_init(&source);
	open_table(&source.table, ENTRY_BYTES);
}

static void teardown_strict(void)
{
	close_table();
	ck_assert(strict_source_fini(&source));
}

static uint64_t held(void)
{
	return zp_pages_held_bytes(&pages) - held_at_start;
}

static uint64_t *entry(uint32_t number)
{
	return zp_table_at(&table, number, ENTRY_BYTES);
}

static void grow_to(uint32_t entries)
{
	while (table.ready < entries)
		unit_require(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL) == 0);
}

static void fill(uint32_t from, uint32_t end)
{
	for (uint32_t number = from; number < end; number++)
		for (unsigned int word = 0; word < ENTRY_WORDS; word++) {
			unit_require(entry(number)[word] == 0);
			entry(number)[word] = (uint64_t)number << 8 | word;
		}
}

static void check_filled(uint32_t end)
{
	for (uint32_t number = 0; number < end; number++)
		for (unsigned int word = 0; word < ENTRY_WORDS; word++)
			unit_require(entry(number)[word] == ((uint64_t)number << 8 | word));
}

START_TEST(new_table_has_no_memory)
{
	ck_assert_uint_eq(table.ready, 0);
	ck_assert_uint_eq(held(), 0);
	zp_table_trim(&table, &pages, 0);
	ck_assert_uint_eq(table.ready, 0);
}
END_TEST

START_TEST(entries_keep_their_addresses_while_the_table_grows)
{
	static uint64_t *addresses[ENTRIES];

	for (uint32_t number = 0; number < ENTRIES; number++) {
		grow_to(number + 1);
		addresses[number] = entry(number);
		fill(number, number + 1);
	}
	check_filled(ENTRIES);
	for (uint32_t number = 0; number < ENTRIES; number++)
		unit_require(entry(number) == addresses[number]);
}
END_TEST

START_TEST(each_growth_commits_one_page)
{
	uint32_t ready = 0;

	for (uint64_t grown = 1; table.ready < ENTRIES; grown++) {
		ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL), 0);
		unit_require(table.ready > ready && held() == grown * ZP_PAGE_BYTES);
		ready = table.ready;
	}
}
END_TEST

/* The size of an entry need not divide a page, and may be a whole page. */
START_TEST(entries_of_every_size_have_memory_and_do_not_overlap)
{
	static const uint32_t sizes[] = { 1, 4, 16, 32, 88, 120, 1000, 2049, 4095, 4096 };
	const uint32_t bytes = sizes[_i];

	strict_source_init(&source);
	open_table(&source.table, bytes);
	while (table.ready < 5000) {
		uint32_t ready = table.ready;

		unit_require(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL) == 0 && table.ready > ready);
		for (uint32_t number = ready; number < table.ready; number++)
			memset(zp_table_at(&table, number, bytes), (int)(number % 251), bytes);
	}
	for (uint32_t number = 0; number < table.ready; number++) {
		const unsigned char *at = zp_table_at(&table, number, bytes);

		unit_require(at[0] == number % 251 && at[bytes - 1] == number % 251);
	}
	teardown_strict();
}
END_TEST

START_TEST(trim_releases_whole_pages_from_the_back)
{
	struct unit_random random = unit_seed("trim_releases_whole_pages_from_the_back");
	uint32_t end = ENTRIES;

	grow_to(ENTRIES);
	fill(0, table.ready);
	while (end) {
		uint64_t before = held();

		end = unit_below(&random, end);
		zp_table_trim(&table, &pages, end);
		unit_require(table.ready >= end && held() <= before);
		/* Every page without an entry in use is released, except at the ends of blocks. */
		unit_require(held() <= (uint64_t)end * ENTRY_BYTES + 4 * ZP_PAGE_BYTES);
		check_filled(table.ready);
	}
	zp_table_trim(&table, &pages, 0);
	ck_assert_uint_eq(table.ready, 0);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(entries_read_as_zero_after_they_were_trimmed)
{
	uint64_t *last;

	grow_to(ENTRIES);
	fill(0, table.ready);
	last = entry(ENTRIES - 1);
	zp_table_trim(&table, &pages, 100);
	check_filled(table.ready);
	/* Entries keep their addresses, and other threads may still read them. */
	ck_assert_ptr_eq(entry(ENTRIES - 1), last);
	ck_assert_uint_eq(*last, 0);
	uint32_t ready = table.ready;
	grow_to(ENTRIES);
	fill(ready, table.ready);
	check_filled(table.ready);
	ck_assert_ptr_eq(entry(ENTRIES - 1), last);
}
END_TEST

START_TEST(trim_beyond_the_end_releases_nothing)
{
	uint64_t before;

	grow_to(ENTRIES);
	before = held();
	zp_table_trim(&table, &pages, table.ready);
	zp_table_trim(&table, &pages, ZP_TABLE_ENTRIES_MAX);
	ck_assert_uint_ge(table.ready, ENTRIES);
	ck_assert_uint_eq(held(), before);
}
END_TEST

/* The table cannot release memory that other threads might read, unless the page source lets them read zeroes. */
START_TEST(trim_does_nothing_where_released_memory_cannot_be_read)
{
	uint32_t ready;

	grow_to(ENTRIES);
	fill(0, table.ready);
	ready = table.ready;
	zp_table_trim(&table, &pages, 1);
	ck_assert_uint_eq(table.ready, ready);
	ck_assert_uint_eq(atomic_load(&source.decommits), 0);
	check_filled(table.ready);
}
END_TEST

START_TEST(failed_commit_changes_nothing)
{
	for (uint32_t number = 0; number < ENTRIES; number++) {
		if (number == table.ready) {
			uint64_t before = held();

			atomic_store(&source.commits_left, 0);
			unit_require(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL) < 0);
			unit_require(table.ready == number && held() == before);
			atomic_store(&source.commits_left, -1);
		}
		grow_to(number + 1);
		fill(number, number + 1);
	}
	check_filled(ENTRIES);
}
END_TEST

START_TEST(failed_reservation_changes_nothing)
{
	uint64_t before;

	grow_to(1 << ZP_TABLE_BLOCK_SHIFT);
	fill(0, table.ready);
	before = held();
	atomic_store(&source.reserve_bytes_max, ZP_PAGE_BYTES);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL), -ENOMEM);
	ck_assert_uint_eq(table.ready, 1 << ZP_TABLE_BLOCK_SHIFT);
	ck_assert_uint_eq(held(), before);
	atomic_store(&source.reserve_bytes_max, SIZE_MAX);
	uint32_t ready = table.ready;
	grow_to(ENTRIES);
	fill(ready, table.ready);
	check_filled(table.ready);
}
END_TEST

START_TEST(growth_at_the_limit_fails)
{
	grow_to(100);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages));
	uint32_t ready = table.ready;
	ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL), -ENOMEM);
	ck_assert_uint_eq(table.ready, ready);
	zp_pages_set_limit(&pages, 0);
	ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL), 0);
}
END_TEST

START_TEST(nowait_does_not_grow)
{
	unsigned int commits, reserves;

	/* In the first round growth would need a new block, in the second only a commit. */
	for (int i = 0; i < 2; i++) {
		uint32_t ready = table.ready;

		commits = atomic_load(&source.commits);
		reserves = atomic_load(&source.reserves);
		ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_NOWAIT), -ENOMEM);
		ck_assert_uint_eq(table.ready, ready);
		ck_assert_uint_eq(atomic_load(&source.commits), commits);
		ck_assert_uint_eq(atomic_load(&source.reserves), reserves);
		grow_to(1);
	}
}
END_TEST

/* ---- the bound ---- */

/* A page source that hands out addresses without memory, for tables that are too large for this machine. */
static bool is_imaginary;
static uintptr_t next_address = UINTPTR_MAX / 4;
static uint64_t imaginary_bytes;

static void *reserve(void *context, size_t bytes, size_t align, int node)
{
	uintptr_t address;

	if (!is_imaginary)
		return source.table.reserve(context, bytes, align, node);
	address = (next_address + align - 1) & ~(uintptr_t)(align - 1);
	next_address = address + bytes;
	imaginary_bytes += bytes;
	return (void *)address;
}

static int commit(void *context, void *address, size_t bytes)
{
	return (uintptr_t)address < UINTPTR_MAX / 4 ? source.table.commit(context, address, bytes) : 0;
}

static void release_range(void *context, void *address, size_t bytes)
{
	if ((uintptr_t)address < UINTPTR_MAX / 4)
		source.table.release(context, address, bytes);
	else
		imaginary_bytes -= bytes;
}

START_TEST(table_does_not_grow_beyond_its_bound)
{
	struct zpool_page_source endless;
	uintptr_t before;

	strict_source_init(&source);
	endless = source.table;
	endless.reserve = reserve;
	endless.commit = commit;
	endless.release = release_range;
	open_table(&endless, 4);
	is_imaginary = true;
	while (zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL) == 0)
		continue;
	ck_assert_uint_eq(table.ready, ZP_TABLE_ENTRIES_MAX);
	ck_assert_uint_eq(held(), (uint64_t)ZP_TABLE_ENTRIES_MAX * 4);
	ck_assert_int_eq(zp_table_grow(&table, &pages, ZPOOL_GFP_KERNEL), -ENOMEM);
	ck_assert_uint_eq(table.ready, ZP_TABLE_ENTRIES_MAX);
	/* The entries of a block are contiguous. */
	before = (uintptr_t)zp_table_at(&table, ZP_TABLE_ENTRIES_MAX / 2, 4);
	ck_assert_uint_eq((uintptr_t)zp_table_at(&table, ZP_TABLE_ENTRIES_MAX - 1, 4) - before,
			  ((uintptr_t)ZP_TABLE_ENTRIES_MAX / 2 - 1) * 4);
	teardown_strict();
	ck_assert_uint_eq(imaginary_bytes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/table");
	TCase *plain = tcase_create("table"), *strict = tcase_create("strict"), *own = tcase_create("own");

	tcase_add_checked_fixture(plain, setup, close_table);
	tcase_add_test(plain, new_table_has_no_memory);
	tcase_add_test(plain, entries_keep_their_addresses_while_the_table_grows);
	tcase_add_test(plain, each_growth_commits_one_page);
	tcase_add_test(plain, trim_releases_whole_pages_from_the_back);
	tcase_add_test(plain, entries_read_as_zero_after_they_were_trimmed);
	tcase_add_test(plain, trim_beyond_the_end_releases_nothing);
	tcase_add_test(plain, growth_at_the_limit_fails);
	tcase_add_checked_fixture(strict, setup_strict, teardown_strict);
	tcase_add_test(strict, trim_does_nothing_where_released_memory_cannot_be_read);
	tcase_add_test(strict, failed_commit_changes_nothing);
	tcase_add_test(strict, failed_reservation_changes_nothing);
	tcase_add_test(strict, nowait_does_not_grow);
	tcase_add_loop_test(own, entries_of_every_size_have_memory_and_do_not_overlap, 0, 10);
	tcase_add_test(own, table_does_not_grow_beyond_its_bound);
	tcase_set_timeout(own, 120);
	suite_add_tcase(suite, plain);
	suite_add_tcase(suite, strict);
	suite_add_tcase(suite, own);
	return suite_run(suite);
}
