/* SPDX-License-Identifier: MIT
 *
 * Objects go into the right types, blocks and slots.
 */
#include <config.h>

#include "zblock_fixture.h"

static unsigned long handles[OBJECTS];

static void fill(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		handles[i] = store(size);
}

static void all_intact(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		unit_require(!handles[i] || is_intact(handles[i], size));
}

static void drop(unsigned int i)
{
	release(handles[i]);
	handles[i] = 0;
}

/* Frees about this share of the objects, in percent, in random order.  Returns how many it freed. */
static unsigned int drop_randomly(struct unit_random *random, unsigned int count, unsigned int percent)
{
	unsigned int dropped = 0, start = unit_below(random, count);

	for (unsigned int i = 0; i < count; i++) {
		/* The step and the count have no common divisor, so each object is visited once. */
		unsigned int victim = (unsigned int)((start + (uint64_t)i * 7919) % count);

		if (handles[victim] && unit_below(random, 100) < percent) {
			drop(victim);
			dropped++;
		}
	}
	return dropped;
}

START_TEST(every_size_goes_to_the_smallest_fitting_slot)
{
	unsigned long handle = 12345;

	ck_assert_int_eq(zblock->malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_int_eq(zblock->malloc(pool, LARGEST + 1, 0, &handle), -ENOSPC);
	ck_assert_int_eq(zblock->malloc(pool, SIZE_MAX, 0, &handle), -ENOSPC);
	ck_assert_uint_eq(handle, 12345);
	ck_assert_uint_eq(zblock->max_object_bytes, LARGEST);
	for (unsigned int size = 1, type = 0; size <= LARGEST; size++) {
		type += size > model[type].slot_bytes;
		unit_require(type < MODEL_TYPES);
		handle = store(size);
		unit_require(zblock->obj_size(pool, handle) == model[type].slot_bytes);
		unit_require(is_intact(handle, size));
		release(handle);
	}
}
END_TEST

/* Each type is tested with its largest size and with one byte more. */
START_TEST(exact_fit_goes_to_the_exact_slot)
{
	const struct model_type *type = &model[_i];
	unsigned long exact = store(type->slot_bytes);

	ck_assert_int_eq(zblock->obj_size(pool, exact), type->slot_bytes);
	ck_assert_uint_eq(type_stats(type->slot_bytes).objects, 1);
	if (_i + 1 < MODEL_TYPES) {
		unsigned long above = store(type->slot_bytes + 1);

		ck_assert_int_eq(zblock->obj_size(pool, above), model[_i + 1].slot_bytes);
		ck_assert_uint_eq(type_stats(type[1].slot_bytes).objects, 1);
	}
	ck_assert_uint_eq(type_stats(type->slot_bytes).objects, 1);
}
END_TEST

START_TEST(block_has_as_many_slots_as_the_model)
{
	const struct model_type *type = &model[_i];
	struct zpool_class_stats now;
	char *run;

	ck_assert_uint_eq(type->slot_bytes, ((type->pages << 12) - 32) / type->slots / 8 * 8);
	fill(type->slots, type->slot_bytes);
	now = type_stats(type->slot_bytes);
	ck_assert_uint_eq(now.zspages, 1);
	ck_assert_uint_eq(now.pages_per_zspage, type->pages);
	ck_assert_uint_eq(now.slots, type->slots);
	ck_assert_uint_eq(now.fullness[10], 1);
	/* The lowest slot comes first, behind the empty header. */
	run = address_of(handles[0]) - 32;
	ck_assert_uint_eq((uintptr_t)run % 4096, 0);
	for (unsigned int i = 0; i < type->slots; i++)
		unit_require(address_of(handles[i]) == run + 32 + (size_t)i * type->slot_bytes);
	all_intact(type->slots, type->slot_bytes);
	handles[type->slots] = store(type->slot_bytes);
	now = type_stats(type->slot_bytes);
	ck_assert_uint_eq(now.zspages, 2);
	ck_assert_uint_eq(now.objects, type->slots + 1);
	ck_assert_uint_eq(now.fullness[10], 1);
}
END_TEST

/* After frees in any order, the next objects use the free slots before there is a new block. */
START_TEST(block_with_free_slots_is_found)
{
	enum { BLOCKS = 60 };
	const struct model_type *type = &model[_i];
	struct unit_random random = unit_seed("block_with_free_slots_is_found");
	unsigned int count = BLOCKS * type->slots;

	fill(count, type->slot_bytes);
	for (int round = 0; round < 12; round++) {
		unsigned int percent = 1 + unit_below(&random, 99);
		uint64_t blocks;

		(void)drop_randomly(&random, count, percent);
		check_sound();
		blocks = type_stats(type->slot_bytes).zspages;
		for (uint64_t left = type_stats(type->slot_bytes).objects; left < blocks * type->slots; left++) {
			unsigned int i = 0;

			while (handles[i])
				i++;
			handles[i] = store(type->slot_bytes);
		}
		ck_assert_uint_eq(type_stats(type->slot_bytes).zspages, blocks);
		ck_assert_uint_eq(type_stats(type->slot_bytes).fullness[10], blocks);
		for (unsigned int i = 0; i < count; i++)
			if (!handles[i])
				handles[i] = store(type->slot_bytes);
		ck_assert_uint_eq(type_stats(type->slot_bytes).zspages, BLOCKS);
		check_sound();
		all_intact(count, type->slot_bytes);
	}
}
END_TEST

START_TEST(object_goes_to_the_block_with_the_latest_free)
{
	enum { SLOTS = 8, SIZE = 1016 };
	char *second, *fourth, *first;

	fill(5 * SLOTS, SIZE);
	second = address_of(handles[SLOTS + 3]);
	fourth = address_of(handles[3 * SLOTS + 5]);
	first = address_of(handles[7]);
	drop(SLOTS + 3);
	put_cached();
	drop(3 * SLOTS + 5);
	put_cached();
	drop(7);
	put_cached();
	/* The block stays in its list, because it had room already. */
	drop(SLOTS + 4);
	put_cached();
	ck_assert_ptr_eq(address_of(store(SIZE)), first);
	ck_assert_ptr_eq(address_of(store(SIZE)), fourth);
	ck_assert_ptr_eq(address_of(store(SIZE)), second);
	ck_assert_ptr_eq(address_of(store(SIZE)), second + SIZE);
	ck_assert_uint_eq(type_stats(SIZE).zspages, 5);
	(void)store(SIZE);
	ck_assert_uint_eq(type_stats(SIZE).zspages, 6);
}
END_TEST

START_TEST(empty_block_is_released)
{
	const struct model_type *type = &model[_i];
	unsigned int count = 20 * type->slots;
	struct zpool_class_stats now;

	(void)trim();
	fill(count, type->slot_bytes);
	ck_assert_uint_eq(type_stats(type->slot_bytes).zspages, 20);
	/* The test frees all objects but one of each block, and then the remaining ones: each frees its block. */
	for (unsigned int i = 0; i < count; i++)
		if (i % type->slots)
			drop(i);
	ck_assert_uint_eq(type_stats(type->slot_bytes).zspages, 20);
	for (unsigned int i = 0; i < 20; i++) {
		drop(i * type->slots);
		/* One small empty block may stay for the next object; it is counted. */
		ck_assert_uint_le(type_stats(type->slot_bytes).zspages, 20 - (unsigned int)i - 1 + 1);
		ck_assert_uint_ge(type_stats(type->slot_bytes).zspages, 20 - (unsigned int)i - 1);
		check_sound();
	}
	now = type_stats(type->slot_bytes);
	ck_assert_uint_eq(now.zspages, type->pages <= 2);
	ck_assert_uint_eq(now.fullness[0], now.zspages);
	ck_assert_uint_le(now.pages, 2);
	ck_assert_uint_eq(stats().pages, now.pages);
	ck_assert_uint_eq(now.freeable_pages, now.pages);
	(void)trim();
	ck_assert_uint_eq(type_stats(type->slot_bytes).zspages, 0);
	ck_assert_uint_eq(stats().pages, 0);
}
END_TEST

START_TEST(spare_block_is_used_before_a_new_one)
{
	struct zblock_pool *inside = pool;
	uint64_t handed_out;

	fill(8, 1016);
	handles[8] = store(1016);
	handed_out = zp_pages_handed_out(&inside->pages);
	for (int i = 0; i < 100; i++) {
		drop(8);
		unit_require(zp_pages_handed_out(&inside->pages) == handed_out);
		handles[8] = store(1016);
		unit_require(zp_pages_handed_out(&inside->pages) == handed_out);
		unit_require(type_stats(1016).zspages == 2);
	}
}
END_TEST

START_TEST(page_is_committed_with_its_first_object)
{
	const struct model_type *type = &model[_i];
	uint64_t pages = 0;

	(void)trim();
	for (unsigned int i = 0; i < type->slots; i++) {
		size_t end = 32 + (size_t)(i + 1) * type->slot_bytes;

		handles[i] = store(type->slot_bytes);
		pages = (end + 4095) / 4096;
		unit_require(type_stats(type->slot_bytes).pages == pages);
		unit_require(stats().pages == pages);
	}
	ck_assert_uint_eq(pages, type->pages);
	check_sound();
}
END_TEST

START_TEST(trim_releases_pages_without_an_object)
{
	const struct model_type *type = &model[_i];
	struct unit_random random = unit_seed("trim_releases_pages_without_an_object");
	unsigned int count = 40 * type->slots;

	/* The thread's cache gets its memory at the first free. */
	release(store(1));
	fill(count, type->slot_bytes);
	for (int round = 0; round < 4; round++) {
		struct zpool_class_stats before, after;
		uint64_t held = zblock->total_size(pool), released;

		(void)drop_randomly(&random, count, 80);
		before = type_stats(type->slot_bytes);
		released = trim();
		check_sound();
		after = type_stats(type->slot_bytes);
		ck_assert_uint_eq(after.pages, before.pages - before.freeable_pages);
		ck_assert_uint_eq(after.freeable_pages, 0);
		ck_assert_uint_ge(released, before.freeable_pages * 4096);
		ck_assert_uint_le(zblock->total_size(pool) + released, held);
		all_intact(count, type->slot_bytes);
		/* The next objects commit the pages again. */
		for (unsigned int i = 0; i < count; i++)
			if (!handles[i])
				handles[i] = store(type->slot_bytes);
		check_sound();
		all_intact(count, type->slot_bytes);
		ck_assert_uint_eq(type_stats(type->slot_bytes).pages, 40 * (uint64_t)type->pages);
	}
}
END_TEST

START_TEST(statistics_report_the_state)
{
	unsigned long handle;
	struct zpool_class_stats type;
	struct zpool_stats now;

	/* The ten blocks of eight slots include full ones, and blocks with one to eight free slots. */
	fill(80, 1000);
	for (unsigned int block = 1; block < 9; block++)
		for (unsigned int i = 0; i < block; i++)
			drop(block * 8 + i);
	type = type_stats(1016);
	now = stats();
	ck_assert_uint_eq(type.objects, 80 - 36);
	ck_assert_uint_eq(type.zspages, 10);
	ck_assert_uint_eq(type.slots, 80);
	ck_assert_uint_eq(type.pages, 20);
	ck_assert_uint_eq(type.fullness[10], 2);
	for (unsigned int used = 0; used < 8; used++)
		ck_assert_uint_eq(type.fullness[used * 10 / 8], 1);
	/*
	 * These are the spare block's two pages, and the first page of each block in which slots 0 to 3, or more, are
	 * free.
	 */
	ck_assert_uint_eq(type.freeable_pages, 2 + 4);
	ck_assert_uint_eq(now.objects, type.objects);
	ck_assert_uint_eq(now.stored_bytes, type.objects * 1016);
	ck_assert_uint_eq(now.pages, type.pages);
	/* Only slots that compaction could use are counted, and the driver does not compact. */
	ck_assert_uint_eq(now.free_slots, 0);
	ck_assert_uint_eq(now.pool_bytes, zblock->total_size(pool));
	ck_assert_uint_ge(now.pool_bytes_peak, now.pool_bytes);
	handle = store(3000);
	ck_assert_uint_eq(type_stats(3272).slots, 10);
	ck_assert_uint_eq(type_stats(3272).pages, 1);
	ck_assert_ptr_nonnull(zblock->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_ptr_nonnull(zblock->map(pool, handles[0], ZPOOL_MM_RO));
	ck_assert_ptr_nonnull(zblock->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_uint_eq(stats().mapped_handles, 2);
	zblock->unmap(pool, handle);
	zblock->unmap(pool, handle);
	zblock->unmap(pool, handles[0]);
	now = stats();
	ck_assert_uint_eq(now.mapped_handles, 0);
	ck_assert_uint_eq(now.evictions + now.evict_refused + now.compactions + now.compact_moved_bytes, 0);
	ck_assert_uint_eq(now.refused_handles, 0);
}
END_TEST

static int end_with_objects(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)size;
	++*(unsigned int *)user;
	return (int)stats->objects;
}

START_TEST(walk_over_types_stops_when_the_visitor_returns_nonzero)
{
	unsigned int visits = 0;

	ck_assert_int_eq(zblock->each_class(pool, end_with_objects, &visits), 0);
	ck_assert_uint_eq(visits, 0);
	fill(5, 100);
	fill(3, 200);
	ck_assert_int_eq(zblock->each_class(pool, end_with_objects, &visits), 5);
	ck_assert_uint_eq(visits, 1);
}
END_TEST

START_TEST(stale_handles_are_refused_everywhere)
{
	unsigned long handle = store(50), live;

	ck_assert_int_eq(zblock->free(pool, handle), 0);
	live = store(50);
	ck_assert_int_eq(zblock->free(pool, handle), -EINVAL);
	errno = 0;
	ck_assert_ptr_null(zblock->map(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_int_eq(zblock->unmap(pool, handle), -EINVAL);
	ck_assert_int_eq(zblock->obj_size(pool, handle), -EINVAL);
	ck_assert_ptr_nonnull(zblock->map(pool, live, ZPOOL_MM_RO));
	ck_assert_int_eq(zblock->free(pool, live), -EBUSY);
	/* The core counts the refused handles of the other calls. */
	ck_assert_uint_eq(stats().refused_handles, 2);
	ck_assert_uint_eq(stats().objects, 1);
	ck_assert_int_eq(zblock->unmap(pool, live), 0);
	ck_assert(is_intact(live, 50));
}
END_TEST

START_TEST(zeroed_objects_are_zero_in_used_slots)
{
	for (size_t size = 1; size <= LARGEST; size += 211) {
		unsigned long handle = store(LARGEST), zeroed;
		const char *at;

		release(handle);
		handle = store(size);
		release(handle);
		unit_require(zblock->malloc(pool, size, ZPOOL_GFP_ZERO, &zeroed) == 0);
		at = zblock->map(pool, zeroed, ZPOOL_MM_RO);
		for (int64_t i = 0; i < zblock->obj_size(pool, zeroed); i++)
			unit_require(at[i] == 0);
		zblock->unmap(pool, zeroed);
		release(zeroed);
	}
}
END_TEST

static int sum_object(unsigned long handle, size_t size, void *user)
{
	uint64_t *sums = user;

	unit_require(zblock->obj_size(pool, handle) == (int64_t)size);
	sums[0]++;
	sums[1] += size;
	return sums[0] == sums[2] ? 42 : 0;
}

START_TEST(walk_sees_every_object)
{
	uint64_t sums[3] = { 0, 0, 0 };

	for (size_t i = 1; i <= 300; i++)
		(void)store(i * 15);
	ck_assert_int_eq(zblock->each_object(pool, sum_object, sums), 0);
	ck_assert_uint_eq(sums[0], 300);
	ck_assert_uint_eq(sums[1], stats().stored_bytes);
	sums[2] = 302;
	ck_assert_int_eq(zblock->each_object(pool, sum_object, sums), 42);
}
END_TEST

/* percent is the limit for the pool's size in percent of the live bytes. */
static const struct trace {
	const char *file;
	unsigned int percent;
} traces[] = {
	{ UNIT_TRACES "/py.lz4.sizes", 107 },
	{ UNIT_TRACES "/py.zstd.sizes", 110 },
};

START_TEST(compressed_pages_are_stored_densely)
{
	enum { SIZES = 40000 };
	static unsigned int sizes[SIZES];
	struct unit_random random = unit_seed("compressed_pages_are_stored_densely");
	uint64_t live = 0, before = zblock->total_size(pool), held;
	FILE *file = fopen(traces[_i].file, "r");

	ck_assert_msg(file != NULL, "%s cannot be read", traces[_i].file);
	for (unsigned int i = 0; i < SIZES; i++)
		unit_require(fscanf(file, "%u", &sizes[i]) == 1);
	fclose(file);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		unsigned int size = sizes[unit_below(&random, SIZES)];

		unit_require(zblock->malloc(pool, size, 0, &handles[i]) == 0);
		live += size;
	}
	held = zblock->total_size(pool) - before;
	printf("# %llu bytes held for %llu live\n", (unsigned long long)held, (unsigned long long)live);
	ck_assert_uint_le(held * 100, live * traces[_i].percent);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zblock");
	TCase *types = tcase_in(suite, "types"), *blocks = tcase_in(suite, "blocks");
	TCase *objects = tcase_in(suite, "objects");

	tcase_add_test(types, every_size_goes_to_the_smallest_fitting_slot);
	tcase_add_loop_test(types, exact_fit_goes_to_the_exact_slot, 0, MODEL_TYPES);
	tcase_add_loop_test(types, block_has_as_many_slots_as_the_model, 0, MODEL_TYPES);
	tcase_add_loop_test(types, compressed_pages_are_stored_densely, 0, 2);
	tcase_add_loop_test(blocks, block_with_free_slots_is_found, 0, MODEL_TYPES);
	tcase_add_test(blocks, object_goes_to_the_block_with_the_latest_free);
	tcase_add_loop_test(blocks, empty_block_is_released, 0, MODEL_TYPES);
	tcase_add_test(blocks, spare_block_is_used_before_a_new_one);
	tcase_add_loop_test(blocks, page_is_committed_with_its_first_object, 0, MODEL_TYPES);
	tcase_add_loop_test(blocks, trim_releases_pages_without_an_object, 0, MODEL_TYPES);
	tcase_add_test(blocks, statistics_report_the_state);
	tcase_add_test(blocks, walk_over_types_stops_when_the_visitor_returns_nonzero);
	tcase_add_test(objects, stale_handles_are_refused_everywhere);
	tcase_add_test(objects, zeroed_objects_are_zero_in_used_slots);
	tcase_add_test(objects, walk_sees_every_object);
	add_cache_tests(suite);
	add_pool_tests(suite);
	add_damage_tests(suite);
	add_thread_tests(suite);
	return suite_run(suite);
}
