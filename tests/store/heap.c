/* SPDX-License-Identifier: MIT
 *
 * heap.c - stores that were opened and closed leave no holes in the program's heap
 */
#include "config.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/zpool-store.h"

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)

enum { UNIT = 4096, ROUNDS = 100, KEPT_BYTES = 600, ROUND_BYTES_MAX = 8192 };

static int open_and_close(int file)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.unit_bytes = UNIT;
	args.unit_count = 16;
	args.backing_fd = file;
	store = zpool_store_open(&args, sizeof(args));
	if (!store)
		fprintf(stderr, "%s\n", zpool_last_error());
	zpool_store_close(store);
	return store ? 0 : -1;
}

/* The program allocates something after each store, which takes a part of the hole that a freed block has left. */
int main(void)
{
	void *kept[ROUNDS];
	FILE *file = tmpfile();
	size_t before = 0, grown;

	if (!file || ftruncate(fileno(file), 16 * UNIT))
		return 99;
	for (int i = 0; i < ROUNDS; i++) {
		if (open_and_close(fileno(file)))
			return EXIT_FAILURE;
		if (i == 0)
			before = mallinfo2().arena;
		kept[i] = malloc(KEPT_BYTES);
	}
	grown = mallinfo2().arena - before;
	for (int i = 0; i < ROUNDS; i++)
		free(kept[i]);
	fclose(file);
	printf("the heap grew by %zu bytes while %d stores were opened and closed\n", grown, ROUNDS);
	return grown <= (size_t)ROUNDS * ROUND_BYTES_MAX ? EXIT_SUCCESS : EXIT_FAILURE;
}

#else

int main(void)
{
	printf("skipped: this C library does not report the size of its heap\n");
	return 77;
}

#endif
