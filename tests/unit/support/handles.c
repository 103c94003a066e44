/* SPDX-License-Identifier: MIT
 *
 * This program is built twice: with this machine's layout of handles, and with that of 32-bit machines.
 */
#include <config.h>

#include "handles_fixture.h"

#include <pthread.h>

START_TEST(handle_leads_to_location_and_payload)
{
	enum { OBJECTS = 3000 };
	static unsigned long handle[OBJECTS];
	uint64_t location;

	for (uint64_t i = 0; i < OBJECTS; i++)
		handle[i] = store(ZP_LOCATION_MASK - i);
	for (uint64_t i = 0; i < OBJECTS; i++) {
		unit_require(zp_handles_pin(&handles, handle[i], &location) == 0);
		unit_require(location == ZP_LOCATION_MASK - i);
		unit_require(*(uint64_t *)zp_handles_payload(&handles, zp_handle_slot(handle[i])) == ~location);
		unit_require(zp_handles_unpin(&handles, handle[i]) == 0);
	}
	unit_require(zp_handles_taken(&handles) == OBJECTS);
	for (uint64_t i = 0; i < OBJECTS; i++)
		drop(handle[i]);
	unit_require(zp_handles_taken(&handles) == 0);
}
END_TEST

START_TEST(freed_handles_are_refused_even_if_the_slot_is_reused)
{
	unsigned long old[1000], now;

	for (int i = 0; i < 1000; i++) {
		old[i] = store((uint64_t)i);
		drop(old[i]);
	}
	now = store(7);
	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(zp_handle_slot(old[i]), zp_handle_slot(now));
		check_refused(old[i]);
	}
	drop(now);
	check_refused(now);
}
END_TEST

START_TEST(invalid_handles_are_refused)
{
	unsigned long handle = store(1);

	check_refused(0);
	if (handle != 1)
		check_refused(1);
	check_refused(ULONG_MAX);
	for (unsigned int bit = 0; bit < ZP_HANDLE_SLOT_BITS + ZP_HANDLE_GENERATION_BITS + ZP_HANDLE_TAG_BITS; bit++)
		check_refused(handle ^ 1ul << bit);
}
END_TEST

/*
 * Of the handles of another pool, about one in 2^(tag + generation bits) is accepted.  In the narrow layout, that is 4
 * of the 2^14 handles on average.  But the first generations of slots follow from one secret a pool, and where the
 * secrets of two pools are alike, many handles pass together.  So a few pools may exceed that number by far.
 */
START_TEST(foreign_handles_are_accepted_as_rarely_as_documented)
{
	enum { OBJECTS = 1 << 14, POOLS = 8 };
	static unsigned long foreign[OBJECTS];
	uint64_t location;
	unsigned int exceeded = 0;

	for (uint64_t i = 0; i < OBJECTS; i++)
		foreign[i] = store(i);
	for (int pool = 0; pool < POOLS; pool++) {
		unsigned int passed = 0;

		zp_handles_fini(&handles);
		ck_assert_int_eq(zp_handles_init(&handles, &pages, 8, 0), 0);
		for (uint64_t i = 0; i < OBJECTS; i++)
			store(i);
		for (int i = 0; i < OBJECTS; i++)
			passed += zp_handles_lookup(&handles, foreign[i], &location) == 0;
		exceeded += passed > (ZP_HANDLE_NARROW ? 24 : 1);
	}
	ck_assert_uint_le(exceeded, ZP_HANDLE_NARROW ? 2 : 0);
}
END_TEST

START_TEST(sixty_pins_are_the_maximum)
{
	unsigned long handle = store(5);
	uint64_t location;
	uint32_t slot;

	ck_assert_int_eq(zp_handles_unpin(&handles, handle), -EINVAL);
	for (int i = 0; i < ZP_PINS_MAX; i++)
		ck_assert_int_eq(zp_handles_pin(&handles, handle, &location), 0);
	ck_assert_int_eq(zp_handles_pin(&handles, handle, &location), -EBUSY);
	ck_assert_uint_eq(zp_handles_mapped(&handles), 1);
	ck_assert_int_eq(zp_handles_lookup(&handles, handle, &location), 0);
	ck_assert(!zp_handles_is_idle(&handles, handle));
	for (int i = 0; i < ZP_PINS_MAX; i++) {
		ck_assert_int_eq(zp_handles_begin_free(&handles, handle, &slot, &location), -EBUSY);
		ck_assert_int_eq(zp_handles_begin_move(&handles, zp_handle_slot(handle), &location), -EBUSY);
		ck_assert_int_eq(zp_handles_unpin(&handles, handle), 0);
	}
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), -EINVAL);
	ck_assert(zp_handles_is_idle(&handles, handle));
	drop(handle);
}
END_TEST

