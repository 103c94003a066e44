/* SPDX-License-Identifier: MIT
 *
 * backing.c - tests of a store with a backing, from one thread
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers.h"
#include "image.h"
#include "tests/suite.h"

#define UNIT 2048 /* Every driver can store a unit of this length that does not shrink. */
#define UNITS 4000
#define LIMIT (2 << 20)

static unsigned char value[65536], other[65536];
static struct image image;
static char path[64];

static struct zpool_store_args args_for(const char *pool)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.unit_bytes = UNIT;
	return args;
}

static struct zpool_store *open_args(const struct zpool_store_args *args)
{
	struct zpool_store *store = zpool_store_open(args, sizeof(*args));

	ck_assert_msg(store, "%s: %s", args->pool ? args->pool : "", zpool_last_error());
	return store;
}

static struct zpool_store *open_image(const char *pool, uint64_t limit)
{
	struct zpool_store_args args = args_for(pool);

	args.backing = &image.backing;
	args.limit_bytes = limit;
	return open_args(&args);
}

static struct zpool_store_stats stats_of(struct zpool_store *store)
{
	struct zpool_store_stats stats;

	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	return stats;
}

/*
 * Returns the value of a version of a key.  One value in seven is zero, one in seven repeats another word, one in three
 * is noise, and the others shrink; none of these is zero by chance.
 */
static const unsigned char *value_of(uint64_t key, uint32_t version)
{
	uint32_t seed = (uint32_t)key * 2654435761U + version;
	bool noisy = key % 3 == 0;

	if (version == 0 || key % 7 == 0) {
		memset(value, 0, UNIT);
	} else if (key % 7 == 1) {
		memset(value, (int)(version % 255) + 1, UNIT);
	} else {
		for (size_t i = 0; i < UNIT; i++) {
			seed = seed * 1664525 + 1013904223;
			value[i] = noisy ? (unsigned char)(seed >> 24) : (unsigned char)('a' + (seed >> 30));
		}
	}
	return value;
}

static void put(struct zpool_store *store, uint64_t key, uint32_t version)
{
	int err = zpool_store_put(store, key, value_of(key, version), UNIT);

	ck_assert_msg(err == 0, "key %llu: %d, %s", (unsigned long long)key, err, zpool_last_error());
}

static void expect(struct zpool_store *store, uint64_t key, uint32_t version)
{
	int64_t got = zpool_store_get(store, key, other, sizeof(other));

	ck_assert_msg(got == UNIT, "key %llu: %lld, %s", (unsigned long long)key, (long long)got, zpool_last_error());
	ck_assert_msg(!memcmp(other, value_of(key, version), UNIT), "key %llu", (unsigned long long)key);
}

static void expect_in_image(uint64_t key, uint32_t version)
{
	ck_assert_msg(!memcmp(image.data + key * UNIT, value_of(key, version), UNIT), "key %llu",
		      (unsigned long long)key);
}

static void set_up(void)
{
	image_init(&image, (uint64_t)UNITS * UNIT, false);
	snprintf(path, sizeof(path), "store-backing-%ld.img", (long)getpid());
}

static void tear_down(void)
{
	ck_assert(!atomic_load(&image.misaligned));
	image_fini(&image);
	(void)unlink(path);
}

START_TEST(values_beyond_the_limit_are_moved_to_the_backing)
{
	struct zpool_store *store = open_image(specs[_i], LIMIT);

	for (uint64_t key = 0; key < UNITS; key++) {
		put(store, key * 7 % UNITS, 1);
		ck_assert_uint_le(zpool_store_get_total_size(store), LIMIT);
	}
	ck_assert_uint_gt(stats_of(store).evicted, UNITS / 4);
	for (uint64_t key = 0; key < UNITS; key++) {
		expect(store, key, 1);
		ck_assert_uint_le(zpool_store_get_total_size(store), LIMIT);
	}
	ck_assert_uint_gt(stats_of(store).loaded, UNITS / 4);
	for (uint64_t key = 0; key < UNITS; key += 2)
		put(store, key, 2);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	ck_assert_uint_eq(stats_of(store).refused_limit + stats_of(store).refused_backing, 0);
	for (uint64_t key = 0; key < UNITS; key++) {
		expect_in_image(key, key % 2 ? 1 : 2);
		expect(store, key, key % 2 ? 1 : 2);
	}
	ck_assert_uint_eq(atomic_load(&image.flushes), 1);
	zpool_store_close(store);
	ck_assert_uint_eq(atomic_load(&image.closes), 1);
}
END_TEST

