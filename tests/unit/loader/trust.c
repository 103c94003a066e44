/* SPDX-License-Identifier: MIT
 *
 * Real directories and links, checked for users that the tests invent. Cases that need a different owner require root
 * and are skipped for other users.
 */
#include "config.h"

#include "loader/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/loader/trust_fixture.h"

enum { STRANGER = 12345 };

START_TEST(plain_file_is_trusted_and_resolved_to_itself)
{
	start();
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	finish();
}
END_TEST

START_TEST(self_is_the_effective_user)
{
	zp_trust_self(&trust);
	ck_assert_uint_eq(trust.euid, geteuid());
	ck_assert(!trust.secure);
}
END_TEST

START_TEST(absent_file_or_directory_is_reported_with_its_path)
{
	start();
	refuses(scratch_path("d/none.so"), ENOENT, "d/none.so: No such file");
	refuses(scratch_path("none/x.so"), ENOENT, "/none: No such file");
	refuses(scratch_path("d/x.so/y.so"), ENOTDIR, "Not a directory");
	finish();
}
END_TEST

START_TEST(relative_and_empty_paths_are_refused)
{
	start();
	refuses("x.so", EINVAL, "x.so: Invalid argument");
	refuses("./x.so", EINVAL, "Invalid argument");
	refuses("", EINVAL, "Invalid argument");
	finish();
}
END_TEST

START_TEST(path_of_path_max_bytes_is_too_long)
{
	char *path = malloc(PATH_MAX + 2);
	start();
	/* Repeated slashes count for the length of the path, but not for the name. */
	memset(path, '/', PATH_MAX + 1);
	size_t length = strlen(scratch_path("d/x.so"));
	strcpy(path + PATH_MAX - 1 - length, scratch_path("d/x.so"));
	trusts(path, scratch_path("d/x.so"));
	memset(path, '/', PATH_MAX + 1);
	strcpy(path + PATH_MAX - length, scratch_path("d/x.so"));
	refuses(path, ENAMETOOLONG, "the path: File name too long");
	free(path);
	finish();
}
END_TEST

START_TEST(component_that_is_too_long_is_reported)
{
	char name[400];
	start();
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	refuses(scratch_path(name), ENAMETOOLONG, "File name too long");
	finish();
}
END_TEST

START_TEST(dots_and_double_slashes_are_resolved)
{
	char path[PATH_MAX];
	start();
	(void)snprintf(path, sizeof(path), "%s//.///d/./../d//x.so", scratch_path(""));
	trusts(path, scratch_path("d/x.so"));
	(void)snprintf(path, sizeof(path), "/../..%s", scratch_path("d/x.so"));
	trusts(path, scratch_path("d/x.so"));
	finish();
}
END_TEST

START_TEST(irregular_file_is_refused)
{
	start();
	refuses(scratch_path("d"), ENOEXEC, "is not a regular file");
	refuses("/", ENOEXEC, "/ is not a regular file");
	refuses("/..", ENOEXEC, "/ is not a regular file");
	/* Its mode is as it should be, so no advice may be given to change it. */
	refuses("/dev/null", ENOEXEC, "/dev/null is not a regular file");
	ck_assert_int_eq(mkfifo(scratch_path("d/fifo.so"), 0600), 0);
	refuses(scratch_path("d/fifo.so"), ENOEXEC, "d/fifo.so is not a regular file");
	finish();
}
END_TEST

START_TEST(world_writable_file_is_refused)
{
	start();
	mode("d/x.so", 0646);
	refuses(scratch_path("d/x.so"), EPERM, "d/x.so is world-writable; chmod o-w it");
	mode("d/x.so", 01646);
	refuses(scratch_path("d/x.so"), EPERM, "file ");
	finish();
}
END_TEST

START_TEST(world_writable_directory_is_refused)
{
	start();
	mode("d", 0757);
	refuses(scratch_path("d/x.so"), EPERM, "directory ");
	assert_contains(why, "/d is world-writable; chmod o-w it");
	finish();
}
END_TEST

