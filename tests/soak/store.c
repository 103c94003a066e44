/* SPDX-License-Identifier: MIT
 *
 * store.c - stores whose values are put, checked, dropped, recompressed and written to a file
 *
 * `store' has no backing: it recompresses and trains dictionaries, and other stores come and go.  `store-file' caches a
 * file of which half fits into its limit, and is closed and opened again in every cycle.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"
#include "store/zpool-store.h"

enum { UNIT_BYTES = 4096, TEXT_BYTES = 64, TEXTS = 32, SLOWNESS = 8, VISITORS = 64 };

/* A value follows from its key and these members. */
struct value {
	uint32_t version; /* 0: there is none */
	uint32_t random_bytes;
};

/* Each worker has every WORKERS-th key, and another part in each step. */
static struct {
	struct zpool_store *store;
	const char *spec;
	int file; /* -1: there is no backing */
	unsigned int units;
	struct value *values;
	unsigned int present[WORKERS];
	struct ct_rng rngs[WORKERS];
} room = { .file = -1 };

/* ---- values ---- */

/* Bytes that do not shrink, then a text that repeats; one value in sixteen repeats one word. */
static void make_bytes(unsigned int key, struct value value, unsigned char *bytes)
{
	uint64_t tag = (uint64_t)key << 32 | value.version;
	unsigned char text[TEXT_BYTES];
	size_t at = value.random_bytes;

	if (value.version == 0 || value.version % 16 == 0) {
		memset(bytes, value.version ? 0xa5 : 0, UNIT_BYTES);
		return;
	}
	ct_pattern_fill(bytes, at, tag, 0);
	ct_pattern_fill(text, TEXT_BYTES, value.version % TEXTS, 0);
	for (size_t length; at < UNIT_BYTES; at += length) {
		length = UNIT_BYTES - at < TEXT_BYTES ? UNIT_BYTES - at : TEXT_BYTES;
		memcpy(bytes + at, text, length);
	}
}

static void check(struct zpool_store *store, unsigned int key, struct value value)
{
	unsigned char expected[UNIT_BYTES], found[UNIT_BYTES];
	int64_t got = zpool_store_get(store, key, found, sizeof(found));

	if (!value.version && room.file < 0) {
		soak_check(got == -ENOENT, "key %u, which was dropped, returned %lld", key, (long long)got);
		return;
	}
	soak_check(got == UNIT_BYTES, "key %u returned %lld: %s", key, (long long)got, zpool_last_error());
	make_bytes(key, value, expected);
	for (unsigned int i = 0; i < UNIT_BYTES; i++)
		soak_check(found[i] == expected[i], "byte %u of key %u, version %u, is %#x instead of %#x", i, key,
			   value.version, found[i], expected[i]);
}

static void put(struct zpool_store *store, unsigned int key, struct value value)
{
	unsigned char bytes[UNIT_BYTES];
	int err;

	make_bytes(key, value, bytes);
	err = zpool_store_put(store, key, bytes, sizeof(bytes));
	soak_check(err == 0, "putting key %u returned %d: %s", key, err, zpool_last_error());
}

/* ---- operations ---- */

static unsigned int choose_key(unsigned int part)
{
	return part + (unsigned int)ct_rng_below(&room.rngs[part], room.units / WORKERS) * WORKERS;
}

static void replace(unsigned int part, unsigned int key, enum sizes sizes)
{
	struct value *value = &room.values[key];

	room.present[part] += value->version == 0;
	value->version++;
	value->random_bytes = (uint32_t)choose_size(sizes, &room.rngs[part], UNIT_BYTES);
	put(room.store, key, *value);
}

static void drop(unsigned int part, unsigned int key)
{
	struct value *value = &room.values[key];
	int err;

	check(room.store, key, *value);
	if (!value->version)
		return;
	err = zpool_store_drop(room.store, key);
	soak_check(err == 0, "dropping key %u returned %d: %s", key, err, zpool_last_error());
	value->version = 0;
	room.present[part]--;
}

static void level(unsigned int part, enum sizes sizes, unsigned int present)
{
	while (room.present[part] < present)
		replace(part, choose_key(part), sizes);
	while (room.present[part] > present)
		drop(part, choose_key(part));
}

static void store_work(const struct step *step, unsigned int worker)
{
	unsigned int part = (worker + step->number) % WORKERS;
	unsigned int present = (unsigned int)(step->share * room.units * 0.9 / WORKERS);

	level(part, step->phase->sizes, present);
	for (uint64_t i = 0; i < step->operations; i++) {
		unsigned int key = choose_key(part);

		if (ct_rng_below(&room.rngs[part], 2))
			check(room.store, key, room.values[key]);
		else if (room.values[key].version)
			replace(part, key, step->phase->sizes);
	}
}

