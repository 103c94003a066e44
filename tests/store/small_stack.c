/* SPDX-License-Identifier: MIT
 *
 * small_stack.c - every function of libzpool-store works on a stack of 16 KiB
 *
 * Only the training of a dictionary needs more, which zpool_store_open(3) says.  The test prints how much of its stack
 * each call used.
 */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "drivers.h"
#include "tests/unit/small_stack.h"
#include "zpool-store.h"

#define UNIT 65536
#define KEYS 24

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "small_stack.c:%d: %s: %s\n", __LINE__, #condition, zpool_last_error());       \
			failed = 1;                                                                                    \
		}                                                                                                      \
	} while (0)

static int failed;
static char path[64];
static unsigned char value[UNIT], found[UNIT];
static const char *compressor, *recompressor, *pool_spec;

static void fill_value(uint64_t key)
{
	for (size_t i = 0; i < UNIT; i++)
		value[i] = (unsigned char)(key % 3 ? "a value of a program: "[i * key % 22] : rand());
	memcpy(value, &key, sizeof(key));
}

static struct zpool_store *open_store(const char *pool)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.pool = pool;
	args.compressor = compressor;
	args.recompressor = recompressor;
	args.unit_bytes = UNIT;
	args.unit_count = KEYS;
	args.limit_bytes = UINT64_C(8) << 20;
	args.backing_path = path;
	args.flags = ZPOOL_STORE_CREATE;
	store = zpool_store_open(&args, sizeof(args));
	CHECK(store != NULL);
	return store;
}

static void change_ranges(struct zpool_store *store)
{
	struct zpool_store_stats stats;
	uint64_t count, released;

	CHECK(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0) == (recompressor ? 0 : -EOPNOTSUPP));
	(void)zpool_store_shrink(store, 1 << 20, &released);
	CHECK(zpool_store_prefetch(store, 0, KEYS) == 0);
	CHECK(zpool_store_next_extent(store, 0, KEYS, &count) >= 0);
	CHECK(zpool_store_drop(store, 2) == 0);
	CHECK(zpool_store_drop_range(store, 4, 4) == 0);
	CHECK(zpool_store_zero_range(store, 8, 4) == 0);
	CHECK(zpool_store_sync(store, 0, KEYS / 2) == 0);
	CHECK(zpool_store_flush(store) == 0);
	CHECK(zpool_store_compact(store, 0, 0) == 0);
	CHECK(zpool_store_get_stats(store, &stats, sizeof(stats)) == 0);
	CHECK(zpool_store_get_pool(store) != NULL);
	CHECK(zpool_store_get_total_size(store) > 0);
	CHECK(zpool_store_set_limit(store, UINT64_C(4) << 20) == 0);
	CHECK(zpool_store_get_dictionary(store, NULL, 0) == -ENOENT);
	CHECK(zpool_store_train(store) == -EOPNOTSUPP);
}

static void watch(struct zpool_store *store)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	int ends[2];

	/* Not every system has pressure stall information. */
	if (zpool_store_watch_pressure(store, NULL, 0) == 0)
		CHECK(zpool_store_unwatch_pressure(store) == 0);
	CHECK(pipe(ends) == 0);
	args.fd = ends[0];
	CHECK(zpool_store_watch_pressure(store, &args, sizeof(args)) == 0);
	CHECK(zpool_store_unwatch_pressure(store) == 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void use_store(const char *unused)
{
	const struct zpool_store_compressor *compressors;
	struct zpool_store *store = open_store(pool_spec);
	int level;

	(void)unused;
	if (!store)
		return;
	for (uint64_t key = 0; key < KEYS; key++) {
		fill_value(key);
		CHECK(zpool_store_put(store, key, value, UNIT) == 0);
		CHECK(zpool_store_get(store, key, found, UNIT) == UNIT);
		CHECK(memcmp(value, found, UNIT) == 0);
		CHECK(zpool_store_read(store, key, found, UNIT, ZPOOL_STORE_NOREUSE) == UNIT);
	}
	change_ranges(store);
	watch(store);
	CHECK(zpool_store_put(store, KEYS, value, UNIT) == -EINVAL);
	CHECK(zpool_store_find_compressor("zstd:1", &compressors, &level) == 0);
	CHECK(zpool_store_add_compressor(NULL) == -EINVAL);
	zpool_store_close(store);
}

static void use(const char *pool, const char *first, const char *second)
{
	char name[128];

	pool_spec = pool;
	compressor = first;
	recompressor = second;
	(void)snprintf(name, sizeof(name), "%s %s %s", pool, first, second ? second : "");
	on_small_stack("store", use_store, name);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("skipped: sanitizers need more stack");
	return 77;
#endif
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	(void)snprintf(path, sizeof(path), "store-small-stack-%ld.img", (long)getpid());
	for (int i = 0; i < SPECS; i++)
		use(specs[i], "lz4", NULL);
	use("zsmalloc", "none", NULL);
	use("zsmalloc", "lz4hc", "zstd:1");
	use("zsmalloc", "zstd:3", "zstd:19");
	use("zsmalloc", "zstd:-5", "lz4hc:12");
	(void)unlink(path);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
