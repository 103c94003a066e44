/* SPDX-License-Identifier: MIT
 *
 * No descriptor is left (RLIMIT_NOFILE): what needs a file fails with EMFILE and a message, pools go on working, and
 * everything works once descriptors are available again.
 */
#include "config.h"

#include "tests/limits/limits.h"

#include <fcntl.h>

#ifdef HAVE_STORE
#include "zpool-store.h"
#endif

enum { SIZE = 500, OBJECTS = 500, UNIT = 4096 };

static unsigned long handles[OBJECTS];

static int visit(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	return 0;
}

/* The driver's code is not loaded yet. */
static int load_without_descriptors(void)
{
	unit_leave_descriptors(0);
	errno = 0;
	LIMITS_CHECK(zpool_create_pool(limits_driver, ZPOOL_GFP_KERNEL, NULL) == NULL, "the plugin was opened");
	LIMITS_CHECK(errno == EMFILE, "errno is %d: %s", errno, zpool_last_error());
	LIMITS_CHECK(strstr(zpool_last_error(), "Too many open files"), "%s", zpool_last_error());
	LIMITS_CHECK(!zpool_has_pool(limits_driver), "the plugin was opened");
	LIMITS_CHECK(zpool_each_driver(visit, NULL) == -EMFILE, "%s", zpool_last_error());
	unit_leave_descriptors(-1);
	limits_load_driver();
	LIMITS_CHECK(zpool_each_driver(visit, NULL) == 0, "%s", zpool_last_error());
	return 0;
}

START_TEST(load_without_descriptors_fails_and_succeeds_later)
{
	limits_for_each_driver(load_without_descriptors);
}
END_TEST

static int use_pools_without_descriptors(void)
{
	char spec[64];
	struct zpool *pools[2];
	uint64_t released;

	(void)snprintf(spec, sizeof(spec), "guard+fault+%s", limits_driver);
	LIMITS_CHECK(zpool_has_pool(spec), "%s", zpool_last_error());
	unit_leave_descriptors(0);
	for (int i = 0; i < 2; i++) {
		pools[i] = zpool_create_pool(i ? spec : limits_driver, ZPOOL_GFP_KERNEL, NULL);
		LIMITS_CHECK(pools[i] != NULL, "%s", zpool_last_error());
		for (unsigned int n = 0; n < OBJECTS; n++)
			LIMITS_CHECK(limits_store(pools[i], SIZE, n, &handles[n]) == 0, "%s", zpool_last_error());
		for (unsigned int n = 0; n < OBJECTS; n += 2)
			zpool_free(pools[i], handles[n]);
		(void)zpool_compact(pools[i], 0, 0, NULL);
		(void)zpool_trim(pools[i], &released);
		for (unsigned int n = 1; n < OBJECTS; n += 2)
			limits_compare(pools[i], SIZE, n, handles[n]);
		zpool_destroy_pool(pools[i]);
	}
	(void)snprintf(spec, sizeof(spec), "trace:file=/nonexistent+%s", limits_driver);
	LIMITS_CHECK(!zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL) && errno == EMFILE, "%s", zpool_last_error());
	unit_leave_descriptors(-1);
	return 0;
}

START_TEST(pool_needs_no_descriptor)
{
	limits_for_each_driver(use_pools_without_descriptors);
}
END_TEST

#ifdef HAVE_STORE
static char path[64];

static struct zpool_store *open_store(bool has_file, int fd)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = limits_driver;
	args.unit_count = OBJECTS;
	args.backing_path = has_file ? path : NULL;
	args.backing_fd = fd;
	args.flags = has_file ? ZPOOL_STORE_CREATE : 0;
	return zpool_store_open(&args, sizeof(args));
}

static void use_store(struct zpool_store *store)
{
	unsigned char value[UNIT] = "value", found[UNIT];

	for (uint64_t key = 0; key < OBJECTS; key++) {
		value[10] = (unsigned char)key;
		LIMITS_CHECK(zpool_store_put(store, key, value, UNIT) == 0, "%s", zpool_last_error());
		LIMITS_CHECK(zpool_store_get(store, key, found, UNIT) == UNIT, "%s", zpool_last_error());
		LIMITS_CHECK(memcmp(value, found, UNIT) == 0, "another value");
	}
	LIMITS_CHECK(zpool_store_flush(store) == 0, "%s", zpool_last_error());
}

static int use_stores_without_descriptors(void)
{
	struct zpool_store *stores[2];

	(void)snprintf(path, sizeof(path), "limits-descriptors-%ld.img", (long)getppid());
	stores[0] = open_store(true, -1);
	LIMITS_CHECK(stores[0] != NULL, "%s", zpool_last_error());
	unit_leave_descriptors(0);
	stores[1] = open_store(false, -1);
	LIMITS_CHECK(stores[1] != NULL, "%s", zpool_last_error());
	for (int i = 0; i < 2; i++)
		use_store(stores[i]);
	LIMITS_CHECK(zpool_store_watch_pressure(stores[1], NULL, 0) < 0, "a file was opened");
	zpool_store_close(stores[1]);
	LIMITS_CHECK(!open_store(false, 0) && (errno == EMFILE || errno == EROFS), "%s", zpool_last_error());
	LIMITS_CHECK(!open_store(true, -1) && errno == EMFILE, "%s", zpool_last_error());
	LIMITS_CHECK(strstr(zpool_last_error(), path), "%s", zpool_last_error());
	unit_leave_descriptors(-1);
	zpool_store_close(stores[0]);
	stores[0] = open_store(true, -1);
	LIMITS_CHECK(stores[0] != NULL, "%s", zpool_last_error());
	zpool_store_close(stores[0]);
	return 0;
}

START_TEST(store_needs_a_descriptor_only_when_it_is_opened)
{
	limits_for_each_driver(use_stores_without_descriptors);
	(void)snprintf(path, sizeof(path), "limits-descriptors-%ld.img", (long)getpid());
	(void)unlink(path);
}
END_TEST
#endif

int main(void)
{
	const TTest *const tests[] = {
		load_without_descriptors_fails_and_succeeds_later,
		pool_needs_no_descriptor,
#ifdef HAVE_STORE
		store_needs_a_descriptor_only_when_it_is_opened,
#endif
	};

	return UNIT_RUN("limits: descriptors", tests);
}