static void store_tend(const struct step *step)
{
	int err;

	if (!step->phase->compacts)
		return;
	err = zpool_store_compact(room.store, 0, 0);
	soak_check(err == 0, "compact returned %d: %s", err, zpool_last_error());
}

/* ---- stores ---- */

static struct zpool_store *open_store(int file, unsigned int units)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.pool = room.spec;
	args.unit_count = units;
	if (file >= 0) {
		args.backing_fd = file;
		args.flags = ZPOOL_STORE_CREATE;
		args.limit_bytes = soak.live_bytes / 2 + (1 << 20);
	} else {
		args.recompressor = "zstd:1";
		args.train_bytes = 16384;
	}
	store = zpool_store_open(&args, sizeof(args));
	soak_check(store, "%s", zpool_last_error());
	return store;
}

static void store_open(const char *spec)
{
	room.spec = spec;
	if (!room.values) {
		room.units = (unsigned int)(soak.live_bytes / (UNIT_BYTES / 2)) / WORKERS * WORKERS + 8 * WORKERS;
		room.values = malloc(room.units * sizeof(*room.values));
		soak_check(room.values, "there is no memory for %u keys", room.units);
		memset(room.values, 0, room.units * sizeof(*room.values));
		for (unsigned int i = 0; i < WORKERS; i++)
			room.rngs[i].state = ct_seed_for(soak.seed, "store") + i;
	}
	room.store = open_store(room.file, room.units);
}

static void store_check(void)
{
	for (unsigned int key = 0; key < room.units; key++)
		check(room.store, key, room.values[key]);
}

/* What a closed store held is gone, or in the file. */
static void store_close(void)
{
	store_check();
	zpool_store_close(room.store);
	if (room.file >= 0)
		return;
	memset(room.values, 0, room.units * sizeof(*room.values));
	memset(room.present, 0, sizeof(room.present));
}

static void store_count(uint64_t *objects, uint64_t *live_bytes)
{
	struct zpool_store_stats stats;

	soak_check(zpool_store_get_stats(room.store, &stats, sizeof(stats)) == 0, "%s", zpool_last_error());
	*objects = stats.units;
	*live_bytes = stats.stored_bytes;
}

static void visit(void)
{
	struct zpool_store *store = open_store(-1, 0);
	struct value value = { 1, UNIT_BYTES / 3 };

	for (unsigned int key = 0; key < VISITORS; key++)
		put(store, key, value);
	for (unsigned int key = 0; key < VISITORS; key++)
		check(store, key, value);
	zpool_store_close(store);
}

static void store_rest(const struct step *step)
{
	int err;

	if (step->phase->visits)
		visit();
	if (!step->phase->visits || step->number % 4)
		return;
	err = zpool_store_train(room.store);
	soak_check(err >= 0 || err == -ENODATA || err == -ENOSPC, "training returned %d: %s", err, zpool_last_error());
	err = zpool_store_recompress(room.store, 0, 0);
	soak_check(err == 0, "recompressing returned %d: %s", err, zpool_last_error());
}

/* ---- a store with a file ---- */

static void cache_open(const char *spec)
{
	const char *directory = getenv("TMPDIR");
	char path[4096];

	if (room.file < 0) {
		(void)snprintf(path, sizeof(path), "%s/soak.XXXXXX", directory ? directory : "/tmp");
		room.file = mkstemp(path);
		soak_check(room.file >= 0 && unlink(path) == 0, "%s: %s", path, strerror(errno));
	}
	store_open(spec);
}

static void flush(void)
{
	int err = zpool_store_flush(room.store);

	soak_check(err == 0, "flushing returned %d: %s", err, zpool_last_error());
}

static void cache_rest(const struct step *step)
{
	uint64_t released;
	int err = 0;

	if (step->phase->evicts)
		err = zpool_store_shrink(room.store, soak.live_bytes / 64, &released);
	soak_check(err == 0 || err == -EAGAIN, "shrink returned %d: %s", err, zpool_last_error());
	if (step->phase->visits)
		flush();
}

static void cache_check(void)
{
	store_check();
	flush();
	zpool_store_close(room.store);
	room.store = open_store(room.file, room.units);
	store_check();
}

const struct workload store_workload = {
	.slowness = SLOWNESS,
	.open = store_open,
	.close = store_close,
	.work = store_work,
	.tend = store_tend,
	.rest = store_rest,
	.check = store_check,
	.count = store_count,
};

const struct workload cache_workload = {
	.slowness = SLOWNESS,
	.open = cache_open,
	.close = store_close,
	.work = store_work,
	.tend = store_tend,
	.rest = cache_rest,
	.check = cache_check,
	.count = store_count,
};