START_TEST(nothing_is_written_before_the_limit_or_a_flush)
{
	struct zpool_store *store = open_image("zsmalloc", 0);

	for (uint64_t key = 0; key < 100; key++)
		put(store, key, 1);
	ck_assert_uint_eq(atomic_load(&image.writes) + atomic_load(&image.zeroes), 0);
	ck_assert_uint_eq(stats_of(store).dirty, 100);
	ck_assert_int_eq(zpool_store_sync(store, 10, 20), 0);
	ck_assert_uint_eq(stats_of(store).dirty, 80);
	ck_assert_uint_eq(stats_of(store).written_back, 20);
	for (uint64_t key = 0; key < 100; key++)
		expect_in_image(key, key >= 10 && key < 30);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats_of(store).written_back, 100);
	/* Consecutive dirty units are written together. */
	ck_assert_uint_lt(atomic_load(&image.writes), 50);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats_of(store).written_back, 100);
	zpool_store_close(store);
}
END_TEST

START_TEST(close_writes_what_is_dirty)
{
	struct zpool_store *store = open_image("zsmalloc", 0);

	for (uint64_t key = 0; key < 100; key++)
		put(store, key, 3);
	zpool_store_close(store);
	for (uint64_t key = 0; key < 100; key++)
		expect_in_image(key, 3);
	ck_assert_uint_eq(atomic_load(&image.flushes), 1);
}
END_TEST

START_TEST(image_of_an_earlier_run_is_read)
{
	struct zpool_store *store;
	uint64_t reads;

	for (uint64_t key = 0; key < UNITS; key++)
		memcpy(image.data + key * UNIT, value_of(key, 9), UNIT);
	store = open_image(specs[_i], 0);
	expect(store, 17, 9);
	expect(store, UNITS - 1, 9);
	ck_assert_int_eq(zpool_store_get(store, UNITS, other, sizeof(other)), -EINVAL);
	ck_assert_int_eq(zpool_store_get(store, 5, other, UNIT - 1), -ENOBUFS);
	ck_assert_uint_eq(stats_of(store).loaded, 2);
	ck_assert_uint_eq(stats_of(store).misses, 3);
	ck_assert_int_eq(zpool_store_prefetch(store, 0, 1000), 0);
	ck_assert_uint_eq(stats_of(store).loaded, 1001);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	reads = atomic_load(&image.reads);
	ck_assert_uint_lt(reads, 100);
	for (uint64_t key = 0; key < 1000; key++)
		expect(store, key, 9);
	ck_assert_uint_eq(atomic_load(&image.reads), reads);
	ck_assert_uint_eq(stats_of(store).units, 1001);
	zpool_store_close(store);
	ck_assert_uint_eq(atomic_load(&image.writes), 0);
}
END_TEST

START_TEST(prefetch_ends_at_the_limit)
{
	struct zpool_store *store;

	for (uint64_t key = 0; key < UNITS; key++)
		memcpy(image.data + key * UNIT, value_of(key, 9), UNIT);
	store = open_image("zsmalloc", LIMIT);
	put(store, 0, 4);
	ck_assert_int_eq(zpool_store_prefetch(store, 0, UNITS), 0);
	ck_assert_uint_eq(stats_of(store).evicted, 0);
	ck_assert_uint_gt(stats_of(store).units, 100);
	ck_assert_uint_lt(stats_of(store).units, UNITS);
	ck_assert_uint_le(zpool_store_get_total_size(store), LIMIT);
	expect(store, 0, 4);
	zpool_store_close(store);
}
END_TEST

