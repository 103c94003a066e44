/* SPDX-License-Identifier: MIT
 *
 * Owners that a user namespace hides, and users that access control lists allow to write. Cases that need a different
 * owner require root and are skipped for other users.
 */
#include "config.h"

#include "loader/trust.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/unit/loader/trust_fixture.h"

enum { STRANGER = 12345, HIDDEN_USER = 65534 };

static void own(const char *entry, uid_t uid)
{
	ck_assert_int_eq(lchown(scratch_path(entry), uid, (gid_t)-1), 0);
}

START_TEST(hidden_owner_is_neither_root_nor_the_effective_user)
{
	start();
	if (geteuid() != 0) {
		finish();
		return;
	}
	own("d/x.so", HIDDEN_USER);
	refuses(scratch_path("d/x.so"), EPERM, "belongs to user 65534");
	trust.hides_owners = true;
	trust.hidden_uid = HIDDEN_USER;
	refuses(scratch_path("d/x.so"), EPERM, "no mapping in this user namespace and could be anyone");
	/* The parents of the scratch directory are not hidden, and one of them is world-writable. */
	trust.hidden_owner_dir = scratch_path("d");
	refuses(scratch_path("d/x.so"), EPERM, "no mapping in this user namespace");
	finish();
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Owners that are hidden from the root directory on; the test runs in a child whose root directory is the scratch
 * directory
 */

/* The effective user of the process has the number that stands for all hidden users. */
static bool jail_euid_is_hidden;

static void enter_jail(uid_t uid)
{
	if (chroot(scratch_path("")) != 0 || chdir("/") != 0 || setgid(uid) != 0 || setuid(uid) != 0)
		_exit(99);
	trust = (struct zp_trust){ .euid = jail_euid_is_hidden ? HIDDEN_USER : uid,
				   .hides_owners = true,
				   .hidden_uid = HIDDEN_USER,
				   .hidden_owner_dir = "/plugins" };
}

/* Returns the result in a child that runs as this user: 0 or a positive errno. */
static int judge_in_jail(uid_t uid, const char *path)
{
	int status;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		enter_jail(uid);
		_exit(-zp_trust_resolve(&trust, path, resolved, why, sizeof(why)));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const char *const jail_entries[] = { "",    "plugins", "plugins/x.so", "home", "home/x.so", "plugins/l.so",
					    "tmp", "tmp/p",   "tmp/p/x.so" };

/* Returns false if this is not possible: it needs root and fork(). */
static bool make_jail(void)
{
	start();
	if (geteuid() != 0 || !unit_may_fork()) {
		finish();
		return false;
	}
	scratch_directory("plugins", 0755);
	scratch_file("plugins/x.so", 0644, "x", 1);
	scratch_directory("home", 0755);
	scratch_file("home/x.so", 0644, "x", 1);
	scratch_link("plugins/l.so", "/home/x.so");
	scratch_directory("tmp", 01777);
	scratch_directory("tmp/p", 0755);
	scratch_file("tmp/p/x.so", 0644, "x", 1);
	mode("", 0755);
	for (size_t i = 0; i < sizeof(jail_entries) / sizeof(*jail_entries); i++)
		own(jail_entries[i], HIDDEN_USER);
	return true;
}

START_TEST(hidden_owners_are_trusted_only_in_the_system_directory)
{
	if (!make_jail())
		return;
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), 0);
	/* The owner of the directory chose the target of a link in it. */
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/l.so"), 0);
	/* The parent directories may belong to root, like the root directory of a container. */
	own("", 0);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), 0);
	finish();
}
END_TEST

