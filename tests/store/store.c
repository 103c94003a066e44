/* SPDX-License-Identifier: MIT
 *
 * store.c - tests of a store without a backing, from one thread
 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "tests/suite.h"
#include "zpool-store.h"

#define UNIT 2048 /* Every driver can store a unit of this length that does not shrink. */

static unsigned char value[65536], other[65536];

static struct zpool_store *open_with(const char *pool, const char *compressor, uint64_t unit_bytes, uint64_t limit)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.compressor = compressor;
	args.unit_bytes = unit_bytes;
	args.limit_bytes = limit;
	return zpool_store_open(&args, sizeof(args));
}

static struct zpool_store *open_pool(const char *pool, uint64_t unit_bytes)
{
	struct zpool_store *store = open_with(pool, NULL, unit_bytes, 0);

	ck_assert_msg(store, "%s: %s", pool, zpool_last_error());
	return store;
}

static struct zpool_store_stats stats_of(struct zpool_store *store)
{
	struct zpool_store_stats stats;

	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	return stats;
}

/* Makes text that shrinks, or noise that does not; every seed gives other bytes. */
static void make(unsigned char *to, size_t bytes, uint32_t seed, bool noisy)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		to[i] = noisy ? (unsigned char)(seed >> 24) : (unsigned char)('a' + (seed >> 30));
	}
}

static void expect(struct zpool_store *store, uint64_t key, const unsigned char *data, size_t bytes)
{
	memset(other, 0x5a, sizeof(other));
	ck_assert_int_eq(zpool_store_get(store, key, other, sizeof(other)), (int64_t)bytes);
	ck_assert_mem_eq(other, data, bytes);
	ck_assert_uint_eq(other[bytes == sizeof(other) ? 0 : bytes], bytes == sizeof(other) ? data[0] : 0x5a);
}

START_TEST(values_of_every_kind_are_read_back)
{
	struct zpool_store *store = open_pool(specs[_i], UNIT);
	static const size_t lengths[] = { 1, 2, 7, 8, 9, 100, UNIT - 1, UNIT };
	uint64_t key = 0;

	for (int noisy = 0; noisy < 2; noisy++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++, key += 5) {
			make(value, lengths[i], (uint32_t)key, noisy);
			ck_assert_int_eq(zpool_store_put(store, key, value, lengths[i]), 0);
			expect(store, key, value, lengths[i]);
		}
	ck_assert_uint_eq(stats_of(store).units, 16);
	ck_assert_uint_eq(stats_of(store).hits, 16);
	ck_assert_uint_ge(stats_of(store).incompressible, 8);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	ck_assert_uint_eq(stats_of(store).units, 0);
	ck_assert_uint_eq(stats_of(store).stored_bytes, 0);
	ck_assert_uint_eq(stats_of(store).original_bytes, 0);
	ck_assert_uint_eq(stats_of(store).incompressible, 0);
	zpool_store_close(store);
}
END_TEST

START_TEST(same_filled_units_need_no_object)
{
	struct zpool_store *store = open_pool(specs[_i], UNIT);

	for (uint64_t key = 0; key < 100; key++) {
		memset(value, (int)key, UNIT);
		ck_assert_int_eq(zpool_store_put(store, key, value, UNIT), 0);
		expect(store, key, value, UNIT);
	}
	ck_assert_uint_eq(stats_of(store).same_filled, 100);
	ck_assert_uint_eq(stats_of(store).stored_bytes, 0);
	make(value, UNIT, 1, false);
	ck_assert_int_eq(zpool_store_put(store, 7, value, UNIT), 0);
	expect(store, 7, value, UNIT);
	ck_assert_uint_eq(stats_of(store).same_filled, 99);
	ck_assert_uint_eq(stats_of(store).units, 100);
	zpool_store_close(store);
}
END_TEST

START_TEST(every_unit_size_and_compressor_works)
{
	static const char *const compressors[] = { "lz4", "lz4hc", "lz4hc:12", "zstd", "zstd:1", "zstd:-5", "none" };

	for (size_t c = 0; c < sizeof(compressors) / sizeof(*compressors); c++)
		for (uint64_t bytes = 512; bytes <= 65536; bytes *= 2) {
			struct zpool_store *store = open_with("libc", compressors[c], bytes, 0);

			ck_assert_msg(store, "%s: %s", compressors[c], zpool_last_error());
			for (int noisy = 0; noisy < 2; noisy++) {
				make(value, bytes, (uint32_t)bytes, noisy);
				ck_assert_int_eq(zpool_store_put(store, 3, value, bytes), 0);
				expect(store, 3, value, bytes);
			}
			make(value, bytes, 1, false);
			ck_assert_int_eq(zpool_store_put(store, UINT64_MAX, value, bytes), 0);
			expect(store, UINT64_MAX, value, bytes);
			ck_assert_uint_eq(stats_of(store).incompressible, strcmp(compressors[c], "none") ? 1 : 2);
			zpool_store_close(store);
		}
}
END_TEST