/* Drop and zero must change units that are in memory, units that are not, and ranges with both. */
START_TEST(dropped_and_zeroed_units_read_as_zero_bytes)
{
	bool plain = _i / 2, drop = _i % 2;
	struct zpool_store *store;

	image_fini(&image);
	image_init(&image, (uint64_t)UNITS * UNIT, plain);
	for (uint64_t key = 0; key < UNITS; key++)
		memcpy(image.data + key * UNIT, value_of(key, 9), UNIT);
	store = open_image("zsmalloc", 0);
	for (uint64_t key = 0; key < 1000; key += 3)
		put(store, key, 2);
	ck_assert_int_eq((drop ? zpool_store_drop_range : zpool_store_zero_range)(store, 100, 2000), 0);
	if (drop)
		ck_assert_int_eq(zpool_store_drop(store, 3000), 0);
	for (uint64_t key = 0; key < 2200; key++)
		expect(store, key, key >= 100 && key < 2100 ? 0 : key < 1000 && key % 3 == 0 ? 2 : 9);
	expect(store, 3000, drop ? 0 : 9);
	for (uint64_t key = 500; key < 600; key++)
		put(store, key, 5);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	for (uint64_t key = 0; key < 2200; key++)
		expect_in_image(key, key >= 500 && key < 600      ? 5
				     : key >= 100 && key < 2100   ? 0
				     : key < 1000 && key % 3 == 0 ? 2
								  : 9);
	ck_assert_int_eq(atomic_load(&image.discards) > 0, drop && !plain);
	ck_assert_int_eq(atomic_load(&image.zeroes) > 0, !plain);
	zpool_store_close(store);
}
END_TEST

static void expect_extent(struct zpool_store *store, uint64_t first, int kind, uint64_t count)
{
	uint64_t found = 0, length = 0;

	while (first + found < UNITS && zpool_store_next_extent(store, first + found, UINT64_MAX, &length) == kind)
		found += length;
	ck_assert_uint_eq(found, count);
}

START_TEST(extents_follow_memory_and_backing)
{
	struct zpool_store *store = open_image("zsmalloc", 0);

	memset(image.data + 1000 * UNIT, 1, 100 * UNIT);
	memset(image.data + 2000 * UNIT + 512, 1, 512); /* This is a part of a unit, so the unit is data. */
	expect_extent(store, 0, ZPOOL_STORE_HOLE, 1000);
	expect_extent(store, 1000, ZPOOL_STORE_DATA, 100);
	expect_extent(store, 1100, ZPOOL_STORE_HOLE, 900);
	expect_extent(store, 2000, ZPOOL_STORE_DATA, 1);
	expect_extent(store, 2001, ZPOOL_STORE_HOLE, UNITS - 2001);
	put(store, 50, 1);
	put(store, 51, 1);
	ck_assert_int_eq(zpool_store_zero_range(store, 51, 1), 0);
	ck_assert_int_eq(zpool_store_drop(store, 1050), 0);
	expect_extent(store, 0, ZPOOL_STORE_HOLE, 50);
	expect_extent(store, 50, ZPOOL_STORE_DATA, 1);
	expect_extent(store, 51, ZPOOL_STORE_ZERO, 1);
	expect_extent(store, 1000, ZPOOL_STORE_DATA, 50);
	expect_extent(store, 1050, ZPOOL_STORE_HOLE, 1);
	zpool_store_close(store);
}
END_TEST