START_TEST(hidden_owners_are_refused_in_other_directories)
{
	if (!make_jail())
		return;
	ck_assert_int_eq(judge_in_jail(STRANGER, "/home/x.so"), EPERM);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/tmp/p/x.so"), EPERM);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/../home/x.so"), EPERM);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/./x.so"), EPERM);
	/* A file of the process's own user is not trusted below a directory of an unknown owner. */
	own("home/x.so", STRANGER);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/home/x.so"), EPERM);
	own("home", STRANGER);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/home/x.so"), EPERM);
	own("", STRANGER);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/home/x.so"), 0);
	finish();
}
END_TEST

START_TEST(hidden_owners_are_refused_if_another_user_may_write)
{
	static const mode_t shared[] = { 0775, 0757, 01777, 02775 };
	if (!make_jail())
		return;
	for (size_t i = 0; i < sizeof(shared) / sizeof(*shared); i++) {
		mode("plugins", shared[i]);
		ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
		mode("plugins", 0755);
		mode("", shared[i]);
		ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
		own("", 0);
		ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
		mode("", 0755);
		own("", HIDDEN_USER);
	}
	mode("plugins/x.so", 0664);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
	mode("plugins/x.so", 0644);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), 0);
	/* A link in the directory leads to a directory where others may write. */
	mode("home", 01777);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/l.so"), EPERM);
	mode("home", 0755);
	finish();
}
END_TEST

/* The user of the process has the number that stands for all hidden owners. */
START_TEST(process_of_a_hidden_user_trusts_its_own_files)
{
	if (!make_jail())
		return;
	ck_assert_int_eq(judge_in_jail(HIDDEN_USER, "/home/x.so"), 0);
	ck_assert_int_eq(judge_in_jail(HIDDEN_USER, "/plugins/x.so"), 0);
	mode("home", 0555);
	mode("home/x.so", 0444);
	ck_assert_int_eq(judge_in_jail(HIDDEN_USER, "/home/x.so"), 0);
	/* The hidden user may be root, for whom group-writable files are refused. */
	mode("home", 0775);
	ck_assert_int_eq(judge_in_jail(HIDDEN_USER, "/home/x.so"), EPERM);
	mode("home", 0755);
	/* The number is the same, but the user may be a different one. */
	jail_euid_is_hidden = true;
	ck_assert_int_eq(judge_in_jail(STRANGER, "/home/x.so"), EPERM);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), 0);
	jail_euid_is_hidden = false;
	finish();
}
END_TEST

/* A number that stands for hidden users cannot be judged then, which says nothing about the file. */
START_TEST(lack_of_descriptors_is_not_reported_as_distrust)
{
	start();
	trust.euid = geteuid();
	trust.hides_owners = true;
	trust.hidden_uid = geteuid();
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	unit_leave_descriptors(0);
	refuses(scratch_path("d/x.so"), EMFILE, "Too many open files");
	unit_leave_descriptors(-1);
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	trust.userns_err = -ENFILE;
	refuses(scratch_path("d/x.so"), ENFILE, "/proc/self/uid_map: Too many open files in system");
	finish();
}
END_TEST

