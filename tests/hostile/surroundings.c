/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zpool.h>

void surroundings_run(int (*test)(void))
{
	int status;

	if (!unit_may_fork()) {
		printf("# skipped: this build cannot fork\n");
		return;
	}
	scratch_make();
	status = unit_in_child(test);
	scratch_remove();
	ck_assert_msg(status != BAIT_STATUS, "the code of a file that is not trusted ran");
	ck_assert_msg(status == 0 || status == CHILD_SKIPPED, "the child ended with status %d", status);
}

static void install(const char *module, const char *entry)
{
	const char *build = getenv("abs_top_builddir");
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s.so", build ? build : ".", module);
	if (access(path, R_OK))
		SKIP("%s was not built", path);
	scratch_copy(entry, path);
}

void surroundings_install(const char *type, const char *entry)
{
	char module[PATH_MAX];

	(void)snprintf(module, sizeof(module), "plugins/.libs/%s", type);
	install(module, entry);
}

void surroundings_install_bait(const char *entry)
{
	install("tests/hostile/.libs/bait", entry);
}

void surroundings_expect_works(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	unsigned long handle;
	char text[8] = "";

	CHECK(pool != NULL, "%s: %s", spec, zpool_last_error());
	CHECK(zpool_malloc(pool, sizeof(text), ZPOOL_GFP_KERNEL, &handle) == 0, "%s", zpool_last_error());
	CHECK(zpool_obj_write(pool, handle, "content", 8, 0) == 8, "%s", zpool_last_error());
	CHECK(zpool_obj_read(pool, handle, text, 8, 0) == 8, "%s", zpool_last_error());
	CHECK(strcmp(text, "content") == 0, "the object has other bytes");
	zpool_destroy_pool(pool);
}

void surroundings_expect_refused(const char *spec, int err, const char *text)
{
	struct zpool *pool;

	errno = 0;
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	CHECK(pool == NULL, "%s was not refused, but should be because of \"%s\"", spec, text);
	CHECK(errno == err, "%s: errno is %d and not %d: %s", spec, errno, err, zpool_last_error());
	CHECK(strstr(zpool_last_error(), text), "\"%s\" is not in: %s", text, zpool_last_error());
}

/* ------------------------------------------------------------------------------------------------------------------
 * Namespaces
 */

/* Returns 0 or errno. */
static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;

	if (fd >= 0)
		(void)close(fd);
	return err;
}

/* Returns 0 or errno. Without "deny", an ordinary user may not map groups, which no test needs. */
static int map_users(pid_t process, const char *map)
{
	char path[64];
	int err;

	(void)snprintf(path, sizeof(path), "/proc/%ld/uid_map", (long)process);
	err = put(path, map);
	if (err)
		return err;
	(void)snprintf(path, sizeof(path), "/proc/%ld/setgroups", (long)process);
	(void)put(path, "deny");
	(void)snprintf(path, sizeof(path), "/proc/%ld/gid_map", (long)process);
	(void)put(path, map);
	return 0;
}

/* Only a process outside of a user namespace may map more than its own user. It waits until there is one. */
static pid_t start_mapper(const char *map, int *start)
{
	pid_t process = getpid(), mapper;
	int ends[2];
	char byte;

	if (pipe(ends))
		SKIP("there is no pipe: %s", strerror(errno));
	mapper = fork();
	if (mapper == 0) {
		(void)close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? map_users(process, map) : 0);
	}
	(void)close(ends[0]);
	*start = ends[1];
	return mapper;
}

void surroundings_enter_users(const char *map)
{
	int start = -1, status = 0;
	pid_t mapper = map ? start_mapper(map, &start) : 0;

	if (unshare(CLONE_NEWUSER))
		SKIP("a user namespace cannot be entered: %s", strerror(errno));
	if (!map)
		return;
	if (mapper < 0 || write(start, "", 1) != 1 || waitpid(mapper, &status, 0) != mapper || status)
		SKIP("users cannot be mapped in a user namespace: %s", strerror(WEXITSTATUS(status)));
	(void)close(start);
}

void surroundings_enter_mounts(void)
{
	uid_t user = geteuid();
	char map[64];
	int err;

	if (unshare(CLONE_NEWNS | (user ? CLONE_NEWUSER : 0)))
		SKIP("a mount namespace cannot be entered: %s", strerror(errno));
	if (user) {
		(void)snprintf(map, sizeof(map), "0 %lu 1", (unsigned long)user);
		err = map_users(getpid(), map);
		if (err)
			SKIP("users cannot be mapped in a user namespace: %s", strerror(err));
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		SKIP("mounts cannot be made private: %s", strerror(errno));
}

bool surroundings_owners_are_known(void)
{
	FILE *file = fopen("/proc/self/uid_map", "re");
	unsigned long first = 1, outer = 1, count = 0;

	if (!file)
		return false;
	if (fscanf(file, "%lu %lu %lu", &first, &outer, &count) != 3)
		count = 0;
	(void)fclose(file);
	return first == 0 && count >= UINT32_MAX;
}

void surroundings_mount_memory(const char *entry, unsigned long flags, const char *options)
{
	char data[128];

	(void)snprintf(data, sizeof(data), "mode=755,%s", options);
	scratch_directory(entry, 0755);
	if (mount("none", scratch_path(entry), "tmpfs", flags, data))
		SKIP("a file system cannot be mounted: %s", strerror(errno));
}
