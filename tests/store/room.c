/* SPDX-License-Identifier: MIT
 *
 * room.c - what stays in memory: of a store whose pool has a limit of its own or that may exceed its limit, after reads
 * without reuse, and after eviction
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "image.h"
#include "tests/suite.h"

#define UNIT 2048
#define UNITS 2000
#define LIMIT (1 << 20)

static unsigned char value[UNIT], other[UNIT];
static struct image image;
static struct zpool_store *store;

static void open_store(const char *pool, uint64_t limit)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.unit_bytes = UNIT;
	args.limit_bytes = limit;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s: %s", pool, zpool_last_error());
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	return all;
}

/* Returns the value of a version of a key, which is noise for every third key and shrinks otherwise. */
static const unsigned char *value_of(uint64_t key, uint32_t version)
{
	uint32_t seed = (uint32_t)key * 2654435761U + version;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(key % 3 ? 'a' + (seed >> 30) : seed >> 24);
	}
	return value;
}

static void put(uint64_t key, uint32_t version)
{
	int err = zpool_store_put(store, key, value_of(key, version), UNIT);

	ck_assert_msg(err == 0, "key %llu: %d, %s", (unsigned long long)key, err, zpool_last_error());
}

static void expect(uint64_t key, uint32_t version, uint32_t flags)
{
	int64_t got = zpool_store_read(store, key, other, sizeof(other), flags);

	ck_assert_msg(got == UNIT, "key %llu: %lld, %s", (unsigned long long)key, (long long)got, zpool_last_error());
	ck_assert_msg(!memcmp(other, value_of(key, version), UNIT), "key %llu", (unsigned long long)key);
}

static void set_up(void)
{
	image_init(&image, (uint64_t)UNITS * UNIT, false);
}

static void tear_down(void)
{
	image_fini(&image);
}

START_TEST(values_that_are_read_once_change_nothing_in_memory)
{
	struct zpool_store_stats before;

	open_store(specs[_i], LIMIT);
	for (uint64_t key = 0; key < UNITS; key++)
		put(key, 1);
	before = stats();
	for (uint64_t key = 0; key < UNITS; key++)
		expect(key, 1, ZPOOL_STORE_NOREUSE);
	ck_assert_uint_gt(stats().loaded, UNITS / 4);
	ck_assert_uint_eq(stats().loaded + stats().hits, UNITS);
	ck_assert_uint_eq(stats().units, before.units);
	ck_assert_uint_eq(stats().evicted, before.evicted);
	ck_assert_int_eq(zpool_store_shrink(store, UINT64_MAX, NULL), -EAGAIN);
	ck_assert_uint_eq(stats().second_chances, before.second_chances);
	ck_assert_uint_gt(stats().evict_ns, before.evict_ns);
	ck_assert_int_eq(zpool_store_read(store, 1, other, sizeof(other), 0x80), -EINVAL);
	zpool_store_close(store);
}
END_TEST

static void *read_in_thread(void *user)
{
	static unsigned char third[UNIT];

	(void)user;
	ck_assert_int_eq(zpool_store_get(store, UNITS - 1, third, sizeof(third)), UNIT);
	return NULL;
}

/* Another thread uses the store while this one waits for the backing, so the store makes a second context. */
static int64_t read_while_busy(void *user, void *buf, size_t bytes, uint64_t offset)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, read_in_thread, NULL), 0);
	pthread_join(thread, NULL);
	memcpy(buf, ((struct image *)user)->data + offset, bytes);
	return (int64_t)bytes;
}

static void put_all(uint32_t version)
{
	for (uint64_t key = 0; key < UNITS; key++) {
		put(key, version);
		ck_assert_uint_le(stats().pool_bytes, LIMIT);
	}
	/* Eviction makes room for the next unit, and does not empty the pool. */
	ck_assert_uint_ge(stats().pool_bytes, LIMIT / 4);
	ck_assert_uint_gt(stats().evicted, 0);
	/* The thread of read_while_busy() finds this one in memory. */
	put(UNITS - 1, version);
}