START_TEST(hidden_owner_below_a_visible_one_below_a_hidden_one_is_refused)
{
	if (!make_jail())
		return;
	own("plugins", STRANGER);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
	own("plugins", 0);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
	own("plugins", HIDDEN_USER);
	own("plugins/x.so", STRANGER);
	ck_assert_int_eq(judge_in_jail(STRANGER, "/plugins/x.so"), EPERM);
	finish();
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A user namespace that the kernel creates
 */

/* A shell is a file of the system that belongs to root, like all directories above it. */
static char system_file[PATH_MAX], system_directory[PATH_MAX];

static bool find_system_file(void)
{
	const struct zp_trust strict = { .euid = 0 };
	if (zp_trust_resolve(&strict, "/bin/sh", system_file, why, sizeof(why)) != 0)
		return false;
	strcpy(system_directory, system_file);
	*strrchr(system_directory, '/') = '\0';
	return true;
}

/* Each text is written in one call, because the kernel requires that. */
static bool write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

/* Becomes an ordinary user in a new namespace, with a mapping of that user or without any mapping. */
static void enter_namespace(bool mapped)
{
	char map[64];
	uid_t uid = geteuid() ? geteuid() : STRANGER;
	/* The files in /proc of a process that changed its user belong to root, unless the process is dumpable. */
	if ((geteuid() == 0 && setuid(uid) != 0) || prctl(PR_SET_DUMPABLE, 1) != 0 || unshare(CLONE_NEWUSER) != 0)
		_exit(77);
	(void)snprintf(map, sizeof(map), "0 %lu 1", (unsigned long)uid);
	if (mapped && !write_to("/proc/self/uid_map", map))
		_exit(77);
}

static bool check_namespace(bool mapped)
{
	enter_namespace(mapped);
	zp_trust_self(&trust);
	if (!trust.hides_owners || trust.euid != (mapped ? 0 : trust.hidden_uid) || !trust.hidden_owner_dir)
		return false;
	if (zp_trust_resolve(&trust, system_file, resolved, why, sizeof(why)) != -EPERM)
		return false;
	trust.hidden_owner_dir = system_directory;
	if (zp_trust_resolve(&trust, system_file, resolved, why, sizeof(why)) != 0)
		return false;
	/* The directory belongs to root, but is world-writable. */
	trust.hidden_owner_dir = "";
	return zp_trust_resolve_directory(&trust, "/tmp", resolved, why, sizeof(why)) == -EPERM;
}

static void expect_in_namespace(bool mapped)
{
	int status;
	if (!unit_may_fork() || !find_system_file())
		return;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(check_namespace(mapped) ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		printf("loader/trust_hidden: user namespaces cannot be created here, so this case is skipped\n");
	else
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(root_is_hidden_in_a_namespace_without_a_map)
{
	expect_in_namespace(false);
}
END_TEST

START_TEST(root_is_hidden_in_a_namespace_of_one_user)
{
	expect_in_namespace(true);
}
END_TEST

static int judge_as_hidden_root(void)
{
	int status;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) != 0)
			_exit(77);
		zp_trust_self(&trust);
		_exit(-zp_trust_resolve(&trust, scratch_path("d/x.so"), resolved, why, sizeof(why)));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(root_in_a_namespace_without_a_map_knows_its_own_files)
{
	start();
	if (geteuid() == 0 && unit_may_fork() && judge_as_hidden_root() != 77) {
		ck_assert_int_eq(judge_as_hidden_root(), 0);
		own("d/x.so", STRANGER);
		ck_assert_int_eq(judge_as_hidden_root(), EPERM);
		own("d/x.so", 0);
		own("d", STRANGER);
		ck_assert_int_eq(judge_as_hidden_root(), EPERM);
	}
	finish();
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Access control lists
 */

/*
 * Sets a list that lets the owner write and the group and others only read, with one entry for a user (tag 2) or a
 * group (tag 8). Returns false if the file system has no lists.
 */
static bool set_list(const char *entry, unsigned char tag, unsigned char perm, unsigned int id, unsigned char mask)
{
	unsigned char list[4 + 5 * 8] = { 2 };
	const unsigned char rows[5][8] = {
		{ 0x01, 0, 7, 0, 0xff, 0xff, 0xff, 0xff },
		{ tag, 0, perm, 0, (unsigned char)id, (unsigned char)(id >> 8), 0, 0 },
		{ 0x04, 0, 5, 0, 0xff, 0xff, 0xff, 0xff },
		{ 0x10, 0, mask, 0, 0xff, 0xff, 0xff, 0xff },
		{ 0x20, 0, 5, 0, 0xff, 0xff, 0xff, 0xff },
	};
	/* The entry of a user precedes that of the owning group, and the entry of a group follows it. */
	const int order[5] = { 0, tag == 2 ? 1 : 2, tag == 2 ? 2 : 1, 3, 4 };
	for (int i = 0; i < 5; i++)
		memcpy(list + 4 + 8 * i, rows[order[i]], 8);
	if (setxattr(scratch_path(entry), "system.posix_acl_access", list, sizeof(list), 0) == 0)
		return true;
	ck_assert_msg(errno == ENOTSUP || errno == EPERM, "setxattr: %s", strerror(errno));
	printf("loader/trust_hidden: access control lists are not supported here, so this case is skipped\n");
	return false;
}

enum { NAMED_USER = 2, NAMED_GROUP = 8 };

START_TEST(file_that_an_acl_lets_another_user_or_group_write_is_refused)
{
	start();
	if (set_list("d/x.so", NAMED_USER, 6, STRANGER, 7)) {
		refuses(scratch_path("d/x.so"), EPERM,
			"d/x.so may be written by user 12345 through its access control list; remove that entry with setfacl -x u:12345");
		set_list("d/x.so", NAMED_GROUP, 7, STRANGER, 7);
		refuses(scratch_path("d/x.so"), EPERM, "by group 12345");
		/* The permission is missing in the mask, or in the entry. */
		set_list("d/x.so", NAMED_USER, 7, STRANGER, 5);
		trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
		set_list("d/x.so", NAMED_USER, 5, STRANGER, 7);
		trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
		set_list("d/x.so", NAMED_USER, 7, 0, 7);
		trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	}
	finish();
}
END_TEST

START_TEST(directory_that_an_acl_lets_another_user_write_is_refused)
{
	start();
	scratch_directory("d/e", 0755);
	scratch_file("d/e/y.so", 0644, "y", 1);
	if (set_list("d", NAMED_USER, 7, STRANGER, 7)) {
		refuses(scratch_path("d/x.so"), EPERM, "/d may be written by user 12345");
		refuses(scratch_path("d/e/y.so"), EPERM, "/d may be written by user 12345");
		/*
		 * Nobody can replace another user's entry in a sticky directory, but any user with write permission can
		 * add one.
		 */
		mode("d", 01775);
		trusts(scratch_path("d/e/y.so"), scratch_path("d/e/y.so"));
		refuses(scratch_path("d/x.so"), EPERM, "/d may be written by user 12345");
	}
	finish();
}
END_TEST

START_TEST(acl_may_name_the_effective_user_but_not_in_a_privileged_program)
{
	start();
	if (set_list("d/x.so", NAMED_USER, 7, trust.euid & 0xffff, 7) && trust.euid <= 0xffff) {
		trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
		trust.secure = true;
		if (geteuid() == 0)
			refuses(scratch_path("d/x.so"), EPERM, "may be written by user");
		/* For root, a group-writable file is refused whatever the list contains. */
		trust = (struct zp_trust){ .euid = 0 };
		if (geteuid() == 0) {
			refuses(scratch_path("d/x.so"), EPERM, "may be written by user 4242");
			set_list("d/x.so", NAMED_USER, 7, 0, 7);
			refuses(scratch_path("d/x.so"), EPERM, "group-writable");
		}
	}
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		hidden_owner_is_neither_root_nor_the_effective_user,
		hidden_owners_are_trusted_only_in_the_system_directory,
		hidden_owners_are_refused_in_other_directories,
		hidden_owners_are_refused_if_another_user_may_write,
		process_of_a_hidden_user_trusts_its_own_files,
		lack_of_descriptors_is_not_reported_as_distrust,
		hidden_owner_below_a_visible_one_below_a_hidden_one_is_refused,
		root_is_hidden_in_a_namespace_without_a_map,
		root_is_hidden_in_a_namespace_of_one_user,
		root_in_a_namespace_without_a_map_knows_its_own_files,
		file_that_an_acl_lets_another_user_or_group_write_is_refused,
		directory_that_an_acl_lets_another_user_write_is_refused,
		acl_may_name_the_effective_user_but_not_in_a_privileged_program,
	};
	return UNIT_RUN("loader/trust_hidden", tests);
}
