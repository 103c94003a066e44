/* SPDX-License-Identifier: MIT
 *
 * checksum.c - a store detects objects that were changed in the memory of its pool, or that the pool does not return
 *
 * The test takes the pool out of the store's structure, and changes objects like a program that overwrites memory.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "store.h"
#include "tests/suite.h"

#define UNIT 1024
#define KEY 5

static struct zpool_store *store;
static struct image image;
static unsigned char value[UNIT], other[UNIT];

static const struct {
	const char *pool, *compressor;
	bool backed;
} kinds[] = {
	{ "libc", "none", false }, { "libc", "lz4", false }, { "libc", "zstd", true },
	{ "libc", "none", true },  { "zbud", "lz4", true },  { "zbud", "none", true },
};
#define KINDS ((int)(sizeof(kinds) / sizeof(*kinds)))

static bool open_store(int kind)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, 16 * UNIT, true);
	for (size_t i = 0; i < UNIT; i++)
		value[i] = (unsigned char)('a' + i * i % 7);
	args.pool = kinds[kind].pool;
	args.compressor = kinds[kind].compressor;
	args.unit_bytes = UNIT;
	args.flags = ZPOOL_STORE_CHECKSUM;
	if (kinds[kind].backed)
		args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	if (!store && errno == EOPNOTSUPP && strstr(zpool_last_error(), "libxxhash"))
		return false;
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_put(store, KEY, value, UNIT), 0);
	return true;
}

/* Flips one bit of a byte; a second call restores it. */
static void change(unsigned long handle, size_t at)
{
	unsigned char byte;

	ck_assert_int_eq(zpool_obj_read(store->pool, handle, &byte, 1, at), 1);
	byte ^= 0x10;
	ck_assert_int_eq(zpool_obj_write(store->pool, handle, &byte, 1, at), 1);
}

static unsigned int missed;

/* Returns the length of the payload from the header, because the driver may round up the length of the object. */
static size_t length_in(unsigned long handle)
{
	uint16_t lengths[2];

	ck_assert_int_eq(zpool_obj_read(store->pool, handle, lengths, sizeof(lengths), 0), (int64_t)sizeof(lengths));
	return (size_t)lengths[1] + 1;
}

static void try_each_byte(unsigned long handle, size_t size)
{
	for (size_t at = 0; at < size; at++) {
		int64_t got;

		/* Only eviction uses the key in the header, and it checks the key against the index. */
		if (store->evicts && at >= 4 && at < 12)
			continue;
		change(handle, at);
		got = zpool_store_get(store, KEY, other, UNIT);
		missed += got != -EIO;
		if (store->backing.present) {
			ck_assert_int_eq(zpool_store_flush(store), -EIO);
			ck_assert_uint_eq(image.writes, 0);
		}
		change(handle, at);
	}
}

START_TEST(each_changed_byte_of_an_object_is_detected)
{
	unsigned long handle;

	if (!open_store(_i))
		return;
	handle = (unsigned long)atomic_load(&store->index.chunk[0])->word[KEY]; /* KEY is in the first leaf. */
	try_each_byte(handle, (size_t)(store->header_bytes + length_in(handle)));
	ck_assert_uint_eq(missed, 0);
	ck_assert_int_eq(zpool_store_get(store, KEY, other, UNIT), UNIT);
	ck_assert_mem_eq(other, value, UNIT);
	if (kinds[_i].backed) {
		ck_assert_int_eq(zpool_store_flush(store), 0);
		ck_assert_mem_eq(image.data + KEY * UNIT, value, UNIT);
	}
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* The units before and after the damaged one are written, and the damaged one ends the first write. */
START_TEST(damaged_unit_between_others_is_counted_once)
{
	struct zpool_store_stats stats;

	if (!open_store(3))
		return;
	ck_assert_int_eq(zpool_store_put(store, KEY - 1, value, UNIT), 0);
	ck_assert_int_eq(zpool_store_put(store, KEY + 1, value, UNIT), 0);
	change((unsigned long)atomic_load(&store->index.chunk[0])->word[KEY], store->header_bytes);
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.damaged, 1);
	ck_assert_uint_eq(stats.dirty, 1);
	ck_assert_uint_eq(image.writes, 2);
	change((unsigned long)atomic_load(&store->index.chunk[0])->word[KEY], store->header_bytes);
	zpool_store_close(store);
	ck_assert_mem_eq(image.data + KEY * UNIT, value, UNIT);
	image_fini(&image);
}
END_TEST

/* A value that cannot be read is left as it is, so that it can be read if the memory has the old bytes again. */
START_TEST(damaged_value_is_not_recompressed)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats stats;
	unsigned long handle;

	args.compressor = "zstd:-7";
	args.recompressor = "zstd:9";
	args.unit_bytes = UNIT;
	args.flags = ZPOOL_STORE_CHECKSUM;
	store = zpool_store_open(&args, sizeof(args));
	if (!store && errno == EOPNOTSUPP)
		return;
	ck_assert_msg(store, "%s", zpool_last_error());
	for (size_t i = 0; i < UNIT; i++)
		value[i] = (unsigned char)('a' + i * i % 97 % 13);
	ck_assert_int_eq(zpool_store_put(store, KEY, value, UNIT), 0);
	handle = (unsigned long)atomic_load(&store->index.chunk[0])->word[KEY];
	change(handle, store->header_bytes);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.recompressed, 0);
	change(handle, store->header_bytes);
	ck_assert_int_eq(zpool_store_get(store, KEY, other, UNIT), UNIT);
	ck_assert_mem_eq(other, value, UNIT);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.recompressed, 1);
	zpool_store_close(store);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Without checksums
 */

