/* SPDX-License-Identifier: MIT
 *
 * threads.c - several threads put, get and drop the same keys, without a backing and with one that is used all the
 * time
 *
 * A value starts with the number of its writer and its version, and the other bytes are computed from these, so a
 * mixture of two values is detected.  Each thread owns some keys, whose contents it knows, and shares the others.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers.h"
#include "image.h"
#include "tests/suite.h"

#define UNIT 2048
#define THREADS 4
#define OWN_KEYS 300
#define SHARED_KEYS 20
#define OPERATIONS 6000

struct worker {
	struct zpool_store *store;
	pthread_t thread;
	uint32_t number;
	uint64_t random;
	uint32_t holds[OWN_KEYS]; /* is the version that a key holds; 0 means none */
	char fault[200];
};

static uint64_t seed;
static bool backed; /* is true with an image; then every value has UNIT bytes, and a dropped one reads as zeroes */
static struct image image;

static uint64_t draw(struct worker *worker, uint64_t below)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return (worker->random >> 11) % below;
}

static size_t length_of(uint32_t version)
{
	return backed || version % 5 == 0 ? UNIT : 8 + version * 31 % (UNIT - 8);
}

/* Makes a value; one in five repeats one word, and one in four does not shrink. */
static size_t make(unsigned char *to, uint32_t writer, uint32_t version)
{
	size_t bytes = length_of(version);
	uint32_t head[2] = { writer, version };
	uint32_t noise = writer * 7919 + version;

	for (size_t at = 0; at < bytes; at += sizeof(head)) {
		size_t part = bytes - at < sizeof(head) ? bytes - at : sizeof(head);

		if (at && version % 5 && version % 4 == 0) {
			noise = noise * 1664525 + 1013904223;
			head[0] = noise ^ (noise >> 15);
			head[1] = noise * 2654435761U;
		}
		memcpy(to + at, head, part);
	}
	return bytes;
}

static bool is_whole(const unsigned char *data, int64_t bytes, uint32_t *writer, uint32_t *version)
{
	unsigned char wanted[UNIT];

	if (bytes < 8)
		return false;
	memcpy(writer, data, sizeof(*writer));
	memcpy(version, data + sizeof(*writer), sizeof(*version));
	return *writer <= THREADS && (size_t)bytes == make(wanted, *writer, *version) &&
	       !memcmp(data, wanted, (size_t)bytes);
}

static bool fault(struct worker *worker, const char *what, uint64_t key, int64_t result)
{
	snprintf(worker->fault, sizeof(worker->fault), "thread %u, key %llu: %s (%lld)", worker->number,
		 (unsigned long long)key, what, (long long)result);
	return false;
}

static bool read_key(struct worker *worker, uint64_t key, bool own, uint32_t wanted)
{
	unsigned char data[UNIT];
	uint32_t writer = 0, version = 0;
	int64_t bytes = zpool_store_get(worker->store, key, data, sizeof(data));
	static const unsigned char zero[UNIT];

	if (bytes == -ENOENT || (backed && bytes == UNIT && !memcmp(data, zero, UNIT)))
		return own && wanted ? fault(worker, "was lost", key, bytes) : true;
	if (bytes < 0 || !is_whole(data, bytes, &writer, &version))
		return fault(worker, "is damaged", key, bytes);
	if (own && (writer != worker->number || version != wanted))
		return fault(worker, "holds an old value", key, version);
	return true;
}

static bool change_backing(struct worker *worker)
{
	struct zpool_store *store = worker->store;
	uint64_t first = draw(worker, 1000);
	int result = 0;

	switch (draw(worker, 6)) {
	case 0:
		result = zpool_store_flush(store);
		break;
	case 1:
		result = zpool_store_sync(store, first, 100);
		break;
	case 2:
		result = zpool_store_prefetch(store, first, 100);
		break;
	case 3:
		result = zpool_store_zero_range(store, 0, SHARED_KEYS / 2);
		break;
	case 4:
		result = zpool_store_drop_range(store, 0, SHARED_KEYS / 4);
		break;
	default:
		result = zpool_store_shrink(store, draw(worker, 100000) + 1, NULL);
		if (result == -EAGAIN)
			result = 0;
	}
	return result ? fault(worker, "call on the backing failed", first, result) : true;
}