START_TEST(exclusive_pin_excludes_other_threads)
{
	unsigned long handle = store(5);
	uint64_t location;
	uint32_t slot;

	ck_assert(!zp_handles_end_exclusive(&handles, handle));
	ck_assert(zp_handles_begin_exclusive(&handles, handle, &location));
	ck_assert_uint_eq(location, 5);
	ck_assert_uint_eq(zp_handles_mapped(&handles), 1);
	ck_assert(!zp_handles_is_idle(&handles, handle));
	ck_assert(!zp_handles_begin_exclusive(&handles, handle, &location));
	ck_assert_int_eq(zp_handles_pin(&handles, handle, &location), -EAGAIN);
	ck_assert_int_eq(zp_handles_begin_free(&handles, handle, &slot, &location), -EBUSY);
	ck_assert_int_eq(zp_handles_begin_move(&handles, zp_handle_slot(handle), &location), -EBUSY);
	ck_assert_int_eq(zp_handles_lookup(&handles, handle, &location), 0);
	ck_assert(zp_handles_end_exclusive(&handles, handle));
	ck_assert(!zp_handles_end_exclusive(&handles, handle));
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), -EINVAL);
	ck_assert(zp_handles_begin_exclusive(&handles, handle, &location));
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), 0);
	ck_assert(zp_handles_is_idle(&handles, handle));
	drop(handle);
	ck_assert(!zp_handles_begin_exclusive(&handles, handle, &location));
}
END_TEST

START_TEST(shared_exclusive_pin_becomes_an_ordinary_one)
{
	unsigned long handle = store(5);
	uint64_t location;

	zp_handles_share(&handles, handle);
	ck_assert(zp_handles_is_idle(&handles, handle));
	ck_assert(zp_handles_begin_exclusive(&handles, handle, &location));
	zp_handles_share(&handles, handle);
	ck_assert(!zp_handles_end_exclusive(&handles, handle));
	ck_assert_int_eq(zp_handles_pin(&handles, handle, &location), 0);
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), 0);
	ck_assert(!zp_handles_is_idle(&handles, handle));
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), 0);
	ck_assert_int_eq(zp_handles_unpin(&handles, handle), -EINVAL);
	drop(handle);
	zp_handles_share(&handles, handle);
	check_refused(handle);
}
END_TEST

START_TEST(object_being_freed_is_refused_to_other_threads)
{
	unsigned long handle = store(5);
	uint64_t location;
	uint32_t slot, other;

	ck_assert_int_eq(zp_handles_begin_free(&handles, handle, &slot, &location), 0);
	ck_assert_uint_eq(location, 5);
	ck_assert_int_eq(zp_handles_pin(&handles, handle, &location), -EINVAL);
	ck_assert_int_eq(zp_handles_begin_free(&handles, handle, &other, &location), -EINVAL);
	ck_assert_int_eq(zp_handles_begin_move(&handles, slot, &location), -EINVAL);
	zp_handles_release(&handles, slot);
	check_refused(handle);
}
END_TEST

static void *pin_and_return_location(void *arg)
{
	uint64_t location = 0;

	ck_assert_int_eq(zp_handles_pin(&handles, *(unsigned long *)arg, &location), 0);
	ck_assert_int_eq(zp_handles_unpin(&handles, *(unsigned long *)arg), 0);
	return (void *)(uintptr_t)location;
}