START_TEST(sticky_directory_is_trusted_only_as_an_ancestor)
{
	start();
	scratch_directory("d/e", 0755);
	scratch_file("d/e/y.so", 0644, "y", 1);
	mode("d", 01777);
	trusts(scratch_path("d/e/y.so"), scratch_path("d/e/y.so"));
	refuses(scratch_path("d/x.so"), EPERM, "/d is world-writable");
	finish();
}
END_TEST

/* The result must not depend on how the path is written. */
START_TEST(sticky_directory_of_the_file_is_refused_in_every_spelling)
{
	start();
	scratch_directory("d/e", 0755);
	mode("d", 01777);
	refuses(scratch_path("d/./x.so"), EPERM, "/d is world-writable");
	refuses(scratch_path("d//x.so"), EPERM, "/d is world-writable");
	refuses(scratch_path("d/e/../x.so"), EPERM, "/d is world-writable");
	refuses(scratch_path("d/x.so/"), EPERM, "/d is world-writable");
	scratch_directory("safe", 0755);
	scratch_link("safe/x.so", scratch_path("d/x.so"));
	refuses(scratch_path("safe/x.so"), EPERM, "/d is world-writable");
	scratch_link("safe/y.so", "../d/x.so");
	refuses(scratch_path("safe/y.so"), EPERM, "/d is world-writable");
	scratch_link("dir", "d/.");
	refuses(scratch_path("dir/x.so"), EPERM, "/d is world-writable");
	/* Anybody could also create a link in such a directory. */
	scratch_file("safe/z.so", 0644, "z", 1);
	scratch_link("d/z.so", "../safe/z.so");
	refuses(scratch_path("d/z.so"), EPERM, "/d is world-writable");
	refuses(scratch_path("d/./z.so"), EPERM, "/d is world-writable");
	trusts(scratch_path("safe/z.so"), scratch_path("safe/z.so"));
	finish();
}
END_TEST

START_TEST(group_writable_is_refused_for_root_and_privileged_programs_only)
{
	start();
	mode("d/x.so", 0664);
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	trust.euid = 0;
	if (geteuid() == 0)
		refuses(scratch_path("d/x.so"), EPERM,
			"d/x.so is group-writable, which is refused for privileged users");
	mode("d/x.so", 0644);
	mode("d", 0775);
	if (geteuid() == 0)
		refuses(scratch_path("d/x.so"), EPERM, "/d is group-writable");
	trust.euid = 4242;
	trust.secure = true;
	if (geteuid() == 0)
		refuses(scratch_path("d/x.so"), EPERM, "/d is group-writable");
	trust.secure = false;
	trust.euid = geteuid() ? geteuid() : 4242;
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	finish();
}
END_TEST

static void own(const char *entry, uid_t uid)
{
	ck_assert_int_eq(lchown(scratch_path(entry), uid, (gid_t)-1), 0);
}

START_TEST(file_directory_or_link_of_another_user_is_refused)
{
	start();
	if (geteuid() != 0) {
		finish();
		return;
	}
	own("d/x.so", STRANGER);
	refuses(scratch_path("d/x.so"), EPERM, "d/x.so belongs to user 12345, who is neither root nor you");
	own("d/x.so", 0);
	own("d", STRANGER);
	refuses(scratch_path("d/x.so"), EPERM, "directory ");
	assert_contains(why, "belongs to user 12345");
	own("d", 0);
	scratch_link("l.so", "d/x.so");
	trusts(scratch_path("l.so"), scratch_path("d/x.so"));
	own("l.so", STRANGER);
	refuses(scratch_path("l.so"), EPERM, "l.so belongs to user 12345");
	finish();
}
END_TEST

