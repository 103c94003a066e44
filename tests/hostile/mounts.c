/* SPDX-License-Identifier: MIT
 *
 * mounts.c - plugins and files on mounts that forbid something, that hide something, that are full, or that vanish
 */
#include "config.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zpool.h>

#include "surroundings.h"
#ifdef HAVE_STORE
#include "zpool-store.h"
#endif

enum { UNIT = 4096, UNITS = 96 };

/* In a user namespace, nothing below "/" is trusted, because its owner may be anyone. */
static void enter_where_plugins_are_trusted(void)
{
	surroundings_enter_mounts();
	if (!surroundings_owners_are_known())
		SKIP("in a user namespace, the owners of directories are unknown, so no plugin is trusted");
}

static void set_path(const char *entry)
{
	CHECK(zpool_set_plugin_path(scratch_path(entry)) == 0, "%s", zpool_last_error());
}

static void bind_to(const char *from, const char *to)
{
	if (mount(scratch_path(from), scratch_path(to), NULL, MS_BIND, NULL))
		SKIP("a bind mount is not possible: %s", strerror(errno));
}

static void remount(const char *entry, unsigned long flags)
{
	if (mount("none", scratch_path(entry), NULL, MS_REMOUNT | MS_BIND | flags, NULL))
		SKIP("a file system cannot be mounted again: %s", strerror(errno));
}

/* ------------------------------------------------------------------------------------------------------------------
 * Plugins
 */

static int has_fault(const struct zpool_driver_info *info, void *user)
{
	if (info->fault && strstr(info->fault, user))
		return 1;
	return 0;
}

static int load_from_noexec(void)
{
	static char text[] = "mounted with noexec";

	enter_where_plugins_are_trusted();
	surroundings_mount_memory("m", MS_NOEXEC, "size=4m");
	surroundings_install("zbud", "m/zbud.so");
	set_path("m");
	surroundings_expect_refused("zbud", ENOEXEC, text);
	CHECK(zpool_each_driver(has_fault, text) == 1, "the list does not show the reason");
	/* The failure is not remembered. */
	if (mount("none", scratch_path("m"), NULL, MS_REMOUNT, "size=4m"))
		SKIP("the file system cannot be mounted again: %s", strerror(errno));
	surroundings_expect_works("zbud");
	return 0;
}

START_TEST(plugin_on_a_noexec_mount_is_refused_with_the_reason)
{
	surroundings_run(load_from_noexec);
}
END_TEST

