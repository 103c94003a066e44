/* SPDX-License-Identifier: MIT
 *
 * recompress.c - recompression makes idle values shorter, and a get still returns the same bytes
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "image.h"
#include "tests/suite.h"

#define UNIT 2048
#define UNITS 400
#define NOISE 7 /* Every seventh value does not shrink. */

static unsigned char value[UNIT], other[UNIT];
static struct zpool_store *store;

static struct zpool_store *open_pair(const char *pool, const char *first, const char *second,
				     const struct zpool_store_backing *backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.compressor = first;
	args.recompressor = second;
	args.unit_bytes = UNIT;
	args.backing = backing;
	return zpool_store_open(&args, sizeof(args));
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	return all;
}

/* Makes a value of six random bits per byte, which an entropy coder can shrink and LZ4 cannot, or of noise. */
static size_t make(uint64_t key)
{
	uint32_t seed = (uint32_t)key * 2654435761U + 1;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(key % NOISE ? ' ' + (seed >> 28) + (i % 5 ? 0 : seed >> 27) : seed >> 24);
	}
	return key % 5 || !key ? UNIT : 100 + key;
}

static void put(uint64_t key)
{
	size_t bytes = make(key);

	ck_assert_int_eq(zpool_store_put(store, key, value, bytes), 0);
}

static void expect(uint64_t key)
{
	size_t bytes = make(key);

	ck_assert_int_eq(zpool_store_get(store, key, other, UNIT), (int64_t)bytes);
	ck_assert_mem_eq(other, value, bytes);
}

static void expect_all(void)
{
	for (uint64_t key = 0; key < UNITS; key++)
		expect(key);
}

START_TEST(idle_values_are_recompressed)
{
	static const char *const pairs[][2] = {
		{ "lz4", "zstd" },      { "none", "zstd:1" }, { "zstd:-5", "zstd:12" },
		{ "zstd:-7", "lz4hc" }, { "lz4", "lz4hc" },
	};
	const char *const *pair = pairs[_i % 5];
	uint64_t before, saved;

	store = open_pair(specs[_i / 5], pair[0], pair[1], NULL);
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < UNITS; key++)
		put(key);
	before = stats().stored_bytes;
	/* Values that were just put are not idle. */
	ck_assert_int_eq(zpool_store_recompress(store, 0, 0), 0);
	ck_assert_uint_eq(stats().recompressed, 0);
	ck_assert_uint_eq(stats().stored_bytes, before);
	/* Values that were read or put again since the previous pass are not idle either. */
	expect(11);
	put(12);
	ck_assert_int_eq(zpool_store_recompress(store, 0, 0), 0);
	ck_assert_int_eq(zpool_store_drop(store, 11), 0);
	saved = stats().recompress_saved;
	put(11);
	if (strcmp(pair[1], "lz4hc") != 0)
		ck_assert_uint_gt(stats().recompressed, UNITS / 2);
	ck_assert_uint_eq(stats().stored_bytes, before - saved);
	expect_all();
	/* A recompressed value is not tried again until it is put again. */
	before = stats().recompressed;
	for (uint64_t key = 0; key < UNITS; key++)
		put(key);
	expect_all();
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_ge(stats().recompressed, before);
	expect_all();
	before = stats().recompressed;
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_eq(stats().recompressed, before);
	ck_assert_uint_eq(stats().units, UNITS);
	zpool_store_close(store);
}
END_TEST

START_TEST(pass_is_continued_after_its_budget)
{
	unsigned int calls = 1;
	uint64_t all;

	store = open_pair("zsmalloc", "lz4", "zstd", NULL);
	for (uint64_t key = 0; key < UNITS; key++)
		put(key);
	while (zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 40) == 1)
		calls++;
	ck_assert_uint_ge(calls, UNITS / 48);
	ck_assert_uint_le(calls, UNITS / 40 + 1);
	all = stats().recompressed;
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_eq(stats().recompressed, all);
	zpool_store_close(store);
}
END_TEST

/* An early end of one call must not shorten a later call that has no such limit. */
START_TEST(call_without_a_budget_makes_a_whole_pass)
{
	uint64_t recompressed;

	store = open_pair("zsmalloc", "lz4", "zstd", NULL);
	for (uint64_t key = 0; key < UNITS; key++)
		put(key);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, UNITS / 2), 1);
	for (uint64_t key = 0; key < UNITS / 4; key++)
		put(key);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	recompressed = stats().recompressed;
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_eq(stats().recompressed, recompressed);
	expect_all();
	zpool_store_close(store);
}
END_TEST

