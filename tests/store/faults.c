/* SPDX-License-Identifier: MIT
 *
 * faults.c - a store loses no value when its backing fails
 *
 * The test repeats the same work on new stores, whose backing fails at its first call, at its second, and so on, either
 * once or from then on.  A write that fails leaves its first half in the backing.  A model has the value that each key
 * must hold; after a call that failed, a key may hold its old value or the new one, and never a mixture.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "image.h"
#include "tests/suite.h"

#define UNIT 2048
#define KEYS 64
#define ROOM (56 << 10) /* The limit leaves room for only a part of the values. */
#define CALLS_MAX 2000
#define VERSIONS 5
#define COPIES_MAX 16 /* The store copies this many values past the limit, because their writes have failed. */

struct trial {
	const char *pool;
	bool exceed;
	bool forever;
	bool plain;
};

static const struct trial trials[] = {
	{ "zsmalloc", false, false, false }, { "zsmalloc", true, false, true }, { "zsmalloc", false, true, true },
	{ "zsmalloc", true, true, false },   { "zbud", false, false, true },    { "zbud", true, true, true },
	{ "libc", false, true, false },      { "libc", true, false, true },
};
#define TRIALS ((int)(sizeof(trials) / sizeof(*trials)))

static struct image image;
static struct zpool_store *store;
static uint32_t holds[KEYS];  /* is the version of a key's value; 0 means zero bytes */
static uint32_t may_be[KEYS]; /* has a bit for each version that a failed call may have left */
static unsigned int failures;
static unsigned char value[UNIT], other[UNIT];

static const unsigned char *value_of(uint64_t key, uint32_t version)
{
	uint32_t seed = (uint32_t)key * 2654435761U + version;

	memset(value, 0, UNIT);
	for (size_t i = 0; version && i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
	return value;
}

static uint64_t empty_bytes(const struct zpool_store_args *args)
{
	struct zpool_store *empty = zpool_store_open(args, sizeof(*args));
	uint64_t bytes;

	ck_assert_msg(empty, "%s", zpool_last_error());
	bytes = zpool_store_get_total_size(empty);
	zpool_store_close(empty);
	return bytes;
}

static void begin(const struct trial *trial, uint64_t nth)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)KEYS * UNIT, trial->plain);
	image.tears = true;
	args.pool = trial->pool;
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	args.flags = trial->exceed ? ZPOOL_STORE_EXCEED : 0;
	args.limit_bytes = empty_bytes(&args) + ROOM;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	memset(holds, 0, sizeof(holds));
	memset(may_be, 0, sizeof(may_be));
	failures = 0;
	image_fail(&image, nth, trial->forever ? UINT64_MAX : 1, nth % 2 ? EIO : ENOSPC);
}

/* A call may fail only with the error of the backing. */
static bool failed(int64_t result)
{
	if (result >= 0)
		return false;
	ck_assert_msg(result == -atomic_load(&image.err), "%lld: %s", (long long)result, zpool_last_error());
	ck_assert_msg(strstr(zpool_last_error(), "the test's image"), "%s", zpool_last_error());
	failures++;
	return true;
}

/* Says for certain what a key holds. */
static void set(uint64_t key, uint32_t version)
{
	holds[key] = version;
	may_be[key] = 0;
}

static void put(uint64_t key, uint32_t version)
{
	if (failed(zpool_store_put(store, key, value_of(key, version), UNIT)))
		may_be[key] |= UINT32_C(1) << version;
	else
		set(key, version);
}

static void check(uint64_t key)
{
	if (failed(zpool_store_get(store, key, other, UNIT)))
		return;
	for (uint32_t version = 0; version < VERSIONS; version++)
		if ((may_be[key] & UINT32_C(1) << version) && !memcmp(other, value_of(key, version), UNIT))
			set(key, version);
	ck_assert_msg(!memcmp(other, value_of(key, holds[key]), UNIT), "key %d", (int)key);
}

static void clear(uint64_t first, uint64_t count, bool drop)
{
	bool has_failed = failed((drop ? zpool_store_drop_range : zpool_store_zero_range)(store, first, count));

	for (uint64_t key = first; key < first + count; key++)
		if (has_failed)
			may_be[key] |= 1;
		else
			set(key, 0);
}

static void work(void)
{
	for (uint64_t key = 0; key < KEYS; key++)
		put(key, 1);
	for (uint64_t key = 0; key < KEYS; key += 3)
		check(key);
	(void)failed(zpool_store_sync(store, 4, 8));
	clear(8, 24, true);
	clear(40, 12, false);
	for (uint64_t key = 0; key < KEYS; key += 2)
		put(key, 2);
	(void)failed(zpool_store_prefetch(store, 0, KEYS));
	(void)failed(zpool_store_flush(store));
	for (uint64_t key = 0; key < KEYS; key += 5)
		put(key, 3);
	(void)failed(zpool_store_flush(store));
	for (uint64_t key = 0; key < KEYS; key++)
		check(key);
}

