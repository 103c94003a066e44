/* SPDX-License-Identifier: MIT
 *
 * A program that uses libzpool-store as it was installed: it puts a value into a pool of the type, and gets it back.
 */
#include <stdio.h>
#include <string.h>
#include <zpool-store.h>

int main(int argc, char **argv)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;
	char text[16] = "";

	args.pool = argc > 1 ? argv[1] : "zsmalloc";
	store = zpool_store_open(&args, sizeof(args));
	if (!store || zpool_store_put(store, 7, "compressed", 11) ||
	    zpool_store_get(store, 7, text, sizeof(text)) != 11 || strcmp(text, "compressed") != 0) {
		fprintf(stderr, "%s\n", zpool_last_error());
		return 1;
	}
	zpool_store_close(store);
	return 0;
}