/* Two compressors of the program share their functions, and only their contexts know which one is inside. */
struct wrapped {
	const struct zpool_store_compressor *inner;
	void *context;
};

static void *wrap(const char *name)
{
	struct wrapped *wrapped = malloc(sizeof(*wrapped));
	int level;

	ck_assert_ptr_nonnull(wrapped);
	ck_assert_int_eq(zpool_store_find_compressor(name, &wrapped->inner, &level), 0);
	wrapped->context = wrapped->inner->create(level);
	return wrapped;
}

static void *wrap_lz4(int level)
{
	(void)level;
	return wrap("lz4");
}

static void *wrap_zstd(int level)
{
	(void)level;
	return wrap("zstd:3");
}

static void wrapped_destroy(void *context)
{
	struct wrapped *wrapped = context;

	wrapped->inner->destroy(wrapped->context);
	free(wrapped);
}

static size_t wrapped_bytes(const void *context)
{
	const struct wrapped *wrapped = context;

	return sizeof(*wrapped) + wrapped->inner->context_bytes(wrapped->context);
}

static size_t wrapped_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	const struct wrapped *wrapped = context;

	return wrapped->inner->compress(wrapped->context, from, bytes, to, room);
}

static size_t wrapped_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	const struct wrapped *wrapped = context;

	return wrapped->inner->decompress(wrapped->context, from, bytes, to, room);
}

#define WRAPPED(name_, create_)                                                                                        \
	{                                                                                                              \
		sizeof(struct zpool_store_compressor), 0, 0, 0, name_, create_, wrapped_destroy, wrapped_bytes,        \
			wrapped_compress, wrapped_decompress                                                           \
	}

START_TEST(each_compressor_of_the_program_decompresses_its_own_values)
{
	static const struct zpool_store_compressor first = WRAPPED("wrapped_lz4", wrap_lz4);
	static const struct zpool_store_compressor second = WRAPPED("wrapped_zstd", wrap_zstd);

	ck_assert_int_eq(zpool_store_add_compressor(&first), 0);
	ck_assert_int_eq(zpool_store_add_compressor(&second), 0);
	store = open_pair("zsmalloc", first.name, second.name, NULL);
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < UNITS; key++)
		put(key);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_gt(stats().recompressed, UNITS / 2);
	expect_all();
	zpool_store_close(store);
}
END_TEST

START_TEST(dirty_units_stay_dirty)
{
	struct image image;

	image_init(&image, (uint64_t)UNITS * UNIT, false);
	store = open_pair("zsmalloc", "lz4", "zstd", &image.backing);
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < UNITS; key++) {
		(void)make(key);
		ck_assert_int_eq(zpool_store_put(store, key, value, UNIT), 0);
	}
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_uint_gt(stats().recompressed, UNITS / 2);
	ck_assert_uint_eq(stats().dirty, UNITS);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	for (uint64_t key = 0; key < UNITS; key++) {
		(void)make(key);
		ck_assert(!memcmp(image.data + key * UNIT, value, UNIT));
	}
	ck_assert_int_eq(zpool_store_shrink(store, UINT64_MAX, NULL), -EAGAIN);
	ck_assert_uint_eq(stats().units, 0);
	ck_assert_uint_eq(stats().stored_bytes, 0);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	ck_assert_ptr_null(open_pair("libc", "lz4", "none", NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(open_pair("libc", "lz4", "nonesuch", NULL));
	ck_assert_int_eq(errno, EINVAL);
	store = open_pair("libc", "lz4", NULL, NULL);
	ck_assert_int_eq(zpool_store_recompress(store, 0, 0), -EOPNOTSUPP);
	ck_assert_int_eq(zpool_store_recompress(store, 2, 0), -EINVAL);
	ck_assert_int_eq(zpool_store_recompress(NULL, 0, 0), -EINVAL);
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recompress");
	TCase *tcase = tcase_create("recompress");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, idle_values_are_recompressed, 0, 5 * SPECS);
	tcase_add_test(tcase, pass_is_continued_after_its_budget);
	tcase_add_test(tcase, call_without_a_budget_makes_a_whole_pass);
	tcase_add_test(tcase, each_compressor_of_the_program_decompresses_its_own_values);
	tcase_add_test(tcase, dirty_units_stay_dirty);
	tcase_add_test(tcase, bad_arguments_are_refused);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