static int load_from_read_only(void)
{
	enter_where_plugins_are_trusted();
	surroundings_mount_memory("m", 0, "size=4m");
	surroundings_install("zbud", "m/zbud.so");
	surroundings_install("guard", "m/guard.so");
	remount("m", MS_RDONLY | MS_NOSUID | MS_NODEV);
	set_path("m");
	surroundings_expect_works("zbud");
	CHECK(zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	surroundings_expect_works("guard+zbud");
	return 0;
}

START_TEST(plugin_on_a_read_only_mount_works)
{
	surroundings_run(load_from_read_only);
}
END_TEST

/* What is mounted over a path counts, and not what lies below the mount. */
static int load_through_bind_mounts(void)
{
	enter_where_plugins_are_trusted();
	scratch_directory("good", 0755);
	scratch_directory("open", 0777);
	scratch_directory("path", 0755);
	surroundings_install("zbud", "good/zbud.so");
	surroundings_install_bait("open/zbud.so");
	bind_to("good", "path");
	set_path("path");
	surroundings_expect_works("zbud");
	CHECK(zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	bind_to("open", "path");
	surroundings_expect_refused("zbud", EPERM, "path is world-writable");
	CHECK(umount(scratch_path("path")) == 0, "%s", strerror(errno));
	CHECK(chmod(scratch_path("open/zbud.so"), 0666) == 0, "%s", strerror(errno));
	bind_to("open/zbud.so", "path/zbud.so");
	surroundings_expect_refused("zbud", EPERM, "zbud.so is world-writable");
	CHECK(umount(scratch_path("path/zbud.so")) == 0, "%s", strerror(errno));
	surroundings_expect_works("zbud");
	return 0;
}

START_TEST(bind_mount_is_judged_by_what_it_shows)
{
	surroundings_run(load_through_bind_mounts);
}
END_TEST

/* The pool's code stays mapped. */
static int use_plugin_whose_mount_vanished(void)
{
	struct zpool *pool;
	unsigned long handle;

	enter_where_plugins_are_trusted();
	surroundings_mount_memory("m", 0, "size=4m");
	surroundings_install("zbud", "m/zbud.so");
	set_path("m");
	pool = zpool_create_pool("zbud", ZPOOL_GFP_KERNEL, NULL);
	CHECK(pool != NULL, "%s", zpool_last_error());
	CHECK(umount2(scratch_path("m"), MNT_DETACH) == 0, "%s", strerror(errno));
	for (int i = 0; i < 1000; i++)
		CHECK(zpool_malloc(pool, 1000, ZPOOL_GFP_KERNEL, &handle) == 0, "%s", zpool_last_error());
	surroundings_expect_works("zbud");
	zpool_destroy_pool(pool);
	CHECK(zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	surroundings_expect_refused("zbud", ENOENT, "m/zbud.so (No such file or directory)");
	surroundings_install("zbud", "m/zbud.so");
	surroundings_expect_works("zbud");
	return 0;
}

START_TEST(plugin_whose_mount_vanishes_goes_on_working)
{
	surroundings_run(use_plugin_whose_mount_vanished);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Files on a read-only mount
 */

static const char *trace_spec(const char *entry, const char *more)
{
	static char spec[PATH_MAX + 64];

	(void)snprintf(spec, sizeof(spec), "trace:file=%s%s+zbud", scratch_path(entry), more);
	return spec;
}

/* The plugins are loaded first, because a user namespace may hide who owns them. */
static void load_plugins(void)
{
	CHECK(zpool_has_pool("trace+zbud") && zpool_has_pool("zsmalloc"), "%s", zpool_last_error());
}

#ifdef HAVE_STORE
static struct zpool_store_args store_args(const char *entry)
{
	static char path[PATH_MAX];
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	(void)snprintf(path, sizeof(path), "%s", scratch_path(entry));
	args.backing_path = path;
	args.unit_bytes = UNIT;
	args.unit_count = UNITS;
	args.flags = ZPOOL_STORE_CREATE;
	return args;
}
#endif

static int write_to_read_only(void)
{
	load_plugins();
	surroundings_enter_mounts();
	surroundings_mount_memory("m", 0, "size=1m");
	scratch_file("m/there", 0644, "content", 7);
	remount("m", MS_RDONLY | MS_NOSUID | MS_NODEV);
	surroundings_expect_refused(trace_spec("m/new", ""), EROFS, "Read-only file system");
	surroundings_expect_refused(trace_spec("m/there", ",overwrite=yes"), EROFS, "Read-only file system");
#ifdef HAVE_STORE
	for (int i = 0; i < 2; i++) {
		struct zpool_store_args args = store_args(i ? "m/new" : "m/there");

		CHECK(zpool_store_open(&args, sizeof(args)) == NULL, "a read-only file was accepted");
		CHECK(errno == EROFS, "errno is %d: %s", errno, zpool_last_error());
		CHECK(strstr(zpool_last_error(), args.backing_path), "no path in: %s", zpool_last_error());
	}
#endif
	return 0;
}

START_TEST(files_on_a_read_only_mount_are_refused_with_the_reason)
{
	surroundings_run(write_to_read_only);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A full disk
 */

static unsigned int reports;

static void note(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)user;
	reports += strstr(message, "cannot be written: No space left on device") != NULL;
	reports += strstr(message, "missing from the trace") != NULL;
}

static int trace_to_a_full_disk(void)
{
	static unsigned long handles[20000];
	struct zpool *pool;

	load_plugins();
	surroundings_enter_mounts();
	surroundings_mount_memory("m", 0, "size=32k");
	CHECK(zpool_set_log_handler(note, ZPOOL_LOG_ERROR, NULL) == 0, "%s", zpool_last_error());
	pool = zpool_create_pool(trace_spec("m/trace", ",buffer=4K"), ZPOOL_GFP_KERNEL, NULL);
	CHECK(pool != NULL, "%s", zpool_last_error());
	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
		CHECK(zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handles[i]) == 0, "%s", zpool_last_error());
	CHECK(reports == 1, "%u reports before the pool is destroyed", reports);
	zpool_destroy_pool(pool);
	CHECK(reports == 2, "%u reports after the pool was destroyed", reports);
	/* Not even the header of a new file can be written. */
	surroundings_expect_refused(trace_spec("m/second", ""), ENOSPC, "No space left on device");
	CHECK(access(scratch_path("m/second"), F_OK) != 0, "an empty file was left");
	return 0;
}

START_TEST(trace_on_a_full_disk_ends_and_no_call_fails)
{
	surroundings_run(trace_to_a_full_disk);
}
END_TEST

#ifdef HAVE_STORE
/* The bytes do not shrink, and follow from key and version. */
static void fill(unsigned char *value, uint64_t key, unsigned int version)
{
	uint32_t seed = (uint32_t)key * 2654435761U + version;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
}

static bool has_version(struct zpool_store *store, uint64_t key, unsigned int version)
{
	unsigned char value[UNIT], expected[UNIT];

	fill(expected, key, version);
	return zpool_store_get(store, key, value, UNIT) == UNIT && memcmp(value, expected, UNIT) == 0;
}

/*
 * A limit makes the store write back while values are put. After a put that failed, the key has its old value or the
 * new one.
 */
static void put_all(struct zpool_store *store, unsigned int version, unsigned int versions[UNITS])
{
	unsigned char value[UNIT];

	for (uint64_t key = 0; key < UNITS; key++) {
		int err;

		fill(value, key, version);
		err = zpool_store_put(store, key, value, UNIT);
		CHECK(err == 0 || err == -ENOSPC, "put returned %d: %s", err, zpool_last_error());
		CHECK(!err || strstr(zpool_last_error(), "No space left"), "%s", zpool_last_error());
		if (!err || has_version(store, key, version))
			versions[key] = version;
	}
}

static void check_image(const char *path, const unsigned int versions[UNITS])
{
	unsigned char value[UNIT], expected[UNIT];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0, "%s", strerror(errno));
	for (uint64_t key = 0; key < UNITS; key++) {
		fill(expected, key, versions[key]);
		if (!versions[key])
			memset(expected, 0, UNIT);
		CHECK(pread(fd, value, UNIT, (off_t)(key * UNIT)) == UNIT, "%s", strerror(errno));
		CHECK(memcmp(value, expected, UNIT) == 0, "key %u differs in the file", (unsigned int)key);
	}
	(void)close(fd);
}

static void store_on_a_full_disk_with(uint64_t limit_bytes)
{
	struct zpool_store_args args = store_args("m/image");
	unsigned int versions[UNITS] = { 0 };
	struct zpool_store *store;

	args.pool = "zsmalloc";
	args.limit_bytes = limit_bytes;
	store = zpool_store_open(&args, sizeof(args));
	CHECK(store != NULL, "%s", zpool_last_error());
	for (unsigned int version = 1; version <= 2; version++) {
		put_all(store, version, versions);
		CHECK(zpool_store_flush(store) == -ENOSPC, "the flush did not fail: %s", zpool_last_error());
		for (uint64_t key = 0; key < UNITS; key++)
			CHECK(!versions[key] || has_version(store, key, versions[key]), "key %u: value of version %u",
			      (unsigned int)key, versions[key]);
	}
	if (mount("none", scratch_path("m"), NULL, MS_REMOUNT, "size=1m"))
		SKIP("the file system cannot be enlarged: %s", strerror(errno));
	CHECK(zpool_store_flush(store) == 0, "%s", zpool_last_error());
	check_image(args.backing_path, versions);
	put_all(store, 3, versions);
	zpool_store_close(store);
	check_image(args.backing_path, versions);
}

static int store_on_a_full_disk(void)
{
	load_plugins();
	surroundings_enter_mounts();
	surroundings_mount_memory("m", 0, "size=128k");
	store_on_a_full_disk_with(0);
	return 0;
}

static int store_with_a_limit_on_a_full_disk(void)
{
	load_plugins();
	surroundings_enter_mounts();
	surroundings_mount_memory("m", 0, "size=128k");
	store_on_a_full_disk_with(400 << 10);
	return 0;
}

START_TEST(store_on_a_full_disk_loses_nothing)
{
	surroundings_run(store_on_a_full_disk);
	surroundings_run(store_with_a_limit_on_a_full_disk);
}
END_TEST
#endif

static int dump_to_a_full_disk(void)
{
	struct zpool *pool;
	int fd;

	load_plugins();
	surroundings_enter_mounts();
	surroundings_mount_memory("m", 0, "size=4k,nr_inodes=3");
	pool = zpool_create_pool("zsmalloc", ZPOOL_GFP_KERNEL, NULL);
	CHECK(pool != NULL, "%s", zpool_last_error());
	scratch_file("m/ballast", 0644, "x", 1);
	fd = open(scratch_path("m/dump"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0, "%s", strerror(errno));
	CHECK(zpool_dump(fd, ZPOOL_DUMP_JSON) == -ENOSPC, "the dump did not fail: %s", zpool_last_error());
	CHECK(strstr(zpool_last_error(), "No space left on device"), "%s", zpool_last_error());
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(dump_to_a_full_disk_is_an_error)
{
	surroundings_run(dump_to_a_full_disk);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		plugin_on_a_noexec_mount_is_refused_with_the_reason,
		plugin_on_a_read_only_mount_works,
		bind_mount_is_judged_by_what_it_shows,
		plugin_whose_mount_vanishes_goes_on_working,
		files_on_a_read_only_mount_are_refused_with_the_reason,
		trace_on_a_full_disk_ends_and_no_call_fails,
#ifdef HAVE_STORE
		store_on_a_full_disk_loses_nothing,
#endif
		dump_to_a_full_disk_is_an_error,
	};

	return UNIT_RUN("hostile: mounts", tests);
}
