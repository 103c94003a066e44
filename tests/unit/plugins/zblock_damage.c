/* SPDX-License-Identifier: MIT
 *
 * The pool is damaged: verify must find the damage, and a caller that writes too far cannot cause any in the metadata.
 */
#include <config.h>

#include "zblock_fixture.h"

enum { SIZE = 1016, SLOTS = 8 };

/* The type 1016 has a full block, one with two free slots, and a spare one; there is also a free record. */
static unsigned long handles[2 * SLOTS];
static struct zblock_pool *inside;
static struct zblock_type *type;
static struct zblock_block *room, *full, *spare;

static void setup_blocks(void)
{
	unsigned long gone[SLOTS];

	setup();
	inside = pool;
	type = &inside->types[inside->type_of[SIZE / 8]];
	for (int i = 0; i < 2 * SLOTS; i++)
		handles[i] = store(SIZE);
	for (int i = 0; i < SLOTS; i++)
		gone[i] = store(SIZE);
	for (int i = 0; i < SLOTS; i++)
		release(gone[i]);
	/* These blocks are too large to be kept as spare ones. */
	for (int i = 0; i < 7; i++)
		gone[i] = store(LARGEST);
	for (int i = 0; i < 7; i++)
		release(gone[i]);
	release(handles[2]);
	release(handles[5]);
	handles[2] = handles[5] = 0;
	put_cached();
	room = zblock_block(inside, type->room);
	full = zblock_block(inside, type->full);
	spare = zblock_block(inside, type->spare);
	ck_assert_uint_eq(room->vacant, 1u << 2 | 1u << 5);
	ck_assert_uint_eq(type->blocks, 3);
	ck_assert_uint_ne(type->spare, ZBLOCK_NONE);
	ck_assert_uint_ne(inside->record_free, ZBLOCK_NONE);
	check_sound();
}

static void expect_fault(const char *words)
{
	harness.error[0] = 0;
	ck_assert_int_eq(zblock->verify(pool), -EUCLEAN);
	ck_assert_msg(strstr(harness.error, words), "not \"%s\" but: %s", words, harness.error);
}

/* Changes a value, checks that verify finds the fault with this message, and restores the value. */
#define DAMAGE(place, value, words)                                                                                    \
	do {                                                                                                           \
		__typeof__((place) + 0) kept = (place);                                                                \
		(place) = (value);                                                                                     \
		expect_fault(words);                                                                                   \
		(place) = kept;                                                                                        \
		check_sound();                                                                                         \
	} while (0)

START_TEST(verify_finds_wrong_counts)
{
	DAMAGE(type->used_slots, type->used_slots + 1, "count of used slots");
	DAMAGE(type->committed_pages, type->committed_pages - 1, "count of pages");
	DAMAGE(type->blocks, 4, "lost a block");
	DAMAGE(type->blocks, 1, "more blocks");
	DAMAGE(type->spare_count, ZBLOCK_SPARE_SLOTS + 1, "keeps more handle slots");
}
END_TEST

START_TEST(verify_finds_broken_lists)
{
	DAMAGE(type->room, ZBLOCK_NONE, "lost a block");
	DAMAGE(type->room, inside->record_end + 5, "contains an invalid number");
	DAMAGE(type->full, type->room, "list of another type, or in the wrong list");
	DAMAGE(type->spare, ZBLOCK_NONE, "lost a block");
	DAMAGE(room->list, ZBLOCK_FULL, "or in the wrong list");
	DAMAGE(spare->list, ZBLOCK_ROOM, "or in the wrong list");
	DAMAGE(room->type, zblock_type_index(room) + 1, "list of another type");
	DAMAGE(full->prev, full->prev + 1, "links");
	DAMAGE(full->next, ZBLOCK_NONE, "contains an invalid number");
}
END_TEST

START_TEST(verify_finds_wrong_maps_of_slots)
{
	DAMAGE(full->vacant, 1, "in the list of full blocks");
	DAMAGE(room->vacant, 0, "or a full block is not");
	DAMAGE(room->vacant, type->all_slots, "empty block");
	DAMAGE(room->vacant, room->vacant | 1u << SLOTS, "beyond its last");
	DAMAGE(spare->vacant, type->all_slots & ~1u, "empty block");
	/* The counts agree here, but one used slot has no object, and one free slot has a live object. */
	type->used_slots++;
	room->vacant &= ~(1u << 2);
	expect_fault("in use without a handle");
	room->vacant |= 1u << 2;
	type->used_slots -= 2;
	room->vacant |= 1u << 3;
	expect_fault("leads to a free slot");
	room->vacant &= ~(1u << 3);
	type->used_slots++;
	check_sound();
}
END_TEST

