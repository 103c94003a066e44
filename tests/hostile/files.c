/* SPDX-License-Identifier: MIT
 *
 * files.c - files that are not what they seem: FIFOs, devices, sockets, hard links, and files with access control lists
 *
 * No test may wait: a child that hangs is killed, which is a failure.
 */
#include "config.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <zpool.h>

#include "surroundings.h"
#ifdef HAVE_STORE
#include "zpool-store.h"
#endif

enum { OTHER_USER = 12345 };

static void set_path(void)
{
	CHECK(zpool_set_plugin_path(scratch_path("")) == 0, "%s", zpool_last_error());
}

/* ------------------------------------------------------------------------------------------------------------------
 * Special files
 */

static bool make_fifo(const char *path)
{
	return mkfifo(path, 0644) == 0;
}

static bool make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return false;
	(void)strcpy(address.sun_path, path);
	return fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static bool make_link_to_zero(const char *path)
{
	return symlink("/dev/zero", path) == 0;
}

/* Only root can make devices, and not in every container. */
static bool make_endless_device(const char *path)
{
	return mknod(path, S_IFCHR | 0644, makedev(1, 5)) == 0;
}

/* No driver has this number. */
static bool make_disk(const char *path)
{
	return mknod(path, S_IFBLK | 0644, makedev(240, 77)) == 0;
}

static bool make_directory(const char *path)
{
	return mkdir(path, 0755) == 0;
}

static const struct {
	const char *name;
	bool (*make)(const char *path);
} kinds[] = {
	{ "FIFO", make_fifo },
	{ "socket", make_socket },
	{ "link to a device", make_link_to_zero },
	{ "character device", make_endless_device },
	{ "block device", make_disk },
	{ "directory", make_directory },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* Makes a special file of the next kind that can be made here. */
static const char *make_kind(unsigned int *kind, const char *entry)
{
	for (; *kind < KINDS; ++*kind)
		if (kinds[*kind].make(scratch_path(entry)))
			return kinds[(*kind)++].name;
		else
			printf("# skipped for a %s: %s\n", kinds[*kind].name, strerror(errno));
	return NULL;
}

static int count_faults(const struct zpool_driver_info *info, void *user)
{
	unsigned int *faults = user;

	*faults += info->fault != NULL;
	return 0;
}

static int load_special_files(void)
{
	unsigned int kind = 0, faults;

	set_path();
	while (make_kind(&kind, "zbud.so")) {
		surroundings_expect_refused("zbud", ENOEXEC, "zbud.so");
		faults = 0;
		CHECK(zpool_each_driver(count_faults, &faults) == 0, "%s", zpool_last_error());
		CHECK(faults == 1, "%u faults are listed for a %s", faults, kinds[kind - 1].name);
		CHECK(remove(scratch_path("zbud.so")) == 0, "%s", strerror(errno));
	}
	surroundings_install("zbud", "zbud.so");
	surroundings_expect_works("zbud");
	return 0;
}

START_TEST(special_file_as_a_plugin_is_refused_at_once)
{
	surroundings_run(load_special_files);
}
END_TEST

static int search_special_directories(void)
{
	unsigned int kind = 0;

	while (make_kind(&kind, "plugins")) {
		CHECK(zpool_set_plugin_path(scratch_path("plugins")) == 0, "%s", zpool_last_error());
		surroundings_expect_refused("zbud", ENOENT, "plugins/zbud.so");
		CHECK(remove(scratch_path("plugins")) == 0, "%s", strerror(errno));
	}
	return 0;
}

START_TEST(special_file_as_a_directory_has_no_plugins)
{
	surroundings_run(search_special_directories);
}
END_TEST

static int trace_to_special_files(void)
{
	unsigned int kind = 0;
	char spec[PATH_MAX + 64];
	const char *name;

	(void)snprintf(spec, sizeof(spec), "trace:file=%s,overwrite=yes+zbud", scratch_path("file"));
	while ((name = make_kind(&kind, "file"))) {
		struct zpool *pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
		bool is_written = strstr(name, "character") || strstr(name, "link");

		CHECK(!pool == !is_written, "a trace to a %s: %s", name, zpool_last_error());
		CHECK(pool || strstr(zpool_last_error(), scratch_path("file")), "%s", zpool_last_error());
		zpool_destroy_pool(pool);
		CHECK(remove(scratch_path("file")) == 0, "%s", strerror(errno));
	}
	return 0;
}

START_TEST(trace_is_written_only_to_files_and_character_devices)
{
	surroundings_run(trace_to_special_files);
}
END_TEST

#ifdef HAVE_STORE
static struct zpool_store *open_store(const char *entry)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.backing_path = scratch_path(entry);
	args.unit_count = 16;
	args.flags = ZPOOL_STORE_CREATE;
	return zpool_store_open(&args, sizeof(args));
}

static int store_in_special_files(void)
{
	unsigned int kind = 0;
	const char *name;

	while ((name = make_kind(&kind, "file"))) {
		CHECK(open_store("file") == NULL, "a %s was accepted", name);
		/* A device without a driver fails when it is opened. */
		CHECK(errno == EINVAL || errno == ENXIO || errno == ENODEV, "a %s: errno %d: %s", name, errno,
		      zpool_last_error());
		CHECK(strstr(zpool_last_error(), scratch_path("file")), "%s", zpool_last_error());
		CHECK(remove(scratch_path("file")) == 0, "%s", strerror(errno));
	}
	return 0;
}