/* Units that are read stay in memory, although they were put first. */
START_TEST(units_that_are_read_stay_in_memory)
{
	struct zpool_store *store = open_image(specs[_i], LIMIT);
	uint64_t misses;

	for (uint64_t key = 0; key < 100; key++)
		put(store, key, 1);
	for (uint64_t key = 100; key < UNITS; key++) {
		put(store, key, 1);
		if (key % 20 == 0)
			for (uint64_t hot = 0; hot < 100; hot += 10)
				expect(store, hot, 1);
	}
	ck_assert_uint_gt(stats_of(store).second_chances, 0);
	misses = stats_of(store).misses;
	for (uint64_t hot = 0; hot < 100; hot += 10)
		expect(store, hot, 1);
	/*
	 * A few of these units may have been evicted, because a store whose units were all read must evict some of
	 * them.
	 */
	ck_assert_uint_le(stats_of(store).misses - misses, 3);
	zpool_store_close(store);
}
END_TEST

START_TEST(shrink_evicts_as_much_as_requested)
{
	struct zpool_store *store = open_image(specs[_i], 0);
	uint64_t released = 0, before;
	int err;

	for (uint64_t key = 0; key < UNITS; key++)
		put(store, key, 1);
	before = zpool_store_get_total_size(store);
	ck_assert_int_eq(zpool_store_shrink(store, 1 << 20, &released), 0);
	ck_assert_uint_ge(released, 1 << 20);
	ck_assert_uint_eq(before - zpool_store_get_total_size(store), released);
	ck_assert_uint_gt(stats_of(store).units, 0);
	err = zpool_store_shrink(store, UINT64_MAX, &released);
	ck_assert_int_eq(err, -EAGAIN);
	ck_assert_uint_eq(stats_of(store).units, 0);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	for (uint64_t key = 0; key < UNITS; key++)
		expect(store, key, 1);
	zpool_store_close(store);
}
END_TEST

/* An incompressible value of 4096 bytes does not fit into a page of zbud, so it is written to the backing. */
START_TEST(value_too_large_for_the_driver_is_written_through)
{
	struct zpool_store_args args = args_for("zbud");
	struct zpool_store *store;

	args.unit_bytes = 4096;
	args.backing = &image.backing;
	store = open_args(&args);
	memset(value, 1, 4096);
	ck_assert_int_eq(zpool_store_put(store, 5, value, 4096), 0);
	for (size_t i = 0; i < 4096; i++)
		value[i] = (unsigned char)(rand() >> 3);
	ck_assert_int_eq(zpool_store_put(store, 5, value, 4096), 0);
	ck_assert_uint_eq(stats_of(store).written_through, 1);
	ck_assert_uint_eq(stats_of(store).through_too_large, 1);
	ck_assert_uint_eq(stats_of(store).units, 0);
	ck_assert_mem_eq(image.data + 5 * 4096, value, 4096);
	ck_assert_int_eq(zpool_store_get(store, 5, other, sizeof(other)), 4096);
	ck_assert_mem_eq(other, value, 4096);
	image_fail(&image, 1, 1, EIO);
	ck_assert_int_eq(zpool_store_put(store, 6, value, 4096), -EIO);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "the test's image"));
	ck_assert_uint_eq(stats_of(store).refused_backing, 1);
	zpool_store_close(store);
}
END_TEST

/* The store must reuse the index of evicted units, because the limit has no room for the index of all keys. */
START_TEST(index_releases_memory_for_other_keys)
{
	struct zpool_store_args args = args_for("zsmalloc");
	struct zpool_store *store;

	args.unit_bytes = 512;
	args.backing = &image.backing;
	args.limit_bytes = 512 << 10;
	store = open_args(&args);
	for (int round = 1; round < 4; round++)
		for (uint64_t key = 0; key < image.bytes / 512; key += 8) {
			memset(value, round, 512);
			value[0] = (unsigned char)key;
			ck_assert_int_eq(zpool_store_put(store, key, value, 512), 0);
			ck_assert_uint_le(zpool_store_get_total_size(store), args.limit_bytes);
		}
	for (uint64_t key = 0; key < image.bytes / 512; key += 8) {
		memset(value, 3, 512);
		value[0] = (unsigned char)key;
		ck_assert_int_eq(zpool_store_get(store, key, other, 512), 512);
		ck_assert_mem_eq(other, value, 512);
	}
	/* Only a part of the puts may be written through, because the memory has room for some units at any time. */
	ck_assert_uint_lt(stats_of(store).written_through, image.bytes / 512 / 8);
	zpool_store_close(store);
}
END_TEST