/* Returns the largest unit that a pool of this spec accepts in one object. */
static uint64_t largest_unit(const char *pool)
{
	struct zpool *trial = zpool_open(pool, NULL, 0);
	uint64_t bytes = 65536;

	ck_assert_msg(trial, "%s: %s", pool, zpool_last_error());
	while (bytes > zpool_max_object_size(trial))
		bytes /= 2;
	zpool_destroy_pool(trial);
	return bytes;
}

START_TEST(incompressible_value_is_stored_in_its_length)
{
	static const char *const compressors[] = { "lz4", "zstd", "none" };
	uint64_t unit = largest_unit(specs[_i]), sum = 0;

	for (size_t c = 0; c < sizeof(compressors) / sizeof(*compressors); c++) {
		struct zpool_store *store = open_with(specs[_i], compressors[c], unit, 0);

		ck_assert_msg(store, "%s: %s", specs[_i], zpool_last_error());
		sum = 0;
		/* The shorter values would be longer than a unit with a header. */
		for (uint64_t key = 0; key < 12; key++) {
			size_t bytes = unit - key / 2;

			make(value, bytes, (uint32_t)key, true);
			ck_assert_msg(!zpool_store_put(store, key, value, bytes), "%s: %s", specs[_i],
				      zpool_last_error());
			expect(store, key, value, bytes);
			sum += bytes;
		}
		ck_assert_uint_eq(stats_of(store).stored_bytes, sum);
		ck_assert_uint_eq(stats_of(store).incompressible, 12);
		for (uint64_t key = 0; key < 12; key++) {
			make(value, unit - key / 2, (uint32_t)key, true);
			expect(store, key, value, unit - key / 2);
		}
		/* A value that does shrink replaces one that does not, and the other way round. */
		make(other, unit, 1, false);
		ck_assert_int_eq(zpool_store_put(store, 0, other, unit), 0);
		make(value, unit, 1, false);
		expect(store, 0, value, unit);
		make(value, unit, 2, true);
		ck_assert_int_eq(zpool_store_put(store, 0, value, unit), 0);
		expect(store, 0, value, unit);
		ck_assert_int_eq(zpool_store_zero_range(store, 1, 3), 0);
		ck_assert_int_eq(zpool_store_drop_range(store, 4, 8), 0);
		ck_assert_uint_eq(stats_of(store).stored_bytes, unit);
		zpool_store_close(store);
	}
}
END_TEST

/* This compressor takes one byte off, which a header would more than make up for. */
static void *cut_create(int level)
{
	return malloc((size_t)level + 1);
}
static size_t cut_bytes(const void *context)
{
	(void)context;
	return 1;
}
static size_t cut_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	(void)context;
	if (bytes - 1 > room)
		return 0;
	memcpy(to, from, bytes - 1);
	return bytes - 1;
}
static size_t cut_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	(void)context;
	memcpy(to, from, bytes);
	return room;
}

START_TEST(object_is_never_longer_than_its_value)
{
	static const struct zpool_store_compressor cut = {
		sizeof(cut), 0, 0, 0, "cut", cut_create, free, cut_bytes, cut_compress, cut_decompress,
	};
	struct zpool_store *store;

	ck_assert_int_eq(zpool_store_add_compressor(&cut), 0);
	store = open_with("zsmalloc", "cut", 65536, 0);
	ck_assert_ptr_nonnull(store);
	for (uint64_t key = 0; key < 8; key++) {
		make(value, 65536 - key, (uint32_t)key, true);
		ck_assert_int_eq(zpool_store_put(store, key, value, 65536 - key), 0);
		expect(store, key, value, 65536 - key);
	}
	ck_assert_uint_eq(stats_of(store).stored_bytes, stats_of(store).original_bytes);
	zpool_store_close(store);
}
END_TEST

