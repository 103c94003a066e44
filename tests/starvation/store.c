/* SPDX-License-Identifier: MIT
 *
 * store.c - the life of a store while calls of the C library fail, without and with a file behind it
 *
 * A put that fails leaves the old value, or the new one if the backing failed.  A call on a range may change a part of
 * it.  Values that a flush has made durable are in the file, also after the store was closed.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zpool-store.h>

#include "tests/starvation/runner.h"

enum { KEYS = 112, UNIT = 4096, ROOM = 96 << 10, VERSION_MAX = 4 };

static struct zpool_store *store;
/* The versions that a key's value may have, one bit each; version 0 is no value (with a backing: zero bytes). */
static uint32_t possible[KEYS];
static bool backing_used;
static unsigned char value[UNIT], other[UNIT];
static char image[64];
static uint64_t empty_bytes;

#define PUT_ERRORS ENOMEM, ENOSPC, EIO
#define GET_ERRORS ENOMEM, EIO, ENOSPC

/* ---- values ---- */

/* Every eighth value repeats a word, and every fifth does not shrink. */
static const unsigned char *value_of(unsigned int key, uint32_t version)
{
	uint32_t state = key * 2654435761U + version;

	memset(value, version ? (int)(key % 255 + 1) : 0, UNIT);
	for (unsigned int i = 0; version && key % 8 && i < UNIT; i += key % 5 ? 16 : 1) {
		state = state * 1664525 + 1013904223;
		value[i] = (unsigned char)(state >> 24);
	}
	return value;
}

static bool has_backing(const struct scenario *scenario)
{
	return strstr(scenario->name, "file") != NULL;
}

static void put(unsigned int key, uint32_t version)
{
	int err;

	expect_message();
	err = zpool_store_put(store, key, value_of(key, version), UNIT);
	if (succeeds("zpool_store_put", err, PUT_ERRORS))
		possible[key] = 1u << version;
	else if (backing_used && err != -ENOMEM)
		possible[key] |= 1u << version;
}

static bool is_possible(unsigned int key)
{
	for (uint32_t version = 0; version <= VERSION_MAX; version++)
		if ((possible[key] & 1u << version) && memcmp(other, value_of(key, version), UNIT) == 0)
			return true;
	return false;
}

static void check(unsigned int key, const char *when)
{
	int64_t length;

	expect_message();
	length = key % 2 ? zpool_store_get(store, key, other, UNIT)
			 : zpool_store_read(store, key, other, UNIT, ZPOOL_STORE_NOREUSE);
	if (length == -ENOENT) {
		if (!(possible[key] & 1u))
			fault("%s, the value of key %u is lost", when, key);
		return;
	}
	if (!succeeds("zpool_store_get or _read", length, GET_ERRORS))
		return;
	if (length != UNIT || !is_possible(key))
		fault("%s, the value of key %u has none of the versions 0x%x", when, key, possible[key]);
}

static void check_all(const char *when)
{
	for (unsigned int key = 0; key < KEYS; key++)
		check(key, when);
}

static void changed(unsigned int first, unsigned int count, bool done)
{
	for (unsigned int key = first; key < first + count; key++)
		possible[key] = done ? 1u : possible[key] | 1u;
}

/* ---- calls ---- */

static uint64_t limit_of(const struct scenario *scenario)
{
	return has_backing(scenario) && empty_bytes ? empty_bytes + ROOM : 0;
}

static void open_store(const struct scenario *scenario)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = scenario->spec;
	args.unit_bytes = UNIT;
	args.compressor = strstr(scenario->name, "zstd") ? "zstd" : "lz4";
	if (strstr(scenario->name, "recompress"))
		args.recompressor = "zstd:3";
#ifdef HAVE_XXHASH
	args.flags = strstr(scenario->name, "checksum") ? ZPOOL_STORE_CHECKSUM : 0;
#endif
	if (has_backing(scenario)) {
		args.backing_path = image;
		args.unit_count = KEYS;
		args.flags |= ZPOOL_STORE_CREATE;
	}
	args.limit_bytes = limit_of(scenario);
	args.train_bytes = strstr(scenario->name, "train") ? 4096 : 0;
	store = zpool_store_open(&args, sizeof(args));
}

