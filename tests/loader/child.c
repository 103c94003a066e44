/* SPDX-License-Identifier: MIT
 *
 * child COMMAND [ARGUMENT...]: a separate small host, for tests that need another environment, user or sandbox
 *
 *   create SPEC              create a pool; print "made TYPE", or "errno NUMBER" and the message
 *   create-in DIRECTORY SPEC the same, with this plugin path
 *   path                     print the plugin path
 *   complain TYPE            do things that are logged at each level, and print nothing itself
 *   sandbox TYPE OTHER       load TYPE, disable loading, forbid opening files, use the loaded drivers, and unload TYPE
 *   as USER PROGRAM [ARGUMENT...]   become that user (a number), then run the program
 *
 * The program is linked with the library's archive, so a copy of it works anywhere, even with a set-user-ID bit.
 */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zpool.h"

static int create(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, 0, NULL);
	if (pool)
		printf("made %s\n", zpool_get_type(pool));
	else
		printf("errno %d\n%s\n", errno, zpool_last_error());
	zpool_destroy_pool(pool);
	return 0;
}

static int path(void)
{
	char buf[4096];
	if (zpool_get_plugin_path(buf, sizeof(buf)) < 0)
		return 1;
	puts(buf);
	return 0;
}

/* A create that fails is logged at level info, a refused free at level error, and a load at level debug. */
static int complain(const char *type)
{
	(void)zpool_has_pool("nosuch");
	zpool_free(NULL, 1);
	(void)zpool_has_pool(type);
	(void)zpool_shrink(NULL, 1, NULL);
	return 0;
}

/* From here on, open(2) and similar calls kill the process. */
static int forbid_open(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_open
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
#ifdef SYS_openat2
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
#endif
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(rules) / sizeof(*rules), rules };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ? -errno : 0;
}

static int print_driver(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	printf("listed %s\n", info->type);
	return 0;
}

static int sandbox(const char *type, const char *other)
{
	unsigned long handle;
	struct zpool *pool = zpool_create_pool(type, 0, NULL);

	/* The output must be visible even if the next call kills the process. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (!pool || zpool_loading_disable() != 0 || forbid_open() != 0) {
		printf("no sandbox: %s %s\n", strerror(errno), zpool_last_error());
		return 77;
	}
	printf("malloc %d\n", zpool_malloc(pool, 100, 0, &handle));
	create(type);
	create(other);
	create("nosuch");
	printf("each %d\n", zpool_each_driver(print_driver, NULL));
	printf("has %d\n", zpool_has_pool(other));
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
#ifndef ZPOOL_COVERAGE
	/* A plugin of a coverage build opens a file for its counters when it is unloaded. */
	printf("unload %d\n", zpool_unload_driver(type));
#endif
	puts("alive");
	/* A leak checker opens files when the program ends. */
	_exit(0);
}

static int as(const char *user, char **argv)
{
	uid_t uid = (uid_t)strtoul(user, NULL, 10);
	if (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0) {
		perror("child");
		return 99;
	}
	execv(argv[0], argv);
	perror(argv[0]);
	return 99;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "create") == 0)
		return create(argv[2]);
	if (argc == 4 && strcmp(argv[1], "create-in") == 0)
		return zpool_set_plugin_path(argv[2]) ? 1 : create(argv[3]);
	if (argc == 2 && strcmp(argv[1], "path") == 0)
		return path();
	if (argc == 3 && strcmp(argv[1], "complain") == 0)
		return complain(argv[2]);
	if (argc == 4 && strcmp(argv[1], "sandbox") == 0)
		return sandbox(argv[2], argv[3]);
	if (argc >= 4 && strcmp(argv[1], "as") == 0)
		return as(argv[2], argv + 3);
	fprintf(stderr, "child: see the head of child.c for its usage\n");
	return 99;
}