START_TEST(checksum_is_stored_for_a_full_size_unit)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.unit_bytes = 65536;
	args.flags = ZPOOL_STORE_CHECKSUM;
	store = zpool_store_open(&args, sizeof(args));
	if (!store && errno == EOPNOTSUPP)
		return;
	ck_assert_ptr_nonnull(store);
	make(value, 65536, 1, true);
	ck_assert_int_eq(zpool_store_put(store, 1, value, 65536), -ENOSPC);
	ck_assert_msg(strstr(zpool_last_error(), "checksum"), "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_put(store, 1, value, 65536 - 12), 0);
	expect(store, 1, value, 65536 - 12);
	ck_assert_uint_eq(stats_of(store).refused_too_large, 1);
	zpool_store_close(store);
}
END_TEST

START_TEST(bad_arguments_are_refused_with_a_reason)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	ck_assert_ptr_null(open_with("libc", "lzma", 0, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "lz4hc"));
	ck_assert_ptr_null(open_with("libc", "zstd:99", 0, 0));
	ck_assert_ptr_null(open_with("libc", "lz4:1", 0, 0));
	ck_assert_ptr_null(open_with("libc", "none:1", 0, 0));
	ck_assert_ptr_null(open_with("libc", NULL, 4095, 0));
	ck_assert_ptr_null(open_with("libc", NULL, 256, 0));
	ck_assert_ptr_null(open_with("libc", NULL, 131072, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(open_with("libc", NULL, 0, 100));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_ptr_null(open_with("libc:limit=1M", NULL, 0, 1 << 20));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(open_with("nonesuch", NULL, 0, 0));
	ck_assert_int_eq(errno, ENOENT);
	args.pool = "libc";
	args.unit_count = 10;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_ptr_nonnull(store);
	ck_assert_int_eq(zpool_store_put(store, 10, value, 1), -EINVAL);
	ck_assert_int_eq(zpool_store_put(store, 9, value, 0), -EINVAL);
	ck_assert_int_eq(zpool_store_put(store, 9, value, 4097), -EINVAL);
	ck_assert_int_eq(zpool_store_put(store, 9, NULL, 1), -EINVAL);
	ck_assert_int_eq(zpool_store_drop_range(store, 5, 6), -EINVAL);
	ck_assert_int_eq(zpool_store_drop_range(store, 5, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(zpool_store_get(store, 9, value, 1), -ENOENT);
	ck_assert_int_eq(zpool_store_drop(store, 9), -ENOENT);
	ck_assert_int_eq(zpool_store_put(store, 9, "ab", 2), 0);
	ck_assert_int_eq(zpool_store_get(store, 9, value, 1), -ENOBUFS);
	zpool_store_close(store);
	zpool_store_close(NULL);
}
END_TEST

START_TEST(limit_covers_all_memory_and_values_survive)
{
	uint64_t limit = 4 << 20, kept = 0;
	struct zpool_store *store = open_with(specs[_i], NULL, UNIT, limit);

	ck_assert_msg(store, "%s: %s", specs[_i], zpool_last_error());
	for (; kept < 10000; kept++) {
		make(value, UNIT, (uint32_t)kept, true);
		ck_assert_uint_le(zpool_store_get_total_size(store), limit);
		if (zpool_store_put(store, kept * 3, value, UNIT))
			break;
	}
	ck_assert_uint_gt(kept, 100);
	ck_assert_uint_lt(kept, 2048);
	ck_assert_uint_eq(stats_of(store).refused_limit, 1);
	for (uint64_t i = 0; i < kept; i++) {
		make(value, UNIT, (uint32_t)i, true);
		expect(store, i * 3, value, UNIT);
	}
	ck_assert_int_eq(zpool_store_set_limit(store, 2 * limit), 0);
	ck_assert_int_eq(zpool_store_put(store, kept * 3, value, UNIT), 0);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	expect(store, kept * 3, value, UNIT);
	zpool_store_close(store);
}
END_TEST

START_TEST(limit_covers_the_index)
{
	uint64_t limit = 1 << 20, key = 0;
	struct zpool_store *store = open_with("zsmalloc", NULL, UNIT, limit);

	ck_assert_ptr_nonnull(store);
	memset(value, 1, UNIT);
	while (zpool_store_put(store, key * 8, value, UNIT) == 0 && key < 100000)
		key++;
	ck_assert_uint_gt(key, 1000);
	ck_assert_uint_lt(key, limit / 120);
	ck_assert_uint_le(zpool_store_get_total_size(store), limit);
	ck_assert_int_eq(zpool_store_zero_range(store, 0, UINT64_MAX), -ENOMEM);
	ck_assert_uint_le(zpool_store_get_total_size(store), limit);
	zpool_store_close(store);
}
END_TEST

START_TEST(index_takes_16_bytes_a_unit)
{
	struct zpool_store *store = open_pool("zsmalloc", 512);

	for (uint64_t key = 0; key < 100000; key++) {
		ck_assert_int_eq(zpool_store_zero_range(store, key, 1), 0);
		if (key % 10000 == 9999)
			ck_assert_uint_le(stats_of(store).index_bytes, 16 * (key + 1) + 4096);
	}
	zpool_store_close(store);
}
END_TEST

static void expect_extent(struct zpool_store *store, uint64_t first, uint64_t max, int kind, uint64_t count)
{
	uint64_t found = 0, length = 0;

	while (found < max && zpool_store_next_extent(store, first + found, max - found, &length) == kind)
		found += length;
	ck_assert_uint_eq(found, count);
}

START_TEST(extents_report_data_zeroes_and_holes)
{
	struct zpool_store *store = open_pool("zsmalloc", 512);
	uint64_t count;

	expect_extent(store, 0, 1000, ZPOOL_STORE_HOLE, 1000);
	ck_assert_int_eq(zpool_store_next_extent(store, 0, UINT64_MAX, &count), ZPOOL_STORE_HOLE);
	ck_assert_uint_ge(count, UINT64_MAX - 1);
	for (uint64_t key = 100; key < 200; key++)
		ck_assert_int_eq(zpool_store_put(store, key, "data", 4), 0);
	ck_assert_int_eq(zpool_store_zero_range(store, 200, 51), 0);
	expect_extent(store, 0, 1000, ZPOOL_STORE_HOLE, 100);
	expect_extent(store, 0, UINT64_MAX, ZPOOL_STORE_HOLE, 100);
	expect_extent(store, 100, 1000, ZPOOL_STORE_DATA, 100);
	expect_extent(store, 100, UINT64_MAX, ZPOOL_STORE_DATA, 100);
	expect_extent(store, 200, 1000, ZPOOL_STORE_ZERO, 51);
	expect_extent(store, 251, 1000, ZPOOL_STORE_HOLE, 1000);
	expect_extent(store, 150, 10, ZPOOL_STORE_DATA, 10);
	ck_assert_int_eq(zpool_store_drop_range(store, 120, 10), 0);
	expect_extent(store, 100, 1000, ZPOOL_STORE_DATA, 20);
	expect_extent(store, 120, 1000, ZPOOL_STORE_HOLE, 10);
	ck_assert_int_eq(zpool_store_put(store, UINT64_MAX, "data", 4), 0);
	expect_extent(store, UINT64_MAX, 1, ZPOOL_STORE_DATA, 1);
	expect_extent(store, UINT64_MAX - 9, 10, ZPOOL_STORE_HOLE, 9);
	zpool_store_close(store);
}
END_TEST

/* This is a compressor of the program, which can only compress values that repeat one byte. */
static int contexts;
static void *run_create(int level)
{
	contexts++;
	return malloc((size_t)level);
}
static void run_destroy(void *context)
{
	contexts--;
	free(context);
}
static size_t run_bytes(const void *context)
{
	return context ? 5 : 0;
}
static size_t run_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	const unsigned char *data = from;

	(void)context;
	if (!room || memcmp(data, data + 1, bytes - 1) != 0)
		return 0;
	*(unsigned char *)to = data[0];
	return 1;
}
static size_t run_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	(void)context;
	memset(to, *(const unsigned char *)from, room);
	return bytes == 1 ? room : 0;
}

START_TEST(compressor_of_the_program_is_used)
{
	static const struct zpool_store_compressor run = {
		sizeof(run), 1, 9, 5, "run", run_create, run_destroy, run_bytes, run_compress, run_decompress,
	};
	struct zpool_store_compressor wrong = run;
	struct zpool_store *store;

	ck_assert_int_eq(zpool_store_add_compressor(&run), 0);
	ck_assert_int_eq(zpool_store_add_compressor(&run), -EEXIST);
	wrong.name = "Run";
	ck_assert_int_eq(zpool_store_add_compressor(&wrong), -EINVAL);
	wrong.name = "lz4";
	ck_assert_int_eq(zpool_store_add_compressor(&wrong), -EEXIST);
	wrong.compress = NULL;
	ck_assert_int_eq(zpool_store_add_compressor(&wrong), -EINVAL);
	ck_assert_int_eq(zpool_store_add_compressor(NULL), -EINVAL);
	store = open_with("libc", "run:7", UNIT, 0);
	ck_assert_ptr_nonnull(store);
	memset(value, 'x', 1000);
	ck_assert_int_eq(zpool_store_put(store, 1, value, 1000), 0);
	expect(store, 1, value, 1000);
	ck_assert_uint_eq(stats_of(store).stored_bytes, 5);
	zpool_store_close(store);
	ck_assert_int_eq(contexts, 0);
}
END_TEST

START_TEST(compressors_are_found_by_name)
{
	const struct zpool_store_compressor *compressor = NULL;
	int level = -1;
	void *context;
	size_t length;

	ck_assert_int_eq(zpool_store_find_compressor("none", &compressor, &level), 0);
	ck_assert_ptr_null(compressor);
	ck_assert_int_eq(zpool_store_find_compressor("lz4", &compressor, &level), 0);
	ck_assert_str_eq(compressor->name, "lz4");
	ck_assert_int_eq(level, 0);
	ck_assert_int_eq(zpool_store_find_compressor("zstd:7", &compressor, &level), 0);
	ck_assert_str_eq(compressor->name, "zstd");
	ck_assert_int_eq(level, 7);
	context = compressor->create(level);
	ck_assert_ptr_nonnull(context);
	make(value, 4096, 1, false);
	length = compressor->compress(context, value, 4096, other, 4096);
	ck_assert_uint_gt(length, 0);
	ck_assert_uint_eq(compressor->decompress(context, other, length, other + 8192, 4096), 4096);
	ck_assert_mem_eq(other + 8192, value, 4096);
	compressor->destroy(context);
	ck_assert_int_eq(zpool_store_find_compressor("zstd:100", &compressor, &level), -EINVAL);
	ck_assert_int_eq(zpool_store_find_compressor("gzip", &compressor, &level), -EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "lz4hc"));
	ck_assert_int_eq(zpool_store_find_compressor(NULL, &compressor, &level), -EINVAL);
	ck_assert_int_eq(zpool_store_find_compressor("lz4", NULL, &level), -EINVAL);
	ck_assert_int_eq(zpool_store_find_compressor("lz4", &compressor, NULL), -EINVAL);
}
END_TEST