START_TEST(limit_of_the_spec_holds)
{
	uint64_t context_bytes;
	char spec[64];

	snprintf(spec, sizeof(spec), "%s:limit=1M", specs[_i]);
	image.backing.pread = read_while_busy;
	open_store(spec, 0);
	put_all(1);
	ck_assert_uint_eq(stats().pool_bytes, zpool_get_total_size(zpool_store_get_pool(store)));
	context_bytes = stats().context_bytes;
	expect(2, 1, ZPOOL_STORE_NOREUSE);
	ck_assert_uint_gt(stats().context_bytes, context_bytes);
	put_all(2);
	zpool_store_close(store);
}
END_TEST

/* Units that are loaded take the place of others also if only the pool has a limit. */
START_TEST(loaded_units_respect_the_limit_of_the_spec)
{
	char spec[64];

	snprintf(spec, sizeof(spec), "%s:limit=1M", specs[_i]);
	open_store(spec, 0);
	put_all(1);
	for (unsigned int round = 0; round < 3; round++)
		for (uint64_t key = 0; key < 40; key++)
			expect(key, 1, 0);
	ck_assert_uint_ge(stats().hits, 60);
	ck_assert_uint_le(stats().pool_bytes, LIMIT);
	zpool_store_close(store);
}
END_TEST

/*
 * Values of all lengths are put in a random order, so objects that are put one after the other lie in pages of
 * different size classes, and eviction leaves these partly full.
 */
START_TEST(eviction_ends_when_the_remaining_values_leave_enough_room)
{
	enum { SMALL = 512, OLD = 4000, NEW = 100 };
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats full = { 0 };
	uint64_t limit = 0, target, needed;

	image_fini(&image);
	image_init(&image, (uint64_t)(OLD + NEW) * SMALL, false);
	args.pool = specs[_i];
	args.unit_bytes = SMALL;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s: %s", specs[_i], zpool_last_error());
	for (uint64_t i = 0; i < OLD + NEW; i++) {
		uint64_t key = i < OLD ? i * 2654435761U % OLD : i;

		if (i == OLD) {
			full = stats();
			limit = zpool_store_get_total_size(store) - 4096;
			ck_assert_int_eq(zpool_store_set_limit(store, limit), 0);
		}
		memcpy(other, value_of(3, (uint32_t)key), SMALL);
		memset(other, 'a', key * 7919 % 16 * (SMALL / 16));
		ck_assert_int_eq(zpool_store_put(store, key, other, SMALL), 0);
	}
	target = limit / 100 * 90;
	needed = (limit + 4096 - target) / (full.pool_bytes / OLD) + NEW;
	ck_assert_uint_gt(stats().evicted, 0);
	ck_assert_msg(stats().evicted < needed * 3 / 2, "%s: %llu units were evicted, and %llu were needed", specs[_i],
		      (unsigned long long)stats().evicted, (unsigned long long)needed);
	ck_assert_uint_le(zpool_store_get_total_size(store), limit);
	zpool_store_close(store);
}
END_TEST

/* zbud does not accept values of this length that do not shrink. */
#define LARGE 4096
#define LARGE_UNITS (UNITS * UNIT / LARGE)

static unsigned char large_value[LARGE], large_other[LARGE];

/* Returns a value that zbud accepts only if it `shrinks`. */
static const unsigned char *large_value_of(uint64_t key, bool shrinks)
{
	uint32_t seed = (uint32_t)key;

	for (size_t i = 0; i < LARGE; i++) {
		seed = seed * 1664525 + 1013904223;
		large_value[i] = (unsigned char)(shrinks ? 'a' + (seed >> 30) : seed >> 24);
	}
	return large_value;
}

static void open_large(const char *pool)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.unit_bytes = LARGE;
	args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s: %s", pool, zpool_last_error());
}

static void put_large(uint64_t key, const unsigned char *from)
{
	int err = zpool_store_put(store, key, from, LARGE);

	ck_assert_msg(err == 0, "key %llu: %d, %s", (unsigned long long)key, err, zpool_last_error());
}