/* Returns true if the run made enough calls to reach its failure. */
static bool finish(uint64_t limit)
{
	bool reached = atomic_load(&image.calls) >= atomic_load(&image.fail_from);
	struct zpool_store_stats stats;

	image_fail(&image, 0, 0, EIO);
	failures = 0;
	for (uint64_t key = 0; key < KEYS; key++)
		check(key);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert_msg(!memcmp(image.data + key * UNIT, value_of(key, holds[key]), UNIT), "key %d", (int)key);
	for (uint64_t key = 0; key < KEYS; key++)
		put(key, 4);
	ck_assert_uint_eq(failures, 0);
	for (uint64_t key = 0; key < KEYS; key++)
		check(key);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.damaged, 0);
	/* The store must also be below its limit again. */
	ck_assert_uint_le(zpool_store_get_total_size(store), limit);
	zpool_store_close(store);
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert(!memcmp(image.data + key * UNIT, value_of(key, 4), UNIT));
	ck_assert(!atomic_load(&image.misaligned));
	image_fini(&image);
	return reached;
}

START_TEST(backing_that_fails_at_any_call_loses_nothing)
{
	const struct trial *trial = &trials[_i];
	uint64_t nth = 1;
	uint64_t total;

	for (bool reached = true; reached; nth++) {
		ck_assert_uint_lt(nth, CALLS_MAX);
		begin(trial, nth);
		total = zpool_store_get_total_size(store) + ROOM;
		work();
		/*
		 * A lasting failure makes the store refuse a put or exceed the limit; a single one may have no effect
		 * on puts.
		 */
		if (trial->exceed && trial->forever)
			ck_assert_uint_eq(may_be[0], 0);
		reached = finish(total);
	}
	ck_assert_uint_gt(nth, 20);
}
END_TEST

/* The driver zbud does not accept values of 4096 bytes that do not shrink, so they are direct writes. */
START_TEST(torn_direct_write_leaves_a_whole_value)
{
	enum { BIG = 4096, BIG_KEYS = KEYS * UNIT / BIG };
	static unsigned char old_value[BIG], new_value[BIG], found[BIG];
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats stats;
	int changed = 0;

	for (size_t i = 0; i < BIG; i++) {
		old_value[i] = (unsigned char)('a' + i % 26);
		new_value[i] = (unsigned char)(i * i * 2654435761U >> 13 | 0x80);
	}
	image_init(&image, (uint64_t)BIG * BIG_KEYS, _i);
	for (int key = 0; key < BIG_KEYS; key++)
		memcpy(image.data + (size_t)key * BIG, old_value, BIG);
	image.tears = true;
	args.pool = "zbud";
	args.unit_bytes = BIG;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_get(store, 0, found, BIG), BIG);
	image_fail(&image, 1, UINT64_MAX, EIO);
	for (int key = 0; key < BIG_KEYS; key++)
		ck_assert_int_eq(zpool_store_put(store, (uint64_t)key, new_value, BIG), -EIO);
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.refused_backing, BIG_KEYS);
	image_fail(&image, 0, 0, 0);
	for (int key = 0; key < BIG_KEYS; key++) {
		ck_assert_int_eq(zpool_store_get(store, (uint64_t)key, found, BIG - 1), -ENOBUFS);
		ck_assert_int_eq(zpool_store_get(store, (uint64_t)key, found, BIG), BIG);
		changed += !memcmp(found, new_value, BIG);
		ck_assert_msg(!memcmp(found, new_value, BIG) || !memcmp(found, old_value, BIG), "key %d", key);
	}
	/* Key 0 was in memory, so it keeps its old value; after some failures, nothing more is written. */
	ck_assert_int_gt(changed, 0);
	ck_assert_int_lt(changed, BIG_KEYS - 1);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	for (int key = 0; key < BIG_KEYS; key++) {
		ck_assert_int_eq(zpool_store_get(store, (uint64_t)key, found, BIG), BIG);
		ck_assert_mem_eq(image.data + (size_t)key * BIG, found, BIG);
	}
	for (int key = 0; key < BIG_KEYS; key++)
		ck_assert_int_eq(zpool_store_put(store, (uint64_t)key, new_value, BIG), 0);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.dirty + stats.units, 0);
	zpool_store_close(store);
	ck_assert_mem_eq(image.data, new_value, BIG);
	image_fini(&image);
}
END_TEST

