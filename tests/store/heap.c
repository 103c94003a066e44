/* SPDX-License-Identifier: MIT
 *
 * heap.c - stores that were opened and closed leave neither holes in the program's heap nor values behind
 */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image.h"

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)

enum { UNIT = 4096, UNITS = 16, ROUNDS = 100, KEPT_BYTES = 600, ROUND_BYTES_MAX = 8192 };

static int open_and_close(void *file)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.unit_bytes = UNIT;
	args.unit_count = UNITS;
	args.backing_fd = fileno(file);
	store = zpool_store_open(&args, sizeof(args));
	if (!store)
		fprintf(stderr, "%s\n", zpool_last_error());
	zpool_store_close(store);
	return store ? 0 : -1;
}

/*
 * The driver zbud does not accept these values, and the backing fails, so that the store keeps copies of them, which
 * are lost when it is closed.
 */
static int close_with_copies(void *image_)
{
	static unsigned char noise[UNIT];
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats stats = { 0 };
	struct image *image = image_;
	int failures = 0;

	for (int i = 0; i < UNIT; i++)
		noise[i] = (unsigned char)(i * i * 2654435761U >> 13);
	args.pool = "zbud";
	args.unit_bytes = UNIT;
	args.backing = &image->backing;
	struct zpool_store *store = zpool_store_open(&args, sizeof(args));
	image_fail(image, 1, UINT64_MAX, EIO);
	for (uint64_t key = 0; store && key < UNITS / 2; key++)
		failures += zpool_store_put(store, key, noise, UNIT) == -EIO;
	(void)zpool_store_get_stats(store, &stats, sizeof(stats));
	zpool_store_close(store);
	image_fail(image, 0, 0, 0);
	if (failures == UNITS / 2 && stats.dirty == UNITS / 2)
		return 0;
	fprintf(stderr, "%d puts failed, %llu units are dirty: %s\n", failures, (unsigned long long)stats.dirty,
		zpool_last_error());
	return -1;
}

/* The program allocates something after each store, which takes a part of the hole that a freed block has left. */
static int measure(const char *what, int (*round)(void *), void *arg)
{
	void *kept[ROUNDS];
	size_t before = 0, grown;
	int err = 0, done;

	for (done = 0; done < ROUNDS && !err; done++) {
		err = round(arg);
		if (done == 0)
			before = mallinfo2().arena;
		kept[done] = malloc(KEPT_BYTES);
	}
	grown = mallinfo2().arena - before;
	while (done)
		free(kept[--done]);
	printf("the heap grew by %zu bytes while %d stores were %s\n", grown, ROUNDS, what);
	return err || grown > (size_t)ROUNDS * ROUND_BYTES_MAX;
}

int main(void)
{
	FILE *file = tmpfile();
	struct image image;
	int failed;

	if (!file || ftruncate(fileno(file), UNITS * UNIT))
		return 99;
	failed = measure("opened and closed", open_and_close, file);
	fclose(file);
	image_init(&image, UNITS * UNIT, true);
	failed |= measure("closed while their backing failed", close_with_copies, &image);
	image_fini(&image);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

int main(void)
{
	printf("skipped: this C library does not report the size of its heap\n");
	return 77;
}

#endif