START_TEST(reader_waits_for_the_end_of_a_move)
{
	unsigned long handle = store(5);
	struct timespec while_moving = { 0, 5000000 };
	uint64_t location;
	pthread_t reader;
	void *seen;

	ck_assert_int_eq(zp_handles_begin_move(&handles, zp_handle_slot(handle), &location), 0);
	ck_assert_uint_eq(location, 5);
	ck_assert_int_eq(zp_handles_begin_move(&handles, zp_handle_slot(handle), &location), -EBUSY);
	ck_assert(!zp_handles_is_idle(&handles, handle));
	ck_assert_int_eq(pthread_create(&reader, NULL, pin_and_return_location, &handle), 0);
	nanosleep(&while_moving, NULL);
	zp_handles_end_move(&handles, zp_handle_slot(handle), 99);
	pthread_join(reader, &seen);
	ck_assert_uint_eq((uintptr_t)seen, 99);
	drop(handle);
	ck_assert_int_eq(zp_handles_begin_move(&handles, zp_handle_slot(handle), &location), -EINVAL);
}
END_TEST

START_TEST(slots_come_in_batches_from_the_lowest_group)
{
	uint32_t slots[2000], again[600];
	int got = zp_handles_bind(&handles, 0, slots, 2000);

	ck_assert_int_eq(got, 2000);
	for (int i = 0; i < 2000; i++)
		ck_assert_uint_lt(slots[i], 4 * ZP_GROUP_SLOTS);
	zp_handles_unbind(&handles, slots, 600);
	zp_handles_unbind(&handles, slots + 1500, 500);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, again, 600), 600);
	for (int i = 0; i < 600; i++)
		ck_assert_uint_lt(again[i], 2 * ZP_GROUP_SLOTS);
	check_sound();
}
END_TEST

/* Threads that share a small pool would otherwise write to the same cache line. */
START_TEST(slots_bound_in_one_batch_share_no_cache_lines)
{
	enum { LINE_BYTES = 64, COUNT = 32 };
	uint32_t slots[COUNT];

	ck_assert_int_eq(zp_handles_bind(&handles, 0, slots, COUNT), COUNT);
	for (int i = 0; i < COUNT; i++)
		for (int k = 0; k < i; k++)
			ck_assert_uint_ne((uintptr_t)zp_handles_word(&handles, slots[i]) / LINE_BYTES,
					  (uintptr_t)zp_handles_word(&handles, slots[k]) / LINE_BYTES);
	zp_handles_unbind(&handles, slots, COUNT);
	check_sound();
}
END_TEST

START_TEST(unused_slot_that_is_returned_keeps_its_generation)
{
	unsigned long before = store(1), after;
	uint32_t slot;

	drop(before);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(zp_handles_bind(&handles, 0, &slot, 1), 1);
		zp_handles_unbind(&handles, &slot, 1);
	}
	after = store(1);
	ck_assert_uint_eq(zp_handle_slot(after), zp_handle_slot(before));
	ck_assert_uint_eq(zp_handle_generation(&handles, after),
			  (zp_handle_generation(&handles, before) + 1) & handles.generation_mask);
}
END_TEST

START_TEST(slot_cached_by_free_has_a_new_handle)
{
	unsigned long old = store(1), now;
	uint64_t location;
	uint32_t slot;

	ck_assert_int_eq(zp_handles_begin_free(&handles, old, &slot, &location), 0);
	ck_assert(zp_handles_end_free(&handles, slot));
	check_refused(old);
	ck_assert_uint_eq(zp_handles_taken(&handles), 1);
	now = zp_handles_publish(&handles, slot, 2);
	ck_assert_uint_eq(zp_handle_slot(now), zp_handle_slot(old));
	check_refused(old);
	ck_assert_int_eq(zp_handles_lookup(&handles, now, &location), 0);
	ck_assert_uint_eq(location, 2);
}
END_TEST

START_TEST(slot_renewed_for_a_new_handle_keeps_its_location)
{
	unsigned long old = store(7), now;
	uint64_t location;
	uint32_t slot;

	ck_assert_int_eq(zp_handles_begin_free(&handles, old, &slot, &location), 0);
	ck_assert(zp_handles_try_renew(&handles, slot, &now));
	ck_assert_uint_eq(zp_handle_slot(now), zp_handle_slot(old));
	ck_assert_uint_eq(zp_handle_generation(&handles, now),
			  (zp_handle_generation(&handles, old) + 1) & handles.generation_mask);
	check_refused(old);
	ck_assert_int_eq(zp_handles_lookup(&handles, now, &location), 0);
	ck_assert_uint_eq(location, 7);
	drop(now);
}
END_TEST