/* ---- Files ---- */
static void make_file(uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void expect_refused(const struct zpool_store_args *args, int err, const char *word)
{
	ck_assert_ptr_null(zpool_store_open(args, sizeof(*args)));
	ck_assert_msg(errno == err, "%d instead of %d: %s", errno, err, zpool_last_error());
	ck_assert_msg(strstr(zpool_last_error(), word), "%s", zpool_last_error());
}

START_TEST(file_holds_the_units_after_the_store_is_closed)
{
	struct zpool_store_args args = args_for(specs[_i]);
	struct zpool_store *store;
	struct stat st;

	args.backing_path = path;
	args.unit_count = UNITS;
	args.limit_bytes = LIMIT;
	expect_refused(&args, ENOENT, path);
	args.flags = ZPOOL_STORE_CREATE;
	store = open_args(&args);
	for (uint64_t key = 0; key < UNITS; key++)
		put(store, key, 6);
	ck_assert_int_eq(zpool_store_drop_range(store, 1000, 500), 0);
	expect_refused(&args, EBUSY, "locked");
	zpool_store_close(store);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, (off_t)UNITS * UNIT);
	args.flags = 0;
	args.unit_count = 0;
	store = open_args(&args);
	ck_assert_int_eq(zpool_store_put(store, UNITS, value, UNIT), -EINVAL);
	for (uint64_t key = 0; key < UNITS; key++)
		expect(store, key, key >= 1000 && key < 1500 ? 0 : 6);
	zpool_store_close(store);
}
END_TEST

START_TEST(descriptor_is_duplicated)
{
	struct zpool_store_args args = args_for(NULL);
	struct zpool_store *store;
	unsigned char on_disk[UNIT];
	int fd;

	make_file((uint64_t)UNITS * UNIT);
	fd = open(path, O_RDWR);
	args.backing_fd = fd;
	store = open_args(&args);
	close(fd);
	put(store, 100, 1);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	expect(store, 100, 1);
	zpool_store_close(store);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(pread(fd, on_disk, UNIT, 100 * UNIT), UNIT);
	ck_assert_mem_eq(on_disk, value_of(100, 1), UNIT);
	args.backing_fd = fd;
	expect_refused(&args, EROFS, "not open for reading and writing");
	close(fd);
	fd = open(path, O_RDWR | O_APPEND);
	args.backing_fd = fd;
	expect_refused(&args, EINVAL, "O_APPEND");
	close(fd);
	expect_refused(&args, EBADF, "not open");
}
END_TEST

START_TEST(unusable_backings_are_refused_with_a_reason)
{
	struct zpool_store_args args = args_for(NULL);
	struct zpool_store_backing backing = image.backing;

	make_file(10 * UNIT + 512);
	args.backing_path = path;
	expect_refused(&args, EINVAL, "multiple");
	args.unit_count = 11;
	expect_refused(&args, ENOSPC, "ZPOOL_STORE_CREATE");
	args.unit_count = 10;
	zpool_store_close(open_args(&args));
	args.backing = &image.backing;
	expect_refused(&args, EINVAL, "only one");
	args.backing = NULL;
	args.backing_path = ".";
	expect_refused(&args, EINVAL, "directory");
	args.backing_path = "/dev/null";
	expect_refused(&args, EINVAL, "neither");
	args.backing_path = NULL;
	args.flags = ZPOOL_STORE_EXCEED;
	expect_refused(&args, EINVAL, "backing");
	args.flags = 0x1000;
	expect_refused(&args, EINVAL, "flags");
	args.flags = 0;
	args.backing = &backing;
	args.unit_count = 0;
	args.accept_percent = 101;
	expect_refused(&args, EINVAL, "accept_percent");
	args.accept_percent = 0;
	backing.pwrite = NULL;
	expect_refused(&args, EROFS, "read-only");
	backing = image.backing;
	backing.struct_size--;
	expect_refused(&args, EINVAL, "struct_size");
	backing = image.backing;
	args.limit_bytes = 100;
	expect_refused(&args, ENOMEM, "limit");
	ck_assert_uint_eq(atomic_load(&image.closes), 0);
}
END_TEST