START_TEST(verify_finds_wrong_memory)
{
	DAMAGE(room->base, room->base + 8, "do not begin on its first page");
	DAMAGE(room->pgno, room->pgno + 1, "do not begin on its first page");
	DAMAGE(room->backed, room->backed & ~1u, "mask of slots with memory");
	DAMAGE(room->committed, 7, "more pages than its type");
	room->committed = 1;
	room->backed = zblock_slots_on(type, 1);
	expect_fault("a page without memory");
	room->committed = 3;
	room->backed = zblock_slots_on(type, 3);
	check_sound();
	/*
	 * The spare block has the pages of its first objects, and the test decommits one of them in the page allocator
	 * only.
	 */
	ck_assert_int_eq(zp_pages_decommit(&inside->pages, spare->pgno, 1), 0);
	expect_fault("disagree");
	ck_assert_int_eq(zp_pages_commit(&inside->pages, spare->pgno, 1, 0), 0);
	check_sound();
}
END_TEST

START_TEST(verify_finds_wrong_records)
{
	uint32_t number = inside->record_free;

	DAMAGE(room->taken, false, "record of a block in use");
	DAMAGE(zblock_block(inside, number)->taken, true, "list of free records");
	DAMAGE(zblock_block(inside, number)->next, number, "list of free records");
	DAMAGE(inside->record_free, ZBLOCK_NONE, "neither free nor in use");
	DAMAGE(inside->record_end, inside->records.ready + 1, "without memory");
}
END_TEST

START_TEST(verify_follows_every_handle)
{
	uint64_t location;
	uint32_t slot;

	ck_assert_int_eq(zp_handles_lookup(&inside->handles, handles[0], &location), 0);
	ck_assert_int_eq(zp_handles_bind(&inside->handles, 0, &slot, 1), 1);
	(void)zp_handles_publish(&inside->handles, slot, location);
	expect_fault("two handles lead to one slot");
	(void)zp_handles_publish(&inside->handles, slot, zblock_location(inside->record_end, 0));
	expect_fault("leads to no block");
	(void)zp_handles_publish(&inside->handles, slot, zblock_location((UINT32_C(1) << ZBLOCK_NUMBER_BITS) - 1, 0));
	expect_fault("leads to no block");
	(void)zp_handles_publish(&inside->handles, slot, zblock_location(inside->record_free, 0));
	expect_fault("leads to no block");
	(void)zp_handles_publish(&inside->handles, slot, zblock_location(type->room, SLOTS));
	expect_fault("leads to a free slot");
	(void)zp_handles_publish(&inside->handles, slot, zblock_location(type->room, 2));
	expect_fault("leads to a free slot");
	/* Freeing the object would free the slot a second time, so the test only releases the handle slot. */
	ck_assert_int_eq(zp_handles_begin_free(&inside->handles,
					       zp_handle_make(&inside->handles, slot,
							      zp_word_generation(atomic_load(
								      zp_handles_word(&inside->handles, slot)))),
					       &slot, &location),
			 0);
	zp_handles_release(&inside->handles, slot);
	check_sound();
}
END_TEST

/* Overwrites every byte of the blocks that belongs to no live object, as wild writes of callers could. */
START_TEST(corrupted_structures_are_detected)
{
	const struct zblock_block *blocks[] = { room, full, spare };
	unsigned long fresh[3 * SLOTS];

	for (int i = 0; i < 3; i++) {
		char *run = zp_pages_address(&inside->pages, blocks[i]->pgno);

		memset(run, 0xff, ZBLOCK_HEAD_BYTES);
		memset(run + ZBLOCK_HEAD_BYTES + SLOTS * SIZE, 0xff, 2 * 4096 - ZBLOCK_HEAD_BYTES - SLOTS * SIZE);
		for (unsigned int slot = 0; slot < SLOTS; slot++)
			if (blocks[i]->vacant >> slot & 1)
				memset(blocks[i]->base + (size_t)slot * SIZE, 0xff, SIZE);
	}
	check_sound();
	for (int i = 0; i < 2 * SLOTS; i++)
		unit_require(!handles[i] || is_intact(handles[i], SIZE));
	for (int i = 0; i < 3 * SLOTS - (2 * SLOTS - 2); i++)
		fresh[i] = store(SIZE);
	ck_assert_uint_eq(type->blocks, 3);
	check_sound();
	for (int i = 0; i < 3 * SLOTS - (2 * SLOTS - 2); i++) {
		unit_require(is_intact(fresh[i], SIZE));
		release(fresh[i]);
	}
	for (int i = 0; i < 2 * SLOTS; i++)
		if (handles[i])
			release(handles[i]);
	check_sound();
	ck_assert_uint_eq(type->used_slots, 0);
}
END_TEST

void add_damage_tests(Suite *suite)
{
	TCase *tcase = tcase_create("damage");

	tcase_add_checked_fixture(tcase, setup_blocks, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, verify_finds_wrong_counts);
	tcase_add_test(tcase, verify_finds_broken_lists);
	tcase_add_test(tcase, verify_finds_wrong_maps_of_slots);
	tcase_add_test(tcase, verify_finds_wrong_memory);
	tcase_add_test(tcase, verify_finds_wrong_records);
	tcase_add_test(tcase, verify_follows_every_handle);
	tcase_add_test(tcase, corrupted_structures_are_detected);
	suite_add_tcase(suite, tcase);
}