START_TEST(nowait_uses_only_committed_slots)
{
	uint32_t slots[ZP_GROUP_SLOTS], slot;

	ck_assert_int_eq(zp_handles_bind(&handles, ZPOOL_GFP_NOWAIT, &slot, 1), -ENOMEM);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, &slot, 1), 1);
	zp_lock(&handles.lock);
	ck_assert_int_eq(zp_handles_bind(&handles, ZPOOL_GFP_NOWAIT, slots, 1), -EAGAIN);
	zp_unlock(&handles.lock);
	/* Two of the first group's 512 slots cannot be bound: slot 0, which is reserved, and the one taken above. */
	ck_assert_int_eq(zp_handles_bind(&handles, ZPOOL_GFP_NOWAIT, slots, ZP_GROUP_SLOTS), ZP_GROUP_SLOTS - 2);
	ck_assert_int_eq(zp_handles_bind(&handles, ZPOOL_GFP_NOWAIT, slots, 1), -ENOMEM);
}
END_TEST

START_TEST(table_obeys_the_limit)
{
	uint32_t slots[3 * ZP_GROUP_SLOTS];

	ck_assert_int_eq(zp_handles_bind(&handles, 0, slots, 1), 1);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages) + ZP_GROUP_SLOTS * 16 + 4095);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, slots, 3 * ZP_GROUP_SLOTS), 2 * ZP_GROUP_SLOTS - 2);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, slots, 1), -ENOMEM);
}
END_TEST

#if ZP_HANDLE_RETIRE

/* With 8 generations, a slot is retired after 8 lives, and all its earlier handles are refused. */
START_TEST(exhausted_slots_are_never_reused)
{
	enum { LIVES = 20000 };
	static unsigned long handle[LIVES];
	static uint8_t lives[LIVES];

	memset(lives, 0, sizeof(lives));
	for (int i = 0; i < LIVES; i++) {
		handle[i] = store(1);
		unit_require(++lives[zp_handle_slot(handle[i])] <= 8);
		for (int j = 0; j < i; j += 1 + i / 50)
			unit_require(handle[j] != handle[i]);
		drop(handle[i]);
	}
	check_sound();
	for (int i = 0; i < LIVES; i++)
		check_refused(handle[i]);
	unit_require(lives[1] == 8);
	unit_require(lives[2] == 8);
}
END_TEST

static int compare(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

START_TEST(exhausted_slot_cannot_be_cached)
{
	unsigned long handle[8];
	uint64_t location;
	uint32_t slot;

	ck_assert_int_eq(zp_handles_bind(&handles, 0, &slot, 1), 1);
	for (int i = 0; i < 8; i++) {
		handle[i] = zp_handles_publish(&handles, slot, 1);
		ck_assert_int_eq(zp_handles_begin_free(&handles, handle[i], &slot, &location), 0);
		ck_assert_int_eq(zp_handles_end_free(&handles, slot), i < 7);
	}
	ck_assert_uint_eq(zp_handles_taken(&handles), 0);
	ck_assert_uint_ne(zp_handle_slot(store(1)), slot);
	for (int i = 0; i < 8; i++)
		check_refused(handle[i]);
}
END_TEST

START_TEST(exhausted_slot_is_not_renewed)
{
	unsigned long handle[8];
	uint64_t location;
	uint32_t slot;

	handle[0] = store(1);
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq(zp_handles_begin_free(&handles, handle[i], &slot, &location), 0);
		if (i < 7)
			ck_assert(zp_handles_try_renew(&handles, slot, &handle[i + 1]));
	}
	ck_assert(!zp_handles_try_renew(&handles, slot, &handle[0]));
	ck_assert(!zp_handles_end_free(&handles, slot));
	for (int i = 0; i < 8; i++)
		check_refused(handle[i]);
}
END_TEST