START_TEST(pool_of_a_store_can_be_inspected)
{
	struct zpool_store *store = open_pool("libc", UNIT);
	struct zpool_stats stats;

	make(value, UNIT, 1, true);
	ck_assert_int_eq(zpool_store_put(store, 1, value, UNIT), 0);
	ck_assert_int_eq(zpool_get_stats(zpool_store_get_pool(store), &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.objects, 1);
	ck_assert_uint_eq(stats.stored_bytes, UNIT);
	zpool_store_close(store);
	ck_assert_ptr_null(zpool_store_get_pool(NULL));
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(value_too_large_for_the_driver_does_not_replace_the_old_one)
{
	struct zpool_store *store = open_pool("zbud", 4096);

	ck_assert_int_eq(zpool_store_put(store, 1, "old", 3), 0);
	make(value, 4096, 1, true);
	ck_assert_int_eq(zpool_store_put(store, 1, value, 4096), -ENOSPC);
	expect(store, 1, (const unsigned char *)"old", 3);
	ck_assert_uint_eq(stats_of(store).refused_too_large, 1);
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	TCase *tcase = tcase_create("store");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, values_of_every_kind_are_read_back, 0, SPECS);
	tcase_add_loop_test(tcase, same_filled_units_need_no_object, 0, SPECS);
	tcase_add_loop_test(tcase, limit_covers_all_memory_and_values_survive, 0, SPECS);
	tcase_add_test(tcase, every_unit_size_and_compressor_works);
	tcase_add_loop_test(tcase, incompressible_value_is_stored_in_its_length, 0, SPECS);
	tcase_add_test(tcase, object_is_never_longer_than_its_value);
	tcase_add_test(tcase, checksum_is_stored_for_a_full_size_unit);
	tcase_add_test(tcase, bad_arguments_are_refused_with_a_reason);
	tcase_add_test(tcase, limit_covers_the_index);
	tcase_add_test(tcase, index_takes_16_bytes_a_unit);
	tcase_add_test(tcase, extents_report_data_zeroes_and_holes);
	tcase_add_test(tcase, compressor_of_the_program_is_used);
	tcase_add_test(tcase, compressors_are_found_by_name);
	tcase_add_test(tcase, pool_of_a_store_can_be_inspected);
	tcase_add_test(tcase, value_too_large_for_the_driver_does_not_replace_the_old_one);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