/*
 * The keys of the second half are far apart, and their values need no object.  So only the index grows, for which the
 * pool must give back pages; but what is evicted leaves holes in pages of many size classes.
 */
START_TEST(index_grows_without_evicting_much)
{
	enum { MANY = 3000, FAR = MANY / 8, APART = 64 };
	uint32_t seed = 1;

	image_fini(&image);
	image_init(&image, (uint64_t)(MANY + FAR * APART) * LARGE, false);
	open_large(specs[_i]);
	for (uint64_t key = 0; key < MANY; key++) {
		seed = seed * 1664525 + 1013904223;
		memcpy(large_other, large_value_of(seed, false), LARGE);
		memset(large_other + 500, 0, LARGE - 500);
		memset(large_other + 100 + (seed >> 8) % 400, 0, 400);
		put_large(key, large_other);
	}
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_int_eq(zpool_store_set_limit(store, zpool_store_get_total_size(store)), 0);
	memset(large_value, 'a', LARGE);
	for (uint64_t i = 0; i < FAR; i++) {
		uint64_t before = stats().evicted;

		put_large(MANY + i * APART, large_value);
		ck_assert_msg(stats().evicted - before <= MANY / 8, "%s: one put evicted %d of %d units", specs[_i],
			      (int)(stats().evicted - before), MANY);
	}
	ck_assert_uint_gt(stats().evicted, 0);
	zpool_store_close(store);
}
END_TEST

START_TEST(prefetch_ends_at_the_limit_although_puts_exceed_it)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	uint64_t full;

	for (uint64_t key = 0; key < UNITS; key++)
		memcpy(image.data + key * UNIT, value_of(0, (uint32_t)key), UNIT);
	args.pool = specs[_i];
	args.unit_bytes = UNIT;
	args.limit_bytes = LIMIT;
	args.backing = &image.backing;
	args.flags = ZPOOL_STORE_EXCEED;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s: %s", specs[_i], zpool_last_error());
	for (uint64_t key = 0; zpool_store_get_total_size(store) <= LIMIT; key++) {
		image_fail(&image, 1, UINT64_MAX, EIO);
		put(key, 1);
	}
	full = zpool_store_get_total_size(store);
	image_fail(&image, 0, 0, 0);
	ck_assert_int_eq(zpool_store_prefetch(store, UNITS / 2, UNITS / 2), 0);
	ck_assert_uint_le(zpool_store_get_total_size(store), full);
	zpool_store_close(store);
}
END_TEST

START_TEST(training_keeps_to_the_limit_although_puts_exceed_it)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.compressor = "zstd:1";
	args.unit_bytes = UNIT;
	args.limit_bytes = LIMIT;
	args.backing = &image.backing;
	args.flags = ZPOOL_STORE_EXCEED;
	args.train_bytes = 4096;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; zpool_store_get_total_size(store) <= LIMIT; key++) {
		image_fail(&image, 1, UINT64_MAX, EIO);
		put(key, 1);
	}
	ck_assert_int_eq(zpool_store_train(store), -ENOMEM);
	image_fail(&image, 0, 0, 0);
	zpool_store_close(store);
}
END_TEST

START_TEST(limit_besides_that_of_the_spec_is_refused)
{
	char spec[64];

	snprintf(spec, sizeof(spec), "%s:limit=1M", specs[_i]);
	open_store(spec, 0);
	ck_assert_int_eq(zpool_store_set_limit(store, 64 * LIMIT), -EINVAL);
	ck_assert(strstr(zpool_last_error(), "has a limit in its spec"));
	ck_assert_int_eq(zpool_store_set_limit(store, 0), 0);
	put_all(1);
	ck_assert_uint_le(stats().pool_bytes, LIMIT);
	zpool_store_close(store);
}
END_TEST