/* No handle is used twice, even if groups become dormant and lose the generations that their words contain. */
START_TEST(handles_are_never_reused_when_groups_become_dormant)
{
	enum { ROUNDS = 40, OBJECTS = 1500 };
	static unsigned long handle[ROUNDS * OBJECTS];
	uint64_t released = 0, total = 0;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned long *mine = handle + round * OBJECTS;
		/* Some rounds use a few slots of each group several times, so that slots differ in their lives. */
		for (int i = 0; i < OBJECTS; i++) {
			mine[i] = store(1);
			if (round % 3 == 1)
				drop(mine[i]);
		}
		for (int i = 0; i < OBJECTS && round % 3 != 1; i++)
			drop(mine[i]);
		zp_handles_trim(&handles, &released);
		total += released;
		check_sound();
		for (int i = 0; i < (round + 1) * OBJECTS; i += 1 + i / 100)
			check_refused(handle[i]);
	}
	ck_assert_uint_gt(total, ROUNDS * 4096);
	qsort(handle, ROUNDS * OBJECTS, sizeof(handle[0]), compare);
	for (int i = 1; i < ROUNDS * OBJECTS; i++)
		unit_require(handle[i - 1] != handle[i]);
}
END_TEST

#else

START_TEST(slots_work_after_their_last_generation)
{
	unsigned long first = store(1), handle = first;

	for (int i = 0; i < 8 * 100; i++) {
		drop(handle);
		handle = store(1);
		unit_require(zp_handle_slot(handle) == zp_handle_slot(first));
		unit_require((handle == first) == (i % 8 == 7));
	}
}
END_TEST

#endif

START_TEST(idle_groups_release_their_memory)
{
	enum { OBJECTS = 100 * ZP_GROUP_SLOTS };
	static unsigned long handle[OBJECTS];
	uint64_t empty, full;

	empty = zp_pages_held_bytes(&pages);
	for (int i = 0; i < OBJECTS; i++)
		handle[i] = store((uint64_t)i);
	full = zp_pages_held_bytes(&pages);
	ck_assert_uint_ge(full - empty, OBJECTS * 16);
	for (int i = OBJECTS - 1; i > 0; i--)
		drop(handle[i]);
	ck_assert_uint_le(zp_pages_held_bytes(&pages) - empty, 10 * ZP_GROUP_SLOTS * 16);
	for (int i = 1; i < OBJECTS; i++)
		check_refused(handle[i]);
	for (int i = 1; i < OBJECTS; i++)
		handle[i] = store((uint64_t)i);
	ck_assert_uint_le(zp_pages_held_bytes(&pages), full);
}
END_TEST

static int collect(unsigned long handle, uint64_t location, void *user)
{
	unsigned char *seen = user;

	(void)handle;
	seen[location]++;
	return location == 777;
}

/* A thirty-second of the groups may be idle.  A trim takes 32 groups at a time, so this table has 34 idle groups. */
START_TEST(trim_releases_any_number_of_idle_groups)
{
	enum { IDLE = 34, GROUPS = IDLE * 32, SLOTS = GROUPS * ZP_GROUP_SLOTS, IDLE_SLOTS = IDLE * ZP_GROUP_SLOTS };
	uint32_t *slots = calloc(SLOTS, sizeof(*slots));
	uint64_t held, released;

	unit_require(slots != NULL);
	for (int count = 0, got; count < SLOTS; count += got) {
		got = zp_handles_bind(&handles, 0, slots + count, SLOTS - (unsigned int)count);
		unit_require(got > 0);
	}
	zp_handles_unbind(&handles, slots + SLOTS - IDLE_SLOTS, IDLE_SLOTS);
	ck_assert_uint_eq(zp_handles_idle_groups(&handles), IDLE);
	held = zp_pages_held_bytes(&pages);
	zp_handles_trim(&handles, &released);
	ck_assert_uint_eq(zp_handles_idle_groups(&handles), 0);
	ck_assert_uint_eq(released, held - zp_pages_held_bytes(&pages));
	ck_assert_uint_ge(released, (uint64_t)IDLE_SLOTS * 8);
	zp_handles_unbind(&handles, slots, SLOTS - IDLE_SLOTS);
	free(slots);
}
END_TEST

