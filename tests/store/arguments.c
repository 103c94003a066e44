/* SPDX-License-Identifier: MIT
 *
 * Arguments that libzpool-store refuses: calls without a store, structures of other versions, backings and compressors
 * of the program that lack something, and buffers that are too short
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"
#include "zpool-store.h"

enum { UNIT = 4096 };

static void expect(int64_t result, int err, const char *part)
{
	ck_assert_int_eq(result, -err);
	ck_assert_msg(strstr(zpool_last_error(), part) != NULL, "\"%s\" is not in \"%s\"", part, zpool_last_error());
}

static void expect_not_opened(const struct zpool_store_args *args, int err, const char *part)
{
	errno = 0;
	ck_assert_ptr_null(zpool_store_open(args, sizeof(*args)));
	expect(-errno, err, part);
}

START_TEST(calls_without_a_store_are_refused)
{
	struct zpool_store *store = zpool_store_open(NULL, 0);
	struct zpool_store_stats stats;

	expect(zpool_store_put(NULL, 1, "x", 1), EINVAL, "no store");
	expect(zpool_store_get(NULL, 1, &stats, sizeof(stats)), EINVAL, "without a store");
	expect(zpool_store_drop(NULL, 1), EINVAL, "zpool_store_drop()");
	expect(zpool_store_flush(NULL), EINVAL, "zpool_store_flush()");
	expect(zpool_store_set_limit(NULL, 1 << 20), EINVAL, "zpool_store_set_limit()");
	expect(zpool_store_compact(NULL, 0, 0), EINVAL, "zpool_store_compact()");
	expect(zpool_store_get_stats(NULL, &stats, sizeof(stats)), EINVAL, "zpool_store_get_stats()");
	errno = 0;
	ck_assert_uint_eq(zpool_store_get_total_size(NULL), 0);
	expect(-errno, EINVAL, "zpool_store_get_total_size()");
	zpool_store_close(NULL);

	ck_assert_ptr_nonnull(store);
	expect(zpool_store_get_stats(store, NULL, sizeof(stats)), EINVAL, "no stats");
	expect(zpool_store_get_stats(store, &stats, 0), EINVAL, "stats_size of 0");
	zpool_store_close(store);
}
END_TEST

/* A later version may have more members; this one must not ignore what they ask for. */
START_TEST(members_of_later_versions_must_be_zero)
{
	struct {
		struct zpool_store_args args;
		uint64_t later;
	} longer = { ZPOOL_STORE_ARGS_INIT, 0 };
	struct {
		struct zpool_store_pressure args;
		uint64_t later;
	} pressure = { ZPOOL_STORE_PRESSURE_INIT, 1 };
	struct zpool_store *store = zpool_store_open(&longer.args, sizeof(longer));

	ck_assert_msg(store != NULL, "%s", zpool_last_error());
	expect(zpool_store_watch_pressure(store, &pressure.args, sizeof(pressure)), E2BIG, "newer libzpool-store");
	zpool_store_close(store);
	longer.later = 1;
	errno = 0;
	ck_assert_ptr_null(zpool_store_open(&longer.args, sizeof(longer)));
	expect(-errno, E2BIG, "newer libzpool-store");
}
END_TEST

static int64_t no_size(void *user)
{
	(void)user;
	return -EIO;
}

static int64_t read_nothing(void *user, void *buf, size_t bytes, uint64_t offset)
{
	(void)user, (void)offset;
	memset(buf, 0, bytes);
	return (int64_t)bytes;
}

static int64_t write_nothing(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	(void)user, (void)buf, (void)offset;
	return (int64_t)bytes;
}

static int flush_nothing(void *user)
{
	(void)user;
	return 0;
}

START_TEST(backing_of_the_program_is_examined)
{
	const struct zpool_store_backing whole = { .struct_size = sizeof(whole),
						   .name = "the log",
						   .size = no_size,
						   .pread = read_nothing,
						   .pwrite = write_nothing,
						   .flush = flush_nothing };
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_backing backing = whole;

	args.backing = &backing;
	expect_not_opened(&args, EIO, "the log");
	backing.flags = 1;
	expect_not_opened(&args, EINVAL, "unknown flags");
	backing = whole;
	backing.size = NULL;
	expect_not_opened(&args, EINVAL, "size, pread, pwrite and flush");
	backing = whole;
	backing.pread = NULL;
	expect_not_opened(&args, EINVAL, "size, pread, pwrite and flush");
	backing = whole;
	backing.flush = NULL;
	expect_not_opened(&args, EINVAL, "size, pread, pwrite and flush");
	backing = whole;
	args.flags = ZPOOL_STORE_CREATE;
	args.unit_count = 1;
	expect_not_opened(&args, EINVAL, "a backing that is a file");
}
END_TEST