/* Values that are dropped leave free pages in the pool, but not with libc, which gives each block back at once. */
START_TEST(shrink_releases_free_pages_and_evicts_nothing)
{
	uint64_t released = 0;

	open_store(specs[_i], 0);
	for (uint64_t key = 0; key < UNITS / 4; key++)
		put(key, 1);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UNITS / 4 - 1), 0);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_int_eq(zpool_store_shrink(store, 4096, &released), 0);
	ck_assert_uint_ge(released, 4096);
	if (!strstr(specs[_i], "libc"))
		ck_assert_uint_eq(stats().evicted, 0);
	zpool_store_close(store);
}
END_TEST

/* The driver would not accept the value with more room either. */
START_TEST(load_of_a_value_that_the_driver_does_not_accept_evicts_nothing)
{
	enum { KEPT = 100, TOO_LARGE = KEPT };

	open_large(_i == 1 ? "zbud:limit=4M" : "zbud");
	for (uint64_t key = 0; key < KEPT; key++)
		ck_assert_int_eq(zpool_store_put(store, key, large_value_of(key, true), LARGE), 0);
	if (_i == 2)
		ck_assert_int_eq(zpool_store_set_limit(store, zpool_store_get_total_size(store) + 4096), 0);
	memcpy(image.data + (size_t)TOO_LARGE * LARGE, large_value_of(TOO_LARGE, false), LARGE);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(zpool_store_get(store, TOO_LARGE, large_other, LARGE), LARGE);
		ck_assert_mem_eq(large_other, large_value_of(TOO_LARGE, false), LARGE);
	}
	ck_assert_uint_eq(stats().loaded, 20);
	ck_assert_uint_eq(stats().evicted, 0);
	ck_assert_uint_eq(stats().units, KEPT);
	zpool_store_close(store);
}
END_TEST

START_TEST(prefetch_passes_over_values_that_the_driver_does_not_accept)
{
	enum { FETCHED = 100 };
	unsigned int kept = 0;

	for (uint64_t key = 0; key < FETCHED; key++)
		memcpy(image.data + key * LARGE, large_value_of(key, key % 7), LARGE);
	for (uint64_t key = 0; key < FETCHED; key++)
		kept += key % 7 != 0;
	open_large("zbud");
	ck_assert_int_eq(zpool_store_prefetch(store, 0, FETCHED), 0);
	ck_assert_uint_eq(stats().units, kept);
	ck_assert_uint_eq(stats().loaded, FETCHED);
	for (uint64_t key = 0; key < FETCHED; key++) {
		ck_assert_int_eq(zpool_store_get(store, key, large_other, LARGE), LARGE);
		ck_assert_mem_eq(large_other, large_value_of(key, key % 7), LARGE);
	}
	ck_assert_uint_eq(stats().hits, kept);
	zpool_store_close(store);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("room");
	TCase *tcase = tcase_create("room");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, values_that_are_read_once_change_nothing_in_memory, 0, SPECS);
	tcase_add_loop_test(tcase, limit_of_the_spec_holds, 0, SPECS);
	tcase_add_loop_test(tcase, loaded_units_respect_the_limit_of_the_spec, 0, SPECS);
	tcase_add_loop_test(tcase, eviction_ends_when_the_remaining_values_leave_enough_room, 0, SPECS);
	tcase_add_loop_test(tcase, index_grows_without_evicting_much, 0, SPECS);
	tcase_add_loop_test(tcase, prefetch_ends_at_the_limit_although_puts_exceed_it, 0, SPECS);
	tcase_add_test(tcase, training_keeps_to_the_limit_although_puts_exceed_it);
	tcase_add_loop_test(tcase, limit_besides_that_of_the_spec_is_refused, 0, SPECS);
	tcase_add_loop_test(tcase, shrink_releases_free_pages_and_evicts_nothing, 0, SPECS);
	tcase_add_loop_test(tcase, load_of_a_value_that_the_driver_does_not_accept_evicts_nothing, 0, 3);
	tcase_add_test(tcase, prefetch_passes_over_values_that_the_driver_does_not_accept);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