START_TEST(walk_visits_live_objects_once_and_can_be_ended)
{
	enum { OBJECTS = 5000 };
	static unsigned long handle[OBJECTS];
	static unsigned char seen[OBJECTS];
	uint64_t location;
	uint32_t slot, loose;

	memset(seen, 0, sizeof(seen));
	for (uint64_t i = 0; i < OBJECTS; i++)
		handle[i] = store(i == 777 ? 778 : i);
	for (int i = 0; i < OBJECTS; i += 3)
		drop(handle[i]);
	ck_assert_int_eq(zp_handles_begin_free(&handles, handle[1], &slot, &location), 0);
	ck_assert_int_eq(zp_handles_pin(&handles, handle[2], &location), 0);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, &loose, 1), 1);
	/* Slots that are being freed, or bound but not published, do not count as mapped. */
	ck_assert_uint_eq(zp_handles_mapped(&handles), 1);
	ck_assert_int_eq(zp_handles_each(&handles, collect, seen), 0);
	for (int i = 0; i < OBJECTS; i++)
		ck_assert_uint_eq(seen[i], i % 3 != 0 && i != 1 && i != 777);
	(void)zp_handles_publish(&handles, loose, 777);
	ck_assert_int_eq(zp_handles_each(&handles, collect, seen), 1);
	zp_handles_release(&handles, slot);
}
END_TEST

START_TEST(large_tables_preserve_every_address)
{
	/* The table grows beyond its first blocks.  The payload of each slot has a marker that only this slot has. */
	enum { OBJECTS = 300000 };
	unsigned long *handle = calloc(OBJECTS, sizeof(*handle));
	zp_word *first;
	uint64_t location;

	unit_require(handle);
	handle[0] = store(0);
	first = zp_handles_word(&handles, zp_handle_slot(handle[0]));
	for (uint64_t i = 1; i < OBJECTS; i++)
		handle[i] = store(i);
	unit_require(first == zp_handles_word(&handles, zp_handle_slot(handle[0])));
	for (uint64_t i = 0; i < OBJECTS; i++) {
		unit_require(zp_handles_lookup(&handles, handle[i], &location) == 0 && location == i);
		unit_require(*(uint64_t *)zp_handles_payload(&handles, zp_handle_slot(handle[i])) == ~i);
	}
	for (uint64_t i = 0; i < OBJECTS; i++)
		drop(handle[i]);
	free(handle);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/handles" ZP_LAYOUT);
	TCase *objects = tcase_with(suite, "objects", setup);
	TCase *slots = tcase_with(suite, "slots", setup);
	TCase *lives = tcase_with(suite, "lives", setup_few_generations);

	tcase_add_test(objects, handle_leads_to_location_and_payload);
	tcase_add_test(objects, freed_handles_are_refused_even_if_the_slot_is_reused);
	tcase_add_test(objects, invalid_handles_are_refused);
	tcase_add_test(objects, foreign_handles_are_accepted_as_rarely_as_documented);
	tcase_add_test(objects, sixty_pins_are_the_maximum);
	tcase_add_test(objects, exclusive_pin_excludes_other_threads);
	tcase_add_test(objects, shared_exclusive_pin_becomes_an_ordinary_one);
	tcase_add_test(objects, object_being_freed_is_refused_to_other_threads);
	tcase_add_test(objects, reader_waits_for_the_end_of_a_move);
	tcase_add_test(objects, walk_visits_live_objects_once_and_can_be_ended);
	tcase_add_test(slots, slots_come_in_batches_from_the_lowest_group);
	tcase_add_test(slots, slots_bound_in_one_batch_share_no_cache_lines);
	tcase_add_test(slots, unused_slot_that_is_returned_keeps_its_generation);
	tcase_add_test(slots, slot_cached_by_free_has_a_new_handle);
	tcase_add_test(slots, slot_renewed_for_a_new_handle_keeps_its_location);
	tcase_add_test(slots, nowait_uses_only_committed_slots);
	tcase_add_test(slots, table_obeys_the_limit);
	tcase_add_test(slots, idle_groups_release_their_memory);
	tcase_add_test(slots, trim_releases_any_number_of_idle_groups);
	tcase_add_test(slots, large_tables_preserve_every_address);
#if ZP_HANDLE_RETIRE
	tcase_add_test(lives, exhausted_slots_are_never_reused);
	tcase_add_test(lives, exhausted_slot_cannot_be_cached);
	tcase_add_test(lives, exhausted_slot_is_not_renewed);
	tcase_add_test(lives, handles_are_never_reused_when_groups_become_dormant);
#else
	tcase_add_test(lives, slots_work_after_their_last_generation);
#endif
	return suite_run(suite);
}