static void open_plain(const char *pool, const char *compressor)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	for (size_t i = 0; i < UNIT; i++)
		value[i] = (unsigned char)('a' + i * i % 7);
	args.pool = pool;
	args.compressor = compressor;
	args.unit_bytes = UNIT;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_put(store, KEY, value, UNIT), 0);
}

static void expect_value(void)
{
	memset(other, 0, sizeof(other));
	ck_assert_msg(zpool_store_get(store, KEY, other, UNIT) == UNIT, "%s", zpool_last_error());
	ck_assert_mem_eq(other, value, UNIT);
}

static void expect_damaged(void)
{
	struct zpool_store_stats before, after;

	ck_assert_int_eq(zpool_store_get_stats(store, &before, sizeof(before)), 0);
	ck_assert_int_eq(zpool_store_get(store, KEY, other, UNIT), -EIO);
	ck_assert_msg(strstr(zpool_last_error(), "guard+DRIVER"), "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_get_stats(store, &after, sizeof(after)), 0);
	ck_assert_uint_eq(after.damaged, before.damaged + 1);
}

/* Even without checksums, the decompressor finds that these bytes are none of its own. */
START_TEST(overwritten_payload_is_reported_without_checksums)
{
	static const char *const compressors[] = { "lz4", "lz4hc", "zstd" };
	unsigned char kept[UNIT], damage[UNIT];
	unsigned long handle;
	size_t length;

	open_plain("libc", compressors[_i]);
	handle = (unsigned long)atomic_load(&store->index.chunk[0])->word[KEY];
	length = length_in(handle);
	memset(damage, 0xff, sizeof(damage));
	ck_assert_int_eq(zpool_obj_read(store->pool, handle, kept, length, store->header_bytes), (int64_t)length);
	ck_assert_int_eq(zpool_obj_write(store->pool, handle, damage, length, store->header_bytes), (int64_t)length);
	expect_damaged();
	ck_assert_int_eq(zpool_obj_write(store->pool, handle, kept, length, store->header_bytes), (int64_t)length);
	expect_value();
	zpool_store_close(store);
}
END_TEST

/* The put maps the object first, and the get second. */
START_TEST(object_that_cannot_be_mapped_is_copied)
{
	open_plain("fault:map_nth=2+zsmalloc", _i ? "none" : "lz4");
	expect_value();
	expect_value();
	zpool_store_close(store);
}
END_TEST

START_TEST(value_that_cannot_be_written_is_refused)
{
	struct zpool_store_stats stats;
	struct zpool_stats pool_stats;
	unsigned char changed[UNIT];

	open_plain("fault+zsmalloc", _i ? "none" : "lz4");
	memset(changed, 'z', UNIT / 2);
	memcpy(changed + UNIT / 2, value, UNIT / 2);
	ck_assert_int_eq(zpool_set_param(store->pool, "map_share", "1000"), 0);
	ck_assert_int_eq(zpool_store_put(store, KEY + 1, changed, UNIT), -EIO);
	ck_assert_int_eq(zpool_store_put(store, KEY, changed, UNIT), -EIO);
	ck_assert_int_eq(zpool_set_param(store->pool, "map_share", "0"), 0);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.refused_other, 2);
	ck_assert_uint_eq(stats.units, 1);
	ck_assert_int_eq(zpool_get_stats(store->pool, &pool_stats, sizeof(pool_stats)), 0);
	ck_assert_uint_eq(pool_stats.objects, 1);
	ck_assert_int_eq(zpool_store_get(store, KEY + 1, other, UNIT), -ENOENT);
	expect_value();
	zpool_store_close(store);
}
END_TEST

START_TEST(object_that_can_be_neither_mapped_nor_copied_is_reported)
{
	open_plain("fault+zsmalloc", _i ? "none" : "lz4");
	ck_assert_int_eq(zpool_set_param(store->pool, "map_share", "1000"), 0);
	expect_damaged();
	ck_assert_int_eq(zpool_set_param(store->pool, "map_share", "0"), 0);
	expect_value();
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("checksum");
	TCase *tcase = tcase_create("checksum");

	tcase_add_loop_test(tcase, each_changed_byte_of_an_object_is_detected, 0, KINDS);
	tcase_add_test(tcase, damaged_unit_between_others_is_counted_once);
	tcase_add_test(tcase, damaged_value_is_not_recompressed);
	tcase_add_loop_test(tcase, overwritten_payload_is_reported_without_checksums, 0, 3);
	tcase_add_loop_test(tcase, object_that_cannot_be_mapped_is_copied, 0, 2);
	tcase_add_loop_test(tcase, value_that_cannot_be_written_is_refused, 0, 2);
	tcase_add_loop_test(tcase, object_that_can_be_neither_mapped_nor_copied_is_reported, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