START_TEST(torn_ranges_are_dropped_or_zeroed_as_a_whole)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	bool drop = _i % 2;
	int changed = 0;

	image_init(&image, (uint64_t)KEYS * UNIT, _i / 2);
	for (uint64_t key = 0; key < KEYS; key++)
		memcpy(image.data + key * UNIT, value_of(key, 1), UNIT);
	image.tears = true;
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	image_fail(&image, 1, UINT64_MAX, EIO);
	for (uint64_t key = 0; key + 3 <= KEYS; key += 3)
		ck_assert_int_eq((drop ? zpool_store_drop_range : zpool_store_zero_range)(store, key, 3), -EIO);
	image_fail(&image, 0, 0, 0);
	for (uint64_t key = 0; key < KEYS; key++) {
		ck_assert_int_eq(zpool_store_get(store, key, other, UNIT), UNIT);
		holds[key] = memcmp(other, value_of(key, 0), UNIT) != 0;
		ck_assert_msg(!memcmp(other, value_of(key, holds[key]), UNIT), "key %d", (int)key);
		changed += !holds[key];
	}
	ck_assert_int_gt(changed, 0);
	ck_assert_int_lt(changed, KEYS - 3);
	zpool_store_close(store);
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert_msg(!memcmp(image.data + key * UNIT, value_of(key, holds[key]), UNIT), "key %d", (int)key);
	image_fini(&image);
}
END_TEST

START_TEST(puts_exceed_the_limit_only_where_that_is_allowed)
{
	struct trial trial = { "zsmalloc", _i, true, false };
	struct zpool_store_stats stats;
	uint64_t limit;

	begin(&trial, 1);
	limit = zpool_store_get_total_size(store) + ROOM;
	for (uint64_t key = 0; key < KEYS; key++)
		put(key, 1);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_gt(stats.write_errors, 0);
	if (trial.exceed) {
		ck_assert_uint_eq(failures, 0);
		ck_assert_uint_eq(stats.units, KEYS);
		ck_assert_uint_gt(zpool_store_get_total_size(store), limit);
	} else {
		ck_assert_uint_gt(failures, 0);
		ck_assert_uint_eq(stats.refused_backing, failures);
		ck_assert_uint_le(zpool_store_get_total_size(store), limit + COPIES_MAX * UNIT);
	}
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	(void)finish(limit);
}
END_TEST

/* After a failed fsync(2), units must be written again, because the system may have dropped what was written before. */
START_TEST(failed_flush_makes_units_dirty_again)
{
	struct trial trial = { "zsmalloc", false, false, true };
	struct zpool_store_stats stats;

	begin(&trial, 0);
	put(5, 1);
	image_fail(&image, 2, 1, EIO); /* The write succeeds, and the flush fails. */
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.dirty, 1);
	memset(image.data, 0, image.bytes);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert(!memcmp(image.data + 5 * UNIT, value_of(5, 1), UNIT));
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* This is the image's own pwrite, which the test's function below calls. */
static int64_t (*image_write)(void *user, const void *buf, size_t bytes, uint64_t offset);

enum { FAR_KEY = 1 << 12 }; /* This key is in another stripe than key 5. */

static void *sync_far_key(void *unused)
{
	(void)unused;
	image_fail(&image, 1, 1, EIO);
	ck_assert_int_eq(zpool_store_sync(store, FAR_KEY, 1), -EIO);
	return NULL;
}

/* While the first write is running, another thread's flush fails, after which the system may drop what was written. */
static int64_t write_beside_a_failed_flush(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	int64_t done = image_write(user, buf, bytes, offset);
	pthread_t thread;

	if (atomic_load(&image.writes) == 1) {
		ck_assert_int_eq(pthread_create(&thread, NULL, sync_far_key, NULL), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	return done;
}

START_TEST(failed_flush_of_another_thread_fails_and_keeps_units_dirty)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)(FAR_KEY + 1) * UNIT, true);
	image_write = image.backing.pwrite;
	image.backing.pwrite = write_beside_a_failed_flush;
	args.pool = "zsmalloc";
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_put(store, 5, value_of(5, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_sync(store, 5, 1), -EIO);
	ck_assert(strstr(zpool_last_error(), "flush of another thread"));
	memset(image.data, 0, image.bytes);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert(!memcmp(image.data + 5 * UNIT, value_of(5, 1), UNIT));
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

static int64_t write_nothing(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	(void)user;
	(void)buf;
	(void)bytes;
	return offset ? -ENXIO : -ENOSPC;
}

static int flush_nothing(void *user)
{
	(void)user;
	return -EIO;
}

static int64_t fail_to_write(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	(void)user, (void)buf, (void)bytes, (void)offset;
	return -EIO;
}

/* zbud cannot compact, which is not why nothing was released. */
START_TEST(shrink_reports_the_error_of_the_backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)KEYS * UNIT, true);
	image.backing.pwrite = fail_to_write;
	args.pool = "zbud";
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_shrink(store, UINT64_MAX, NULL), -EIO);
	ck_assert_msg(strstr(zpool_last_error(), "failed to write"), "%s", zpool_last_error());
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(error_and_its_text_are_those_of_the_first_failure)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)(FAR_KEY + 1) * UNIT, true);
	image.backing.pwrite = write_nothing;
	image.backing.flush = flush_nothing;
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key <= FAR_KEY; key += FAR_KEY / 4)
		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_sync(store, 0, FAR_KEY + 1), -ENOSPC);
	ck_assert_msg(strstr(zpool_last_error(), strerror(ENOSPC)), "%s", zpool_last_error());
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* The keys are put in order, or so that leaves which lie side by side in memory have keys that are far apart. */
START_TEST(flush_tries_each_write_only_once)
{
	enum { MANY = 1024, UNITS_PER_WRITE = 65536 / UNIT };
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats stats;

	image_init(&image, (uint64_t)MANY * UNIT, true);
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t i = 0; i < MANY; i++) {
		uint64_t key = _i ? i * 321 % MANY : i;

		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, 1), UNIT), 0);
	}
	image_fail(&image, 1, MANY / UNITS_PER_WRITE, EIO);
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.write_errors, MANY / UNITS_PER_WRITE);
	ck_assert_uint_eq(stats.dirty, MANY);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	for (uint64_t key = 0; key < MANY; key++)
		ck_assert(!memcmp(image.data + key * UNIT, value_of(key, 1), UNIT));
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