START_TEST(special_file_as_a_backing_is_refused_at_once)
{
	surroundings_run(store_in_special_files);
}
END_TEST

/* Two stores on one image would overwrite each other's units. */
static int store_twice_in_one_file(void)
{
	struct zpool_store *store = open_store("first"), *second;

	CHECK(store != NULL, "%s", zpool_last_error());
	CHECK(link(scratch_path("first"), scratch_path("second")) == 0, "%s", strerror(errno));
	CHECK(symlink("first", scratch_path("third")) == 0, "%s", strerror(errno));
	CHECK(open_store("second") == NULL && errno == EBUSY, "a hard link was accepted: %s", zpool_last_error());
	CHECK(open_store("third") == NULL && errno == EBUSY, "a link was accepted: %s", zpool_last_error());
	zpool_store_close(store);
	second = open_store("second");
	CHECK(second != NULL, "%s", zpool_last_error());
	zpool_store_close(second);
	return 0;
}

START_TEST(second_name_of_a_backing_is_refused_while_it_is_in_use)
{
	surroundings_run(store_twice_in_one_file);
}
END_TEST
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * Hard links and access control lists
 */

static int load_hard_links(void)
{
	set_path();
	surroundings_install("zbud", "elsewhere");
	CHECK(link(scratch_path("elsewhere"), scratch_path("zbud.so")) == 0, "%s", strerror(errno));
	surroundings_expect_works("zbud");
	CHECK(zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	/* The permissions belong to the file, whatever name they were changed by. */
	CHECK(chmod(scratch_path("elsewhere"), 0757) == 0, "%s", strerror(errno));
	surroundings_expect_refused("zbud", EPERM, "world-writable");
	return 0;
}

/* A user who can make hard links to files of others cannot make root run them. */
static int load_hard_link_to_another_users_file(void)
{
	if (geteuid() != 0)
		SKIP("only root can give files away");
	set_path();
	surroundings_install_bait("theirs");
	CHECK(chown(scratch_path("theirs"), OTHER_USER, OTHER_USER) == 0, "%s", strerror(errno));
	CHECK(link(scratch_path("theirs"), scratch_path("zbud.so")) == 0, "%s", strerror(errno));
	surroundings_expect_refused("zbud", EPERM, "belongs to user 12345");
	return 0;
}

START_TEST(hard_link_is_judged_as_the_file_that_it_is)
{
	surroundings_run(load_hard_links);
	surroundings_run(load_hard_link_to_another_users_file);
}
END_TEST

/* An entry of a list of POSIX: tag, permissions, and the number of a user or group, in the byte order of the kernel. */
struct entry {
	uint16_t tag, permissions;
	uint32_t id;
};

enum { READERS = 100 };

/* Lets one more user read and write a file or directory, after as many users who may only read it. */
static void let_write(const char *entry, unsigned int readers)
{
	struct {
		uint32_t version;
		struct entry entries[READERS + 5];
	} list = { 2, { { 0x01, 7, UINT32_MAX } } };
	struct entry *at = &list.entries[1];

	for (unsigned int i = 0; i < readers; i++)
		*at++ = (struct entry){ 0x02, 5, OTHER_USER + 1 + i };
	*at++ = (struct entry){ 0x02, 7, OTHER_USER };
	*at++ = (struct entry){ 0x04, 5, UINT32_MAX };
	*at++ = (struct entry){ 0x10, 7, UINT32_MAX };
	*at++ = (struct entry){ 0x20, 5, UINT32_MAX };
	if (setxattr(scratch_path(entry), "system.posix_acl_access", &list, (size_t)((char *)at - (char *)&list), 0))
		SKIP("files have no access control lists here: %s", strerror(errno));
}

static int load_with_a_long_list(void)
{
	set_path();
	surroundings_install_bait("zbud.so");
	let_write("zbud.so", READERS);
	surroundings_expect_refused("zbud", EPERM, "may be written by user 12345 through its access control list");
	return 0;
}

static int load_with_a_list(void)
{
	set_path();
	surroundings_install_bait("zbud.so");
	let_write("zbud.so", 0);
	surroundings_expect_refused("zbud", EPERM, "may be written by user 12345 through its access control list");
	CHECK(strstr(zpool_last_error(), "setfacl -x u:12345"), "%s", zpool_last_error());
	CHECK(unlink(scratch_path("zbud.so")) == 0, "%s", strerror(errno));
	surroundings_install("zbud", "zbud.so");
	surroundings_expect_works("zbud");
	CHECK(zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	let_write("", 0);
	surroundings_expect_refused("zbud", EPERM, "may be written by user 12345 through its access control list");
	return 0;
}

START_TEST(plugin_that_a_list_lets_others_change_is_refused)
{
	surroundings_run(load_with_a_list);
	surroundings_run(load_with_a_long_list);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		special_file_as_a_plugin_is_refused_at_once,
		special_file_as_a_directory_has_no_plugins,
		trace_is_written_only_to_files_and_character_devices,
#ifdef HAVE_STORE
		special_file_as_a_backing_is_refused_at_once,
		second_name_of_a_backing_is_refused_while_it_is_in_use,
#endif
		hard_link_is_judged_as_the_file_that_it_is,
		plugin_that_a_list_lets_others_change_is_refused,
	};

	return UNIT_RUN("hostile: files", tests);
}