START_TEST(own_files_are_trusted_but_not_in_a_privileged_program)
{
	start();
	if (geteuid() != 0) {
		finish();
		return;
	}
	trust.euid = STRANGER;
	own("d/x.so", STRANGER);
	own("d", STRANGER);
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	trust.secure = true;
	refuses(scratch_path("d/x.so"), EPERM, "neither root (required in a privileged program)");
	own("d", 0);
	own("d/x.so", 0);
	trusts(scratch_path("d/x.so"), scratch_path("d/x.so"));
	finish();
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Directories from which files are loaded
 */

static void directory_is(const char *path, int err, const char *reason)
{
	why[0] = '\0';
	ck_assert_int_eq(zp_trust_resolve_directory(&trust, path, resolved, why, sizeof(why)), -err);
	assert_contains(why, reason);
}

START_TEST(directory_of_files_is_checked_like_that_of_a_single_file)
{
	start();
	directory_is(scratch_path("d"), 0, "");
	ck_assert_str_eq(resolved, scratch_path("d"));
	directory_is(scratch_path("d/."), 0, "");
	mode("d", 01777);
	directory_is(scratch_path("d"), EPERM, "/d is world-writable");
	directory_is(scratch_path("d/."), EPERM, "/d is world-writable");
	directory_is(scratch_path("d/../d/"), EPERM, "/d is world-writable");
	mode("d", 0755);
	directory_is(scratch_path("d/x.so"), ENOTDIR, "is not a directory");
	directory_is("/", 0, "");
	finish();
}
END_TEST

START_TEST(missing_directory_is_refused_if_others_could_create_it)
{
	start();
	directory_is(scratch_path("d/none"), ENOENT, "d/none: No such file");
	directory_is(scratch_path("d/none/below"), ENOENT, "d/none: No such file");
	mode("d", 01777);
	directory_is(scratch_path("d/none"), EPERM, "/d is world-writable");
	directory_is(scratch_path("d/none/below"), EPERM, "/d is world-writable");
	mode("d", 0755);
	scratch_directory("open", 01777);
	scratch_link("d/link", "../open/none");
	directory_is(scratch_path("d/link"), EPERM, "/open is world-writable");
	finish();
}
END_TEST

START_TEST(links_are_followed_and_their_targets_are_checked)
{
	start();
	scratch_link("file.so", "d/x.so");
	trusts(scratch_path("file.so"), scratch_path("d/x.so"));
	scratch_link("absolute.so", scratch_path("d/x.so"));
	trusts(scratch_path("absolute.so"), scratch_path("d/x.so"));
	scratch_link("dir", "d");
	trusts(scratch_path("dir/x.so"), scratch_path("d/x.so"));
	scratch_link("up", "d/../d");
	trusts(scratch_path("up/x.so"), scratch_path("d/x.so"));
	scratch_link("twice", "dir/x.so");
	trusts(scratch_path("twice"), scratch_path("d/x.so"));
	scratch_link("dangling.so", "d/none.so");
	refuses(scratch_path("dangling.so"), ENOENT, "d/none.so: No such file");
	mode("d", 0757);
	refuses(scratch_path("twice"), EPERM, "/d is world-writable");
	finish();
}
END_TEST

START_TEST(missing_target_of_a_link_is_refused_if_others_could_create_it)
{
	start();
	scratch_directory("sticky", 01777);
	scratch_link("d/y.so", "../sticky/none.so");
	refuses(scratch_path("d/y.so"), EPERM, "/sticky is world-writable");
	scratch_link("d/z.so", "../sticky/none/z.so");
	refuses(scratch_path("d/z.so"), EPERM, "/sticky is world-writable");
	mode("sticky", 0755);
	refuses(scratch_path("d/y.so"), ENOENT, "sticky/none.so: No such file");
	refuses(scratch_path("d/z.so"), ENOENT, "sticky/none: No such file");
	finish();
}
END_TEST

/* Its owner could replace it by a directory after the check. */
START_TEST(irregular_file_of_another_user_in_the_place_of_a_directory_is_refused)
{
	start();
	scratch_directory("sticky", 01777);
	ck_assert_int_eq(mkfifo(scratch_path("sticky/fifo"), 0600), 0);
	scratch_link("d/y.so", "../sticky/fifo/y.so");
	refuses(scratch_path("d/y.so"), ENOTDIR, "sticky/fifo/y.so: Not a directory");
	directory_is(scratch_path("sticky/fifo/lib"), ENOTDIR, "Not a directory");
	if (geteuid() == 0) {
		own("sticky/fifo", STRANGER);
		refuses(scratch_path("d/y.so"), EPERM, "sticky/fifo belongs to user 12345");
		directory_is(scratch_path("sticky/fifo/lib"), EPERM, "sticky/fifo belongs to user 12345");
	}
	finish();
}
END_TEST

START_TEST(parent_of_a_link_is_the_targets_parent)
{
	start();
	scratch_directory("d/e", 0755);
	scratch_file("x.so", 0644, "other", 5);
	scratch_link("to_e", "d/e");
	trusts(scratch_path("to_e/../x.so"), scratch_path("d/x.so"));
	finish();
}
END_TEST

START_TEST(circular_links_are_reported)
{
	start();
	scratch_link("a", "b");
	scratch_link("b", "a");
	refuses(scratch_path("a"), ELOOP, "Too many levels of symbolic links");
	scratch_link("self", "self/x");
	refuses(scratch_path("self"), ELOOP, "Too many levels of symbolic links");
	finish();
}
END_TEST

START_TEST(forty_links_are_the_maximum)
{
	char name[16], target[16];
	start();
	scratch_link("l1", "d/x.so");
	for (int i = 2; i <= 41; i++) {
		(void)snprintf(name, sizeof(name), "l%d", i);
		(void)snprintf(target, sizeof(target), "l%d", i - 1);
		scratch_link(name, target);
	}
	trusts(scratch_path("l40"), scratch_path("d/x.so"));
	refuses(scratch_path("l41"), ELOOP, "Too many levels");
	finish();
}
END_TEST

START_TEST(links_that_exceed_path_max_are_reported)
{
	char target[2048], path[PATH_MAX];
	start();
	memset(target, '/', sizeof(target));
	strcpy(target + sizeof(target) - 2, "d");
	target[0] = '.';
	scratch_link("long", target);
	memset(path, 'x', sizeof(path));
	int length = snprintf(path, sizeof(path), "%s/", scratch_path("long"));
	for (size_t i = (size_t)length; i < sizeof(path) - 1; i++)
		path[i] = '/';
	path[sizeof(path) - 2] = 'x';
	path[sizeof(path) - 1] = '\0';
	refuses(path, ENAMETOOLONG, "File name too long");
	finish();
}
END_TEST

START_TEST(short_buffer_for_the_reason_is_not_overrun)
{
	char little[8];
	start();
	memset(little, 'z', sizeof(little));
	ck_assert_int_eq(zp_trust_resolve(&trust, scratch_path("d/none.so"), resolved, little, 5), -ENOENT);
	ck_assert_uint_eq(strlen(little), 4);
	ck_assert_int_eq(little[5], 'z');
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		plain_file_is_trusted_and_resolved_to_itself,
		self_is_the_effective_user,
		absent_file_or_directory_is_reported_with_its_path,
		relative_and_empty_paths_are_refused,
		path_of_path_max_bytes_is_too_long,
		component_that_is_too_long_is_reported,
		dots_and_double_slashes_are_resolved,
		irregular_file_is_refused,
		world_writable_file_is_refused,
		world_writable_directory_is_refused,
		sticky_directory_is_trusted_only_as_an_ancestor,
		sticky_directory_of_the_file_is_refused_in_every_spelling,
		group_writable_is_refused_for_root_and_privileged_programs_only,
		file_directory_or_link_of_another_user_is_refused,
		own_files_are_trusted_but_not_in_a_privileged_program,
		directory_of_files_is_checked_like_that_of_a_single_file,
		missing_directory_is_refused_if_others_could_create_it,
		links_are_followed_and_their_targets_are_checked,
		missing_target_of_a_link_is_refused_if_others_could_create_it,
		irregular_file_of_another_user_in_the_place_of_a_directory_is_refused,
		parent_of_a_link_is_the_targets_parent,
		circular_links_are_reported,
		forty_links_are_the_maximum,
		links_that_exceed_path_max_are_reported,
		short_buffer_for_the_reason_is_not_overrun,
	};
	return UNIT_RUN("loader/trust", tests);
}