START_TEST(file_that_cannot_be_a_backing_is_refused)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	char path[] = "/tmp/zpool-arguments.XXXXXX", fifo[sizeof(path) + 5];

	ck_assert_ptr_nonnull(mkdtemp(path));
	(void)snprintf(fifo, sizeof(fifo), "%s/file", path);
	args.backing_path = fifo;
	args.flags = ZPOOL_STORE_CREATE;
	expect_not_opened(&args, EINVAL, "needs unit_count");
	args.unit_count = UINT64_MAX / UNIT;
	expect_not_opened(&args, EFBIG, "too many for a file");
	(void)unlink(fifo);

	args = (struct zpool_store_args)ZPOOL_STORE_ARGS_INIT;
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	args.backing_fd = open(fifo, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(args.backing_fd, 0);
	expect_not_opened(&args, EINVAL, "neither a regular file nor a block device");
	ck_assert_int_eq(close(args.backing_fd), 0);
	ck_assert_int_eq(unlink(fifo), 0);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(lack_of_descriptors_for_the_backing_is_reported)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct rlimit before, few;
	FILE *file = tmpfile();
	int next, err;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(ftruncate(fileno(file), UNIT), 0);
	/* The store wants a descriptor above 2.  After this loop, all below `next` are in use. */
	while ((next = dup(fileno(file))) < 4)
		ck_assert_int_ge(next, 0);
	ck_assert_int_eq(close(next), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)next;
	args.backing_fd = fileno(file);
	args.unit_bytes = UNIT;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	errno = 0;
	err = zpool_store_open(&args, sizeof(args)) ? 0 : errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	expect(-err, EMFILE, "of the backing cannot be duplicated: Too many open files");
	(void)fclose(file);
}
END_TEST

START_TEST(whole_unit_of_one_word_needs_room)
{
	struct zpool_store *store = zpool_store_open(NULL, 0);
	unsigned char unit[UNIT];

	ck_assert_ptr_nonnull(store);
	memset(unit, 7, sizeof(unit));
	ck_assert_int_eq(zpool_store_put(store, 1, unit, sizeof(unit)), 0);
	expect(zpool_store_get(store, 1, unit, sizeof(unit) - 1), ENOBUFS, "4096 bytes");
	ck_assert_int_eq(zpool_store_get(store, 1, unit, sizeof(unit)), UNIT);
	zpool_store_close(store);
}
END_TEST

/* The table has no call that empties it, so this test fills it in a process of its own. */
START_TEST(compressors_with_wrong_levels_and_those_beyond_the_table_are_refused)
{
	enum { MOST = 32, NAME_BYTES = 8 };
	static struct zpool_store_compressor added[MOST + 1];
	static char names[MOST + 1][NAME_BYTES];
	const struct zpool_store_compressor *lz4;
	struct zpool_store_compressor wrong;
	int level;

	ck_assert_int_eq(zpool_store_find_compressor("lz4", &lz4, &level), 0);
	wrong = *lz4;
	wrong.name = "wrong";
	wrong.level_default = wrong.level_max + 1;
	expect(zpool_store_add_compressor(&wrong), EINVAL, "out of order");
	wrong.level_default = wrong.level_min - 1;
	expect(zpool_store_add_compressor(&wrong), EINVAL, "out of order");
	wrong.level_min = wrong.level_max + 1;
	expect(zpool_store_add_compressor(&wrong), EINVAL, "out of order");
	for (int i = 0; i <= MOST; i++) {
		(void)snprintf(names[i], NAME_BYTES, "added%d", i);
		added[i] = *lz4;
		added[i].name = names[i];
		if (i < MOST)
			ck_assert_int_eq(zpool_store_add_compressor(&added[i]), 0);
	}
	expect(zpool_store_add_compressor(&added[MOST]), ENOSPC, "full");
	ck_assert_int_eq(zpool_store_find_compressor("added31", &lz4, &level), 0);
	ck_assert_ptr_eq(lz4, &added[MOST - 1]);
	ck_assert_int_eq(zpool_store_find_compressor("added32", &lz4, &level), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store: arguments");
	TCase *tcase = tcase_create("arguments");

	tcase_add_test(tcase, calls_without_a_store_are_refused);
	tcase_add_test(tcase, members_of_later_versions_must_be_zero);
	tcase_add_test(tcase, backing_of_the_program_is_examined);
	tcase_add_test(tcase, file_that_cannot_be_a_backing_is_refused);
	tcase_add_test(tcase, lack_of_descriptors_for_the_backing_is_reported);
	tcase_add_test(tcase, whole_unit_of_one_word_needs_room);
	tcase_add_test(tcase, compressors_with_wrong_levels_and_those_beyond_the_table_are_refused);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
