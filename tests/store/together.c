/* SPDX-License-Identifier: MIT
 *
 * together.c - calls on a store beside other threads and processes: extents beside eviction, flushes beside a flush
 * that fails, and the lock of a file beside a child of fork()
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "tests/suite.h"

enum { UNIT = 1024, UNITS = 256, THREADS = 4, ROUNDS = 100, LOSE_EVERY = 7 };

static struct zpool_store *store;
static struct image image;

static void open_store(const struct zpool_store_backing *backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.unit_bytes = UNIT;
	args.backing = backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	return all;
}

static const unsigned char *value_of(uint64_t key, uint32_t version, unsigned char *value)
{
	uint32_t seed = (uint32_t)key * 2654435761U + version;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
	return value;
}

static void run_in_thread(void *(*function)(void *))
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, function, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Extents
 */

static int64_t (*image_next_extent)(void *user, uint64_t offset, uint64_t bytes, int *is_hole);
static bool evicts_next;

static void *evict_everything(void *unused)
{
	(void)unused;
	(void)zpool_store_shrink(store, UINT64_MAX, NULL);
	return NULL;
}

/* After the image has answered, another thread evicts all units. */
static int64_t next_extent_before_eviction(void *user, uint64_t offset, uint64_t bytes, int *is_hole)
{
	int64_t length = image_next_extent(user, offset, bytes, is_hole);

	if (evicts_next) {
		evicts_next = false;
		run_in_thread(evict_everything);
	}
	return length;
}

START_TEST(unit_that_is_evicted_during_the_call_is_no_hole)
{
	unsigned char value[UNIT];
	uint64_t count = 0;

	image_init(&image, (uint64_t)UNITS * UNIT, false);
	image_next_extent = image.backing.next_extent;
	image.backing.next_extent = next_extent_before_eviction;
	open_store(&image.backing);
	for (uint64_t key = 32; key < UNITS; key += 100)
		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, 1, value), UNIT), 0);
	for (uint64_t key = 0; key < UNITS; key += count) {
		int kind;

		evicts_next = key == 0;
		kind = zpool_store_next_extent(store, key, UNITS - key, &count);
		ck_assert_int_eq(kind, key % 100 == 32 ? ZPOOL_STORE_DATA : ZPOOL_STORE_HOLE);
		ck_assert_uint_eq(count, key % 100 == 32 ? 1 : key == 0 ? 32 : key == 233 ? UNITS - 233 : 99);
	}
	ck_assert(!evicts_next);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Flushes
 */