static void work_on_ranges(void)
{
	bool done;

	expect_message();
	done = succeeds("zpool_store_drop_range", zpool_store_drop_range(store, 8, 40), PUT_ERRORS);
	changed(8, 40, done);
	expect_message();
	done = succeeds("zpool_store_zero_range", zpool_store_zero_range(store, 60, 20), PUT_ERRORS);
	changed(60, 20, done);
	expect_message();
	done = succeeds("zpool_store_drop", zpool_store_drop(store, 100), ENOENT, PUT_ERRORS);
	changed(100, 1, done);
	for (uint64_t key = 0, count = 1; key < KEYS; key += count)
		if (zpool_store_next_extent(store, key, KEYS - key, &count) < 0 || count == 0) {
			fault("zpool_store_next_extent failed: %s", zpool_last_error());
			break;
		}
	expect_message();
	(void)succeeds("zpool_store_prefetch", zpool_store_prefetch(store, 0, KEYS), GET_ERRORS);
}

static void write_back(const struct scenario *scenario)
{
	struct zpool_store_stats stats;
	uint64_t released;
	int err;

	expect_message();
	(void)succeeds("zpool_store_sync", zpool_store_sync(store, 4, 30), PUT_ERRORS);
	expect_message();
	(void)succeeds("zpool_store_flush", zpool_store_flush(store), PUT_ERRORS);
	err = zpool_store_shrink(store, 20000, &released);
	if (err && err != -EAGAIN && err != (has_backing(scenario) ? 0 : -EOPNOTSUPP) && err != -EIO && err != -ENOSPC)
		fault("zpool_store_shrink returned %d: %s", err, zpool_last_error());
	err = zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 50);
	if (err < 0 && err != -EOPNOTSUPP)
		fault("zpool_store_recompress returned %d: %s", err, zpool_last_error());
	expect_message();
	(void)succeeds("zpool_store_compact", zpool_store_compact(store, 1 << 20, 0), 0);
	expect_message();
	if (succeeds("zpool_store_get_stats", zpool_store_get_stats(store, &stats, sizeof(stats)), 0) && stats.damaged)
		fault("%llu values are damaged", (unsigned long long)stats.damaged);
}

/* The calls on a store that need no memory, or none that could be missing. */
static void look(const struct scenario *scenario)
{
	static struct zpool_store_compressor added;
	const struct zpool_store_compressor *found;
	int64_t bytes;
	int level, err;

	if (!zpool_store_get_pool(store) || !zpool_store_get_total_size(store))
		fault("a property of the store is not known: %s", zpool_last_error());
	if (zpool_store_set_limit(store, limit_of(scenario)))
		fault("zpool_store_set_limit failed: %s", zpool_last_error());
	bytes = zpool_store_get_dictionary(store, NULL, 0);
	if (bytes <= 0 && bytes != -ENOENT)
		fault("zpool_store_get_dictionary returned %lld: %s", (long long)bytes, zpool_last_error());
	expect_message();
	expect_refusal("zpool_store_find_compressor", zpool_store_find_compressor("nonesuch", &found, &level), EINVAL);
	if (zpool_store_find_compressor("lz4", &found, &level)) {
		fault("zpool_store_find_compressor failed: %s", zpool_last_error());
		return;
	}
	if (!added.name)
		added = *found;
	added.name = "starved";
	err = zpool_store_add_compressor(&added);
	if (err && err != -EEXIST)
		fault("zpool_store_add_compressor returned %d: %s", err, zpool_last_error());
}

/*
 * No call fails while a dictionary is trained, because versions of zstd before 1.5.6 crash if they get no memory then.
 * tests/limits/store tests how the store avoids that.
 */
