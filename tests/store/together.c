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

static void open_store(const struct zpool_store_backing *backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.unit_bytes = UNIT;
	args.backing = backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
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
	pthread_t thread;

	if (evicts_next) {
		evicts_next = false;
		ck_assert_int_eq(pthread_create(&thread, NULL, evict_everything, NULL), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	return length;
}

START_TEST(unit_that_is_evicted_during_the_call_is_no_hole)
{
	unsigned char value[UNIT];
	struct image image;
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
	struct zpool_store_stats stats;

	open_store(&backing);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, put_and_sync, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	ck_assert_uint_eq(stats.flushes, disk.flushes - disk.flushes / LOSE_EVERY);
	ck_assert_uint_eq(stats.write_errors, disk.flushes / LOSE_EVERY);
	zpool_store_close(store);
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
	tcase_add_test(tcase, file_can_be_opened_again_while_a_child_lives);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
