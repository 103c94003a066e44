/* SPDX-License-Identifier: MIT
 *
 * host.c - a program as a user of the installed library would write it
 *
 * host                   prints the library's version, and checks that a driver that does not exist is refused
 * host TYPE...           also stores an object in a pool of each type and reads it back
 * host --drop FROM TO    opens the driver "bump", which does not exist; moves the plugin FROM to TO; opens it again
 *
 * If the program is compiled with LINKED_BY_HAND, it registers three drivers whose archives are linked into it.
 *
 * The exit status is 0, 1 after a message, or 3 if other users may change the plugin directory, which comes from the
 * builder's umask and is not the library's fault.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#ifdef LINKED_BY_HAND
#include <zpool-driver.h>
extern const struct zpool_driver zbud_LTX_zpool_driver, zsmalloc_LTX_zpool_driver, guard_LTX_zpool_driver;
#endif

enum { STATUS_OK, STATUS_FAILED, STATUS_NOT_TRUSTED = 3 };

static int complain(const char *what)
{
	int status = errno == EPERM ? STATUS_NOT_TRUSTED : STATUS_FAILED;

	fprintf(stderr, "host: %s: %s\n", what, zpool_last_error());
	return status;
}

static int store_and_load(const char *type)
{
	static const char text[] = "addressed by handle";
	struct zpool *pool = zpool_create_pool(type, ZPOOL_GFP_KERNEL, NULL);
	int status = STATUS_FAILED;
	unsigned long handle;
	char *object;

	if (!pool)
		return complain(type);
	if (zpool_malloc(pool, sizeof(text), ZPOOL_GFP_KERNEL, &handle) == 0) {
		object = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
		if (object) {
			memcpy(object, text, sizeof(text));
			zpool_unmap_handle(pool, handle);
			object = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
		}
		if (object && memcmp(object, text, sizeof(text)) == 0)
			status = STATUS_OK;
		zpool_unmap_handle(pool, handle);
		zpool_free(pool, handle);
	}
	if (status != STATUS_OK)
		complain(type);
	zpool_destroy_pool(pool);
	return status;
}

static int absent(const char *type)
{
	if (zpool_create_pool(type, ZPOOL_GFP_KERNEL, NULL) || errno != ENOENT || !strstr(zpool_last_error(), type)) {
		complain("a driver that does not exist was not refused with ENOENT and its name");
		return STATUS_FAILED;
	}
	return STATUS_OK;
}

static int drop_in(const char *from, const char *to)
{
	int status = absent("bump");

	if (status != STATUS_OK)
		return status;
	if (rename(from, to)) {
		fprintf(stderr, "host: %s to %s: %s\n", from, to, strerror(errno));
		return STATUS_FAILED;
	}
	return store_and_load("bump");
}

int main(int argc, char **argv)
{
	int status = absent("nosuch");

#ifdef LINKED_BY_HAND
	if (zpool_register_driver(&zbud_LTX_zpool_driver) || zpool_register_driver(&zsmalloc_LTX_zpool_driver) ||
	    zpool_register_driver(&guard_LTX_zpool_driver))
		return complain("a driver that is linked in could not be registered");
#endif
	if (strcmp(zpool_version(), ZPOOL_VERSION) != 0) {
		fprintf(stderr, "host: the library has version %s, its header %s\n", zpool_version(), ZPOOL_VERSION);
		return STATUS_FAILED;
	}
	if (argc == 4 && strcmp(argv[1], "--drop") == 0)
		return status ? status : drop_in(argv[2], argv[3]);
	for (int i = 1; i < argc && status == STATUS_OK; i++)
		status = store_and_load(argv[i]);
	return status;
}