static void train(const struct scenario *scenario)
{
	bool armed;
	int err;

	if (!strstr(scenario->name, "train")) {
		expect_message();
		expect_refusal("zpool_store_train", zpool_store_train(store), EOPNOTSUPP);
		return;
	}
	armed = starve->disarm();
	err = zpool_store_train(store);
	/* The puts may have failed, so that there are too few values. */
	if (err < 0 && err != -ENODATA)
		fault("zpool_store_train returned %d: %s", err, zpool_last_error());
	starve->resume(armed);
}

/* A pipe replaces the file of memory pressure, and never reports any pressure. */
static void watch(int fd)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	int err;

	args.fd = fd;
	expect_message();
	err = zpool_store_watch_pressure(store, &args, sizeof(args));
	if (!succeeds("zpool_store_watch_pressure", err, ENOMEM, EMFILE, EAGAIN))
		return;
	expect_message();
	(void)succeeds("zpool_store_unwatch_pressure", zpool_store_unwatch_pressure(store), 0);
}

/* ---- the scenarios ---- */

static int pressure[2] = { -1, -1 };

static void remove_image(void)
{
	(void)unlink(image);
}

static void before(const struct scenario *scenario)
{
	for (unsigned int key = 0; key < KEYS; key++)
		possible[key] = 1u;
	backing_used = has_backing(scenario);
	if (!image[0]) {
		(void)snprintf(image, sizeof(image), "%s/zpool-starvation-%ld",
			       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
		(void)atexit(remove_image);
		if (pipe(pressure))
			fault("there is no pipe: %s", strerror(errno));
	}
	(void)unlink(image);
	if (!empty_bytes) {
		open_store(scenario);
		empty_bytes = store ? zpool_store_get_total_size(store) : 0;
		zpool_store_close(store);
		(void)unlink(image);
	}
	store = NULL;
}

static void body(const struct scenario *scenario)
{
	expect_message();
	open_store(scenario);
	if (!succeeds("zpool_store_open", store ? 0 : -errno, ENOMEM, EMFILE, ENOSPC, EIO))
		return;
	for (unsigned int key = 0; key < KEYS; key++)
		put(key, 1);
	for (unsigned int key = 0; key < KEYS; key += 3)
		check(key, "after puts");
	write_back(scenario);
	work_on_ranges();
	for (unsigned int key = 0; key < KEYS; key += 2)
		put(key, 2);
	watch(pressure[0]);
	look(scenario);
	train(scenario);
	write_back(scenario);
	for (unsigned int key = 0; key < KEYS; key += 7)
		put(key, 3);
	check_all("at the end");
}

static void check_the_file(void)
{
	int fd = open(image, O_RDONLY | O_CLOEXEC);

	for (unsigned int key = 0; key < KEYS; key++)
		if (pread(fd, other, UNIT, (off_t)key * UNIT) != UNIT || !is_possible(key))
			fault("the value of key %u is not in the file", key);
	(void)close(fd);
}

static void after(const struct scenario *scenario)
{
	if (!store) {
		open_store(scenario);
		if (!store) {
			fault("zpool_store_open failed afterwards: %s", zpool_last_error());
			return;
		}
	}
	check_all("afterwards");
	look(scenario);
	require("zpool_store_flush", zpool_store_flush(store));
	if (has_backing(scenario))
		check_the_file();
	for (unsigned int key = 0; key < KEYS; key++)
		put(key, 4);
	check_all("afterwards, with new values");
	watch(pressure[0]);
	zpool_store_close(store);
	if (has_backing(scenario))
		check_the_file();
}

static const struct scenario scenarios[] = {
	{ "lz4 zsmalloc", "zsmalloc", before, body, after, false },
	{ "zstd checksum zblock", "zblock", before, body, after, false },
	{ "lz4 recompress libc", "libc", before, body, after, false },
	{ "zstd train guard+zsmalloc", "guard+zsmalloc", before, body, after, false },
	{ "file lz4 zsmalloc", "zsmalloc", before, body, after, false },
	{ "file lz4 checksum recompress z3fold", "z3fold", before, body, after, false },
	{ "file zstd guard+zblock", "guard+zblock", before, body, after, false },
};

int main(int argc, char **argv)
{
	return starvation_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
