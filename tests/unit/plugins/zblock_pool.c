/* SPDX-License-Identifier: MIT
 *
 * Tests of the pool as a whole: NOWAIT, the limit, the reserve, the page source, and the release of memory.
 */
#include <config.h>

#include "zblock_fixture.h"

#include "strict_source.h"

static unsigned long handles[OBJECTS];

START_TEST(nowait_uses_held_memory)
{
	unsigned long handle, kept[64];
	uint64_t held;
	unsigned int more = 0;

	ck_assert_int_eq(zblock->malloc(pool, 300, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	(void)store(300);
	held = zblock->total_size(pool);
	/* NOWAIT calls fill the rest of the block of 13 slots, because all of its one page has memory. */
	while (zblock->malloc(pool, 300, ZPOOL_GFP_NOWAIT, &handle) == 0 && more < 100)
		more++;
	ck_assert_uint_eq(more, 12);
	/* Of a block of 8 pages, NOWAIT calls get only the slots on the first page. */
	(void)store(2100);
	ck_assert_int_eq(zblock->malloc(pool, 2100, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	check_sound();
	/* The reserve gives NOWAIT calls whole blocks with their memory. */
	for (int i = 0; i < 64; i++)
		kept[i] = store(LARGEST);
	held = zblock->total_size(pool);
	for (int i = 0; i < 64; i++)
		release(kept[i]);
	for (int i = 0; i < 14; i++)
		ck_assert_int_eq(zblock->malloc(pool, LARGEST, ZPOOL_GFP_NOWAIT | ZPOOL_GFP_ZERO, &kept[i]), 0);
	ck_assert_uint_le(zblock->total_size(pool), held);
	check_sound();
	for (int i = 0; i < 14; i++)
		release(kept[i]);
}
END_TEST

START_TEST(nowait_skips_a_block_without_memory)
{
	unsigned long handle, kept[30];

	/* In the last of three blocks of ten slots, trim decommits the pages without an object. */
	for (int i = 0; i < 30; i++)
		kept[i] = store(3272);
	release(kept[5]);
	for (int i = 21; i < 30; i++)
		release(kept[i]);
	(void)trim();
	ck_assert_uint_eq(ready_slots(), 1);
	ck_assert_int_eq(zblock->malloc(pool, 3272, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_ptr_eq(address_of(handle), address_of(kept[4]) + 3272);
	ck_assert_int_eq(zblock->malloc(pool, 3272, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	check_sound();
	ck_assert_int_eq(zblock->malloc(pool, 3272, 0, &handle), 0);
	ck_assert_uint_eq(type_stats(3272).zspages, 3);
}
END_TEST

/* A block with memory for another object comes first, however many blocks without it trim has left. */
START_TEST(blocks_with_memory_are_used_first)
{
	enum { BLOCKS = 12, SLOTS = 10 };
	unsigned long kept[BLOCKS * SLOTS], handle;

	for (int i = 0; i < BLOCKS * SLOTS; i++)
		kept[i] = store(3272);
	release(kept[(BLOCKS - 1) * SLOTS]);
	for (int i = 0; i < (BLOCKS - 1) * SLOTS; i++)
		if (i % SLOTS >= 6)
			release(kept[i]);
	(void)trim();
	ck_assert_uint_eq(ready_slots(), 1);
	ck_assert_int_eq(zblock->malloc(pool, 3272, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_ptr_eq(address_of(handle), address_of(kept[(BLOCKS - 1) * SLOTS + 1]) - 3272);
	ck_assert_int_eq(zblock->malloc(pool, 3272, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
}
END_TEST

START_TEST(limit_does_not_prevent_use_of_committed_slots)
{
	unsigned long kept[20], handle;

	for (int i = 0; i < 20; i++)
		kept[i] = store(3272);
	release(kept[10]);
	for (int i = 5; i < 10; i++)
		release(kept[i]);
	/* The first block keeps memory for one of its free slots, and the second has memory for its only free slot. */
	(void)trim();
	ck_assert_uint_eq(ready_slots(), 2);
	zblock->set_limit(pool, zblock->total_size(pool));
	ck_assert_int_eq(zblock->malloc(pool, 3272, 0, &handle), 0);
	ck_assert_ptr_eq(address_of(handle), address_of(kept[4]) + 3272);
	ck_assert_int_eq(zblock->malloc(pool, 3272, 0, &handle), 0);
	ck_assert_ptr_eq(address_of(handle), address_of(kept[11]) - 3272);
	ck_assert_int_eq(zblock->malloc(pool, 3272, 0, &handle), -ENOMEM);
	check_sound();
}
END_TEST

START_TEST(nowait_never_waits_for_a_lock)
{
	struct zblock_pool *inside = pool;
	unsigned long handle = 12345;

	(void)store(1000);
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		if (inside->types[i].slot_bytes == 1016)
			zp_lock(&inside->types[i].lock);
	ck_assert_int_eq(zblock->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	ck_assert_uint_eq(handle, 12345);
	/* The lock of one type does not affect other types.  Locks of larger slots come later in the locking order. */
	(void)store(2000);
	ck_assert_int_eq(zblock->malloc(pool, 3000, 0, &handle), 0);
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		if (inside->types[i].slot_bytes == 1016)
			zp_unlock(&inside->types[i].lock);
	ck_assert_uint_eq(stats().malloc_failed_again, 1);
	ck_assert_int_eq(zblock->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), 0);
	/* A new block needs a record, so the call needs record_lock. */
	zp_lock(&inside->record_lock);
	ck_assert_int_eq(zblock->malloc(pool, 4000, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	zp_unlock(&inside->record_lock);
	ck_assert_uint_eq(stats().malloc_failed_again, 2);
}
END_TEST

START_TEST(failures_leak_nothing)
{
	struct zblock_pool *inside = pool;
	unsigned long handle;
	uint64_t taken, records;

	(void)store(LARGEST);
	(void)trim();
	taken = zp_handles_taken(&inside->handles);
	ck_assert_uint_eq(taken, 1);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(zblock->malloc(pool, 2500, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	check_sound();
	/* A record and a handle slot may be kept for the next such call, and trim releases them. */
	ck_assert_uint_le(zp_handles_taken(&inside->handles), taken + 1);
	ck_assert_uint_le(inside->record_end, 3);
	records = inside->record_end;
	zblock->set_limit(pool, zblock->total_size(pool));
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(zblock->malloc(pool, 2500, 0, &handle), -ENOMEM);
	check_sound();
	ck_assert_uint_le(inside->record_end, records + 1);
	(void)trim();
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), taken);
	ck_assert_uint_eq(inside->record_end, 2);
	ck_assert_uint_eq(stats().malloc_failed_memory, 20);
	ck_assert_uint_eq(stats().malloc_failed_limit, 20);
}
END_TEST

START_TEST(limit_holds_exactly_and_at_run_time)
{
	uint64_t limit = zblock->total_size(pool) + (1 << 20);
	unsigned long handle, last = 0;

	ck_assert_int_eq(zblock->set_limit(pool, limit), 0);
	for (size_t size = 3000; zblock->malloc(pool, size, 0, &handle) == 0; size ^= 1)
		last = handle;
	ck_assert_uint_le(zblock->total_size(pool), limit);
	ck_assert_uint_gt(zblock->total_size(pool), limit - 4 * ZP_PAGE_BYTES);
	ck_assert_uint_eq(stats().malloc_failed_limit, 1);
	check_sound();
	release(last);
	ck_assert_int_eq(zblock->malloc(pool, 3000, 0, &handle), 0);
	ck_assert_int_eq(zblock->set_limit(pool, 0), 0);
	ck_assert_int_eq(zblock->malloc(pool, 3000, 0, &handle), 0);
	ck_assert_uint_eq(stats().pool_bytes_peak, zblock->total_size(pool));
}
END_TEST

/* Stores objects until the pool reaches its limit, from handles[count] on. */
static int fill(size_t size, int count)
{
	while (count < OBJECTS && zblock->malloc(pool, size, 0, &handles[count]) == 0)
		count++;
	ck_assert_int_lt(count, OBJECTS);
	return count;
}

/* In a pool of many blocks, a malloc at the limit finds the pages that the few frees since the last malloc emptied. */
START_TEST(malloc_at_the_limit_uses_pages_emptied_by_few_frees)
{
	enum { SIZE = 3632, SLOTS = 9, BLOCKS = 100, PAGE_OBJECTS = 8 };
	int count;

	zblock->set_limit(pool, UINT64_C(16) << 20);
	count = fill(SIZE, 0);
	ck_assert_int_gt(count, BLOCKS * SLOTS);
	count = fill(120, count);
	count = fill(504, count);
	for (int block = 0; block < BLOCKS; block++) {
		int before = count;

		/*
		 * Two pages lie between the beginning of slot 3 and the end of slot 5; the records may need one of
		 * them.
		 */
		for (int slot = 3; slot <= 5; slot++)
			release(handles[block * SLOTS + slot]);
		count = fill(504, before);
		ck_assert_int_ge(count - before, PAGE_OBJECTS);
	}
}
END_TEST

START_TEST(limit_too_small_for_a_pool_is_explained)
{
	struct harness small;
	struct zpool_create_args args = harness_args(&small, zblock);

	args.limit_bytes = 1000;
	ck_assert_int_eq(harness_create(&small, &args), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(small.error, "1000 bytes"));
}
END_TEST

START_TEST(reserve_can_be_chosen_and_changed)
{
	enum { BLOCKS = 200 };
	struct zpool_value value = { .key = "reserve", .number = 100 * 4096, .given = 1 };
	struct harness own;
	struct zpool_create_args args = harness_args(&own, zblock);
	struct zpool_class_stats type = { .object_bytes = 2040 };
	uint64_t held;

	args.values = &value;
	args.value_count = 1;
	ck_assert_int_eq(harness_create(&own, &args), 0);
	for (int i = 0; i < BLOCKS * 8; i++)
		ck_assert_int_eq(zblock->malloc(own.pool, 2040, 0, &handles[i]), 0);
	held = zblock->total_size(own.pool);
	/* This frees 25 blocks of 4 pages. */
	for (int i = 0; i < 25 * 8; i++)
		zblock->free(own.pool, handles[i]);
	ck_assert_uint_eq(zblock->total_size(own.pool), held);
	/* This also frees the slots that the thread caches. */
	ck_assert_int_eq(zblock->each_class(own.pool, note_class, &type), 0);
	value.number = 10 * 4096;
	ck_assert_int_eq(zblock->set(own.pool, 0, &value), 0);
	ck_assert_int_eq(zblock->set(own.pool, 1, &value), -EINVAL);
	ck_assert_uint_eq(zblock->total_size(own.pool), held - 90 * 4096);
	zblock->destroy(own.pool);
}
END_TEST

START_TEST(trim_returns_all_pages_of_an_empty_allocator)
{
	uint64_t start;

	(void)trim();
	start = zblock->total_size(pool);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < OBJECTS; i++)
			handles[i] = store(1 + (size_t)i % 500);
		check_sound();
		for (int i = 0; i < OBJECTS; i++)
			release(handles[i]);
		check_sound();
		(void)trim();
		check_sound();
		/* The first pages of the tables of records, handles and pages stay. */
		ck_assert_uint_le(zblock->total_size(pool), start + (64 << 10));
	}
}
END_TEST

START_TEST(records_are_reused)
{
	struct zblock_pool *inside = pool;
	uint32_t records;

	for (int i = 0; i < 20000; i++)
		handles[i] = store(4000);
	records = inside->record_end;
	ck_assert_uint_ge(records, 20000 / 7);
	/* Each round frees every other block, so that free records are not in the order of their numbers. */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20000; i++)
			if (i / 7 % 2 == round % 2)
				release(handles[i]);
		check_sound();
		if (round == 1)
			(void)trim();
		for (int i = 0; i < 20000; i++)
			if (i / 7 % 2 == round % 2)
				handles[i] = store(4000);
		ck_assert_uint_le(inside->record_end, records);
		check_sound();
	}
	for (int i = 0; i < 20000; i++)
		unit_require(is_intact(handles[i], 4000));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A page source of the host
 */

static struct strict_source source;

static void setup_strict(void)
{
	struct zpool_create_args args = harness_args(&harness, zblock);

	strict_source_init(&source);
	args.page_source = &source.table;
	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static void teardown_strict(void)
{
	teardown();
	ck_assert(strict_source_fini(&source));
}

/* The pool holds exactly the memory that the source gave and the pool's own structure. */
static void check_books(void)
{
	check_sound();
	ck_assert_uint_eq(zblock->total_size(pool), atomic_load(&source.committed_bytes) + sizeof(struct zblock_pool));
}

START_TEST(page_source_supplies_all_held_memory)
{
	for (int i = 0; i < 5000; i++)
		handles[i] = store((size_t)(i * 7 % LARGEST + 1));
	check_books();
	for (int i = 0; i < 5000; i += 2)
		release(handles[i]);
	check_books();
	(void)trim();
	check_books();
	for (int i = 1; i < 5000; i += 2)
		unit_require(is_intact(handles[i], (size_t)(i * 7 % LARGEST + 1)));
	for (int i = 0; i < 5000; i += 2)
		handles[i] = store((size_t)(i * 3 % LARGEST + 1));
	check_books();
}
END_TEST

/* The source starts to refuse memory after each possible number of pages. */
START_TEST(page_source_that_refuses_memory_loses_nothing)
{
	unsigned int stored = 0;

	for (int budget = 0; budget < 60; budget++) {
		unsigned int before = stored;
		int err;

		atomic_store(&source.commits_left, budget % 7);
		do {
			err = zblock->malloc(pool, stored * 61 % LARGEST + 1, 0, &handles[stored]);
			stored += err == 0;
		} while (!err && stored < OBJECTS);
		ck_assert_int_eq(err, -ENOMEM);
		atomic_store(&source.commits_left, -1);
		check_books();
		for (unsigned int i = before; i < stored; i += 3) {
			release(handles[i]);
			handles[i] = store(i * 61 % LARGEST + 1);
		}
		check_books();
	}
	ck_assert_uint_ge(stats().malloc_failed_memory, 60);
	ck_assert_uint_eq(stats().malloc_failed_limit, 0);
	ck_assert_uint_eq(stats().objects, stored);
	for (unsigned int i = 0; i < stored; i++)
		release(handles[i]);
	ck_assert_uint_eq(stats().objects, 0);
}
END_TEST

START_TEST(page_source_that_refuses_decommit_loses_nothing)
{
	uint64_t pages;

	for (int i = 0; i < 700; i++)
		handles[i] = store(LARGEST);
	for (int i = 0; i < 700; i++)
		if (i % 7)
			release(handles[i]);
	pages = stats().pages;
	atomic_store(&source.refuse_decommit, true);
	(void)trim();
	check_books();
	ck_assert_uint_eq(stats().pages, pages);
	for (int i = 0; i < 700; i += 7)
		unit_require(is_intact(handles[i], LARGEST));
	atomic_store(&source.refuse_decommit, false);
	ck_assert_uint_ge(trim(), 500 * 4096);
	check_books();
	ck_assert_uint_eq(stats().pages, 200);
	for (int i = 0; i < 700; i += 7)
		unit_require(is_intact(handles[i], LARGEST));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A page source that refuses slowly, while other threads free objects
 */

static struct zpool_page_source interrupted;
static unsigned int frees_meanwhile;
static bool refusing; /* true if the source refuses from then on */

static int free_and_refuse(void *context, void *address, size_t bytes)
{
	if (frees_meanwhile == 0 && !refusing)
		return source.table.commit(context, address, bytes);
	/* A free may request memory for its thread's cache, and call this function again. */
	unsigned int frees = frees_meanwhile;
	frees_meanwhile = 0;
	while (frees)
		release(handles[--frees]);
	return -ENOMEM;
}

static void setup_interrupted(void)
{
	struct zpool_create_args args = harness_args(&harness, zblock);

	strict_source_init(&source);
	interrupted = source.table;
	interrupted.commit = free_and_refuse;
	frees_meanwhile = 0;
	refusing = false;
	args.page_source = &interrupted;
	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

START_TEST(slots_freed_while_the_source_refuses_a_block_are_used)
{
	char *freed;

	for (int i = 0; i < 24; i++)
		handles[i] = store(1016);
	freed = address_of(handles[0]);
	frees_meanwhile = 1;
	handles[0] = store(1016);
	ck_assert_uint_eq(frees_meanwhile, 0);
	ck_assert_ptr_eq(address_of(handles[0]), freed);
	ck_assert_uint_eq(type_stats(1016).fullness[10], 3);
	ck_assert_uint_eq(stats().malloc_failed_memory, 0);
}
END_TEST

START_TEST(refused_block_leaks_no_slot_of_the_handle_table)
{
	struct zblock_pool *inside = pool;
	unsigned long handle;

	/* If the thread cached slots, the malloc would use them. */
	harness_occupy_seats(&inside->caches);
	for (int i = 0; i < 24; i++)
		handles[i] = store(2040);
	/*
	 * The test frees two whole blocks, whose pages are released.  The type then keeps as many handle slots as it
	 * may.
	 */
	zp_pages_set_reserve(&inside->pages, 0);
	frees_meanwhile = 16;
	refusing = true;
	ck_assert_int_eq(zblock->malloc(pool, 2040, 0, &handle), -ENOMEM);
	ck_assert_uint_eq(frees_meanwhile, 0);
	check_sound();
	(void)trim();
	ck_assert_uint_eq(zp_handles_taken(&inside->handles), 8);
	ck_assert_uint_eq(stats().objects, 8);
}
END_TEST

/* The second attempt uses the slots that frees left while the source refused memory for a block. */
START_TEST(freed_blocks_are_used_while_the_source_refuses_a_block)
{
	for (int i = 0; i < 24; i++)
		handles[i] = store(2040);
	frees_meanwhile = 16;
	handles[0] = store(2040);
	ck_assert_uint_eq(frees_meanwhile, 0);
	ck_assert_uint_eq(stats().malloc_failed_memory, 0);
}
END_TEST

void add_pool_tests(Suite *suite)
{
	TCase *nowait = tcase_in(suite, "nowait"), *whole = tcase_in(suite, "pool");
	TCase *strict = tcase_create("source"), *interrupts = tcase_create("interrupted source");

	tcase_add_test(nowait, nowait_uses_held_memory);
	tcase_add_test(nowait, nowait_skips_a_block_without_memory);
	tcase_add_test(nowait, blocks_with_memory_are_used_first);
	tcase_add_test(nowait, nowait_never_waits_for_a_lock);
	tcase_add_test(whole, limit_does_not_prevent_use_of_committed_slots);
	tcase_add_test(whole, failures_leak_nothing);
	tcase_add_test(whole, limit_holds_exactly_and_at_run_time);
	tcase_add_test(whole, malloc_at_the_limit_uses_pages_emptied_by_few_frees);
	tcase_add_test(whole, limit_too_small_for_a_pool_is_explained);
	tcase_add_test(whole, reserve_can_be_chosen_and_changed);
	tcase_add_test(whole, trim_returns_all_pages_of_an_empty_allocator);
	tcase_add_test(whole, records_are_reused);
	tcase_add_checked_fixture(strict, setup_strict, teardown_strict);
	tcase_set_timeout(strict, 300);
	tcase_add_test(strict, page_source_supplies_all_held_memory);
	tcase_add_test(strict, page_source_that_refuses_memory_loses_nothing);
	tcase_add_test(strict, page_source_that_refuses_decommit_loses_nothing);
	suite_add_tcase(suite, strict);
	tcase_add_checked_fixture(interrupts, setup_interrupted, teardown_strict);
	tcase_add_test(interrupts, slots_freed_while_the_source_refuses_a_block_are_used);
	tcase_add_test(interrupts, refused_block_leaks_no_slot_of_the_handle_table);
	tcase_add_test(interrupts, freed_blocks_are_used_while_the_source_refuses_a_block);
	suite_add_tcase(suite, interrupts);
}