/* A device and the cache in front of it: a flush that loses what is in the cache reports that, and only once. */
static struct {
	pthread_mutex_t lock;
	unsigned char cache[UNITS][UNIT], device[UNITS][UNIT];
	bool is_dirty[UNITS];
	unsigned int flushes;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int64_t disk_size(void *unused)
{
	(void)unused;
	return sizeof(disk.cache);
}

static int64_t disk_pread(void *unused, void *buf, size_t bytes, uint64_t offset)
{
	(void)unused;
	pthread_mutex_lock(&disk.lock);
	memcpy(buf, &disk.cache[0][0] + offset, bytes);
	pthread_mutex_unlock(&disk.lock);
	return (int64_t)bytes;
}

static int64_t disk_pwrite(void *unused, const void *buf, size_t bytes, uint64_t offset)
{
	(void)unused;
	pthread_mutex_lock(&disk.lock);
	memcpy(&disk.cache[0][0] + offset, buf, bytes);
	for (size_t i = offset / UNIT; i < (offset + bytes) / UNIT; i++)
		disk.is_dirty[i] = true;
	pthread_mutex_unlock(&disk.lock);
	return (int64_t)bytes;
}

static int disk_flush(void *unused)
{
	bool loses;

	(void)unused;
	pthread_mutex_lock(&disk.lock);
	loses = ++disk.flushes % LOSE_EVERY == 0;
	for (size_t i = 0; i < UNITS; i++) {
		if (disk.is_dirty[i] && !loses)
			memcpy(disk.device[i], disk.cache[i], UNIT);
		disk.is_dirty[i] = false;
	}
	pthread_mutex_unlock(&disk.lock);
	return loses ? -EIO : 0;
}

/* Puts a unit and syncs it until that succeeds, after which the device must have it. */
static void *put_and_sync(void *number)
{
	uint64_t key = (uint64_t)(uintptr_t)number * 16;
	unsigned char value[UNIT];

	for (uint32_t version = 1; version <= ROUNDS; version++) {
		int err, tries = 0;

		ck_assert_int_eq(zpool_store_put(store, key, value_of(key, version, value), UNIT), 0);
		do {
			err = version % 2 ? zpool_store_sync(store, key, 1) : zpool_store_flush(store);
			ck_assert(err == 0 || err == -EIO);
		} while (err && ++tries < 100);
		ck_assert_int_eq(err, 0);
		pthread_mutex_lock(&disk.lock);
		err = memcmp(disk.device[key], value, UNIT);
		pthread_mutex_unlock(&disk.lock);
		ck_assert_msg(err == 0, "key %u, version %u: the device lost it", (unsigned int)key, version);
	}
	return NULL;
}

START_TEST(flush_that_succeeds_has_lost_nothing)
{
	const struct zpool_store_backing backing = { .struct_size = sizeof(backing),
						     .size = disk_size,
						     .pread = disk_pread,
						     .pwrite = disk_pwrite,
						     .flush = disk_flush };
	pthread_t threads[THREADS];

	open_store(&backing);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, put_and_sync, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(stats().flushes, disk.flushes - disk.flushes / LOSE_EVERY);
	ck_assert_uint_eq(stats().write_errors, disk.flushes / LOSE_EVERY);
	zpool_store_close(store);
}
END_TEST

static int (*image_discard)(void *user, uint64_t offset, uint64_t bytes);
static int64_t (*image_pwrite)(void *user, const void *buf, size_t bytes, uint64_t offset);

static void *put_again(void *unused)
{
	unsigned char value[UNIT];

	(void)unused;
	ck_assert_int_eq(zpool_store_put(store, 5, value_of(5, 2, value), UNIT), 0);
	return NULL;
}

static int discard_before_put(void *user, uint64_t offset, uint64_t bytes)
{
	int err = image_discard(user, offset, bytes);

	run_in_thread(put_again);
	return err;
}

/* The flush has told the image to discard the unit, and another thread puts a value before it has noted that. */
START_TEST(unit_that_is_put_while_a_flush_discards_it_keeps_its_value)
{
	unsigned char value[UNIT], other[UNIT];

	image_init(&image, (uint64_t)UNITS * UNIT, false);
	image_discard = image.backing.discard;
	image.backing.discard = discard_before_put;
	open_store(&image.backing);
	ck_assert_int_eq(zpool_store_put(store, 5, value_of(5, 1, value), UNIT), 0);
	ck_assert_int_eq(zpool_store_drop(store, 5), 0);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(atomic_load(&image.discards), 1);
	ck_assert_uint_eq(stats().dirty, 1);
	ck_assert_uint_eq(stats().units, 1);
	ck_assert_int_eq(zpool_store_get(store, 5, other, UNIT), UNIT);
	ck_assert_mem_eq(other, value_of(5, 2, value), UNIT);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats().dirty, 0);
	ck_assert_mem_eq(image.data + 5 * UNIT, value, UNIT);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* An incompressible value of this length does not fit into a page of zbud, so each put is a direct write. */
enum { LARGE = 4096, LARGE_UNITS = 512, REPEATED_MAX = 16 };

static uint64_t first_writes;
static bool flush_fails_next;

static const unsigned char *large_value_of(uint64_t key)
{
	static unsigned char value[LARGE];

	for (size_t at = 0; at < LARGE; at += UNIT)
		(void)value_of(key, (uint32_t)at + 1, value + at);
	return value;
}

static void *flush_that_fails(void *unused)
{
	(void)unused;
	image_fail(&image, 1, 1, EIO);
	ck_assert_int_eq(zpool_store_sync(store, LARGE_UNITS - 1, 1), -EIO);
	return NULL;
}

static int64_t pwrite_before_flush_that_fails(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	int64_t done = image_pwrite(user, buf, bytes, offset);

	first_writes += done > 0 && offset == 0;
	if (done > 0 && flush_fails_next) {
		flush_fails_next = false;
		run_in_thread(flush_that_fails);
	}
	return done;
}

/*
 * So many direct writes have failed that the store repeats the oldest one before it begins another.  The device may
 * have lost what was repeated if a flush of another thread fails meanwhile, and then the store must write it once more.
 */
START_TEST(direct_write_is_repeated_again_if_a_flush_fails_meanwhile)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	image_init(&image, (uint64_t)LARGE_UNITS * LARGE, false);
	image_pwrite = image.backing.pwrite;
	image.backing.pwrite = pwrite_before_flush_that_fails;
	args.pool = "zbud";
	args.unit_bytes = LARGE;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	image_fail(&image, 1, REPEATED_MAX, EIO);
	for (uint64_t key = 0; key < REPEATED_MAX; key++)
		ck_assert_int_eq(zpool_store_put(store, key, large_value_of(key), LARGE), -EIO);
	ck_assert_uint_eq(stats().units, REPEATED_MAX);
	flush_fails_next = true;
	ck_assert_int_eq(zpool_store_put(store, 20, large_value_of(20), LARGE), 0);
	ck_assert_uint_eq(first_writes, 2);
	/* After that, the store need not keep its copy. */
	ck_assert_uint_eq(stats().units, REPEATED_MAX - 1);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats().units, 0);
	for (uint64_t key = 0; key < REPEATED_MAX; key++)
		ck_assert_mem_eq(image.data + key * LARGE, large_value_of(key), LARGE);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * The lock of a file
 */

START_TEST(file_can_be_opened_again_while_a_child_lives)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	char path[64];
	pid_t child;

	(void)snprintf(path, sizeof(path), "store-together-%ld.img", (long)getpid());
	args.backing_path = path;
	args.unit_count = UNITS;
	args.flags = ZPOOL_STORE_CREATE;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	child = fork();
	ck_assert_int_ge(child, 0);
	while (child == 0)
		(void)pause();
	ck_assert_ptr_null(zpool_store_open(&args, sizeof(args)));
	ck_assert_int_eq(errno, EBUSY);
	zpool_store_close(store);
	store = zpool_store_open(&args, sizeof(args));
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	(void)unlink(path);
	ck_assert_msg(store, "%s", zpool_last_error());
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("together");
	TCase *tcase = tcase_create("together");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, unit_that_is_evicted_during_the_call_is_no_hole);
	tcase_add_test(tcase, flush_that_succeeds_has_lost_nothing);
	tcase_add_test(tcase, unit_that_is_put_while_a_flush_discards_it_keeps_its_value);
	tcase_add_test(tcase, direct_write_is_repeated_again_if_a_flush_fails_meanwhile);
	tcase_add_test(tcase, file_can_be_opened_again_while_a_child_lives);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