static int64_t write_all_but_the_far_key(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	return offset + bytes > (uint64_t)FAR_KEY * UNIT ? -EIO : image_write(user, buf, bytes, offset);
}

/* The range has more keys than the store has leaves, so it is written by leaves. */
START_TEST(sync_ignores_units_outside_its_range)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)(FAR_KEY + 1) * UNIT, true);
	image_write = image.backing.pwrite;
	image.backing.pwrite = write_all_but_the_far_key;
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_store_put(store, FAR_KEY, value_of(FAR_KEY, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_put(store, FAR_KEY - 1, value_of(FAR_KEY - 1, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_sync(store, 1, FAR_KEY - 1), 0);
	ck_assert(!memcmp(image.data + (size_t)(FAR_KEY - 1) * UNIT, value_of(FAR_KEY - 1, 1), UNIT));
	ck_assert_int_eq(zpool_store_flush(store), -EIO);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(short_and_interrupted_transfers_are_continued)
{
	struct trial trial = { "zsmalloc", false, false, _i };

	begin(&trial, 0);
	image.clumsy = true;
	work();
	ck_assert_uint_eq(failures, 0);
	(void)finish(UINT64_MAX);
}
END_TEST

/* The signal of the file size limit would end this process. */
START_TEST(file_size_limit_is_an_error_and_no_signal)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	const struct rlimit limit = { KEYS / 2 * UNIT, RLIM_INFINITY };
	struct rlimit before;
	char path[64];

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)snprintf(path, sizeof(path), "store-faults-%ld.img", (long)getpid());
	args.unit_bytes = UNIT;
	args.backing_path = path;
	args.unit_count = KEYS;
	args.flags = ZPOOL_STORE_CREATE;
	if (setrlimit(RLIMIT_FSIZE, &limit)) {
		printf("# skipped: a file size limit cannot be set: %s\n", strerror(errno));
		return;
	}
	ck_assert_ptr_null(zpool_store_open(&args, sizeof(args)));
	ck_assert_int_eq(errno, EFBIG);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "cannot be extended"));
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (uint64_t key = 0; key < KEYS; key++)
		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, 1), UNIT), 0);
	ck_assert_int_eq(zpool_store_flush(store), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	zpool_store_close(store);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("faults");
	TCase *tcase = tcase_create("faults");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, backing_that_fails_at_any_call_loses_nothing, 0, TRIALS);
	tcase_add_loop_test(tcase, torn_direct_write_leaves_a_whole_value, 0, 2);
	tcase_add_loop_test(tcase, torn_ranges_are_dropped_or_zeroed_as_a_whole, 0, 4);
	tcase_add_loop_test(tcase, puts_exceed_the_limit_only_where_that_is_allowed, 0, 2);
	tcase_add_test(tcase, failed_flush_makes_units_dirty_again);
	tcase_add_test(tcase, failed_flush_of_another_thread_fails_and_keeps_units_dirty);
	tcase_add_test(tcase, shrink_reports_the_error_of_the_backing);
	tcase_add_test(tcase, error_and_its_text_are_those_of_the_first_failure);
	tcase_add_loop_test(tcase, flush_tries_each_write_only_once, 0, 2);
	tcase_add_test(tcase, sync_ignores_units_outside_its_range);
	tcase_add_loop_test(tcase, short_and_interrupted_transfers_are_continued, 0, 2);
	tcase_add_test(tcase, file_size_limit_is_an_error_and_no_signal);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