static bool step(struct worker *worker, uint32_t version)
{
	bool own = draw(worker, 2);
	size_t slot = draw(worker, own ? OWN_KEYS : SHARED_KEYS);
	uint64_t key = own ? 1000 + slot * THREADS + worker->number : slot;
	unsigned char data[UNIT];
	int result;

	switch (draw(worker, 9)) {
	case 0:
	case 1:
	case 2:
		result = zpool_store_put(worker->store, key, data, make(data, worker->number, version));
		if (result)
			return fault(worker, "put failed", key, result);
		if (own)
			worker->holds[slot] = version;
		return true;
	case 3:
		result = zpool_store_drop(worker->store, key);
		if (own && (result == 0) != (backed || worker->holds[slot] != 0))
			return fault(worker, "drop saw another state", key, result);
		if (own)
			worker->holds[slot] = 0;
		return true;
	case 8:
		result = zpool_store_recompress(worker->store, version % 2 ? ZPOOL_STORE_RECOMPRESS_ALL : 0, 20);
		return result < 0 ? fault(worker, "recompress failed", 0, result) : true;
	case 4:
		if (backed)
			return change_backing(worker);
		return zpool_store_drop_range(worker->store, 0, SHARED_KEYS / 4) == 0 &&
		       zpool_store_compact(worker->store, 65536, 0) >= 0;
	default:
		return read_key(worker, key, own, own ? worker->holds[slot] : 0);
	}
}

static void *run(void *context)
{
	struct worker *worker = context;

	for (uint32_t version = 1; version <= OPERATIONS && step(worker, version); version++)
		;
	return NULL;
}

static struct worker workers[THREADS];

static void run_all(struct zpool_store *store, const char *spec)
{
	for (uint32_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .store = store, .number = i, .random = (seed + i) * 2654435769U | 1 };
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		ck_assert_msg(!*workers[i].fault, "%s, %s; seed %llu", spec, workers[i].fault,
			      (unsigned long long)seed);
}

/* Checks all keys that one thread owns, and returns how many values they hold. */
static uint64_t check_own_keys(void)
{
	uint64_t held = 0;

	for (int i = 0; i < THREADS; i++)
		for (uint64_t slot = 0; slot < OWN_KEYS; slot++) {
			ck_assert_msg(read_key(&workers[i], 1000 + slot * THREADS + (uint64_t)i, true,
					       workers[i].holds[slot]),
				      "%s; seed %llu", workers[i].fault, (unsigned long long)seed);
			held += workers[i].holds[slot] != 0;
		}
	return held;
}

static struct zpool_store_stats stats_of(struct zpool_store *store)
{
	struct zpool_store_stats stats;

	ck_assert_int_eq(zpool_store_get_stats(store, &stats, sizeof(stats)), 0);
	return stats;
}

START_TEST(threads_see_whole_values_and_the_last_one)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	uint64_t held, shared = 0, count;
	struct zpool_store *store;

	args.pool = specs[_i];
	args.unit_bytes = UNIT;
	args.recompressor = "zstd:1";
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	run_all(store, specs[_i]);
	held = check_own_keys();
	for (uint64_t key = 0; key < SHARED_KEYS; key++)
		shared += zpool_store_next_extent(store, key, 1, &count) != ZPOOL_STORE_HOLE;
	ck_assert_uint_eq(stats_of(store).units, held + shared);
	ck_assert_uint_eq(stats_of(store).damaged, 0);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	ck_assert_uint_eq(stats_of(store).units, 0);
	ck_assert_uint_eq(stats_of(store).stored_bytes, 0);
	zpool_store_close(store);
}
END_TEST

/* The limit has room for only a part of the values. */
START_TEST(threads_share_a_backing)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;
	int err;

	backed = true;
	image_init(&image, (uint64_t)UNIT * (1000 + OWN_KEYS * THREADS), _i % 2);
	args.pool = specs[_i];
	args.unit_bytes = UNIT;
	args.recompressor = "zstd:1";
	args.backing = &image.backing;
	args.limit_bytes = 1 << 20;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	run_all(store, specs[_i]);
	(void)check_own_keys();
	ck_assert_uint_gt(stats_of(store).evicted, 0);
	ck_assert_int_eq(zpool_store_flush(store), 0);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	err = zpool_store_shrink(store, UINT64_MAX, NULL);
	ck_assert_int_eq(err, -EAGAIN);
	ck_assert_uint_eq(stats_of(store).units, 0);
	ck_assert_uint_eq(stats_of(store).stored_bytes, 0);
	ck_assert_uint_eq(stats_of(store).original_bytes, 0);
	ck_assert_uint_eq(stats_of(store).dirty, 0);
	(void)check_own_keys();
	ck_assert_uint_eq(stats_of(store).damaged + stats_of(store).refused_limit, 0);
	zpool_store_close(store);
	ck_assert(!atomic_load(&image.misaligned));
	image_fini(&image);
}
END_TEST

int main(void)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	Suite *suite = suite_create("threads");
	TCase *tcase = tcase_create("threads");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("ZPOOL_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, threads_see_whole_values_and_the_last_one, 0, SPECS);
	tcase_add_loop_test(tcase, threads_share_a_backing, 0, SPECS);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