START_TEST(file_that_cannot_be_written_is_refused)
{
	struct zpool_store_args args = args_for(NULL);

	make_file(10 * UNIT);
	ck_assert_int_eq(chmod(path, 0400), 0);
	args.backing_path = path;
	/* Root can write every file, so another user tries.  The path is relative, so its directories do not matter. */
	if (!geteuid() && (chown(path, 65534, (gid_t)-1) || seteuid(65534)))
		return;
	expect_refused(&args, EACCES, "reading and writing");
	ck_assert(getuid() || !seteuid(0));
}
END_TEST

START_TEST(value_of_another_length_than_a_unit_is_refused)
{
	struct zpool_store *store = open_image(NULL, 0);

	ck_assert_int_eq(zpool_store_put(store, 1, value, UNIT - 1), -EINVAL);
	ck_assert_int_eq(zpool_store_put(store, 1, value, UNIT + 1), -EINVAL);
	ck_assert_int_eq(zpool_store_shrink(store, 0, NULL), -EINVAL);
	ck_assert_int_eq(zpool_store_sync(store, UNITS - 1, 2), -EINVAL);
	ck_assert_int_eq(zpool_store_prefetch(store, 0, 0), -EINVAL);
	zpool_store_close(store);
}
END_TEST

START_TEST(store_without_a_backing_has_nothing_to_flush)
{
	struct zpool_store_args args = args_for(NULL);
	struct zpool_store *store = open_args(&args);

	put(store, 1, 1);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_int_eq(zpool_store_sync(store, 0, 10), 0);
	ck_assert_int_eq(zpool_store_prefetch(store, 0, 10), 0);
	ck_assert_int_eq(zpool_store_shrink(store, 1, NULL), -EOPNOTSUPP);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backing");
	TCase *tcase = tcase_create("backing");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, values_beyond_the_limit_are_moved_to_the_backing, 0, SPECS);
	tcase_add_test(tcase, nothing_is_written_before_the_limit_or_a_flush);
	tcase_add_test(tcase, close_writes_what_is_dirty);
	tcase_add_loop_test(tcase, image_of_an_earlier_run_is_read, 0, SPECS);
	tcase_add_test(tcase, prefetch_ends_at_the_limit);
	tcase_add_loop_test(tcase, dropped_and_zeroed_units_read_as_zero_bytes, 0, 4);
	tcase_add_test(tcase, extents_follow_memory_and_backing);
	tcase_add_loop_test(tcase, units_that_are_read_stay_in_memory, 0, SPECS);
	tcase_add_loop_test(tcase, shrink_evicts_as_much_as_requested, 0, SPECS);
	tcase_add_test(tcase, value_too_large_for_the_driver_is_written_through);
	tcase_add_test(tcase, index_releases_memory_for_other_keys);
	tcase_add_loop_test(tcase, file_holds_the_units_after_the_store_is_closed, 0, SPECS);
	tcase_add_test(tcase, descriptor_is_duplicated);
	tcase_add_test(tcase, unusable_backings_are_refused_with_a_reason);
	tcase_add_test(tcase, file_that_cannot_be_written_is_refused);
	tcase_add_test(tcase, value_of_another_length_than_a_unit_is_refused);
	tcase_add_test(tcase, store_without_a_backing_has_nothing_to_flush);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
