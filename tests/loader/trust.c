/* SPDX-License-Identifier: MIT
 *
 * The loader trusts files by their owners and permissions.  The tests call zpool_create_pool() as the user who runs
 * them, and zp_trust_resolve() as other users.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "loader/trust.h"

enum { OTHER_USER = 12345, OVERFLOW_USER = 65534 };

static char why[PATH_MAX + 160];
static char resolved[PATH_MAX];

/* Checks a path as the user who runs the test. */
static int resolve(const char *path)
{
	struct zp_trust trust;
	zp_trust_self(&trust);
	why[0] = '\0';
	return zp_trust_resolve(&trust, path, resolved, why, sizeof(why));
}

static int resolve_as(struct zp_trust trust, const char *path)
{
	why[0] = '\0';
	return zp_trust_resolve(&trust, path, resolved, why, sizeof(why));
}

#define expect_why(text) ck_assert_msg(strstr(why, (text)) != NULL, "\"%s\" is not in \"%s\"", (text), why)

static bool is_root(const char *test)
{
	if (geteuid() == 0)
		return true;
	fixture_skip(test, "only root can give files away");
	return false;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Writable by others
 */

START_TEST(a_world_writable_file_is_refused)
{
	const char *path = fixture_install("good");
	ck_assert_int_eq(chmod(path, 0646), 0);
	expect_refused("good", EPERM, "good.so is world-writable", "chmod o-w");
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
	ck_assert_int_eq(chmod(path, 0644), 0);
	expect_works("good");
}
END_TEST

START_TEST(a_world_writable_directory_is_refused)
{
	fixture_install("good");
	ck_assert_int_eq(chmod(fixture_dir(), 0757), 0);
	expect_refused("good", EPERM, "directory", "plugins is world-writable");
	ck_assert_int_eq(chmod(fixture_dir(), 0755), 0);
	expect_works("good");
}
END_TEST

START_TEST(sticky_bit_does_not_make_the_plugins_directory_trusted)
{
	fixture_install("good");
	ck_assert_int_eq(chmod(fixture_dir(), 01777), 0);
	expect_refused("good", EPERM, "directory", "plugins is world-writable");
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
}
END_TEST

START_TEST(a_world_writable_directory_further_up_is_refused_unless_it_is_sticky)
{
	const char *open = fixture_make_dir("open", 0777);
	const char *inner = fixture_make_dir("open/plugins", 0755);
	fixture_install_as("good", fixture_text("%s/good.so", inner));
	ck_assert_int_eq(zpool_set_plugin_path(inner), 0);
	expect_refused("good", EPERM, "directory", "open is world-writable");
	ck_assert_int_eq(chmod(open, 01777), 0);
	expect_works("good");
}
END_TEST

/* A path may name the directory in several ways. */
START_TEST(dots_do_not_hide_a_sticky_directory)
{
	const char *sticky = fixture_make_dir("sticky", 01777);
	fixture_make_dir("sticky/inner", 0755);
	fixture_install_as("good", fixture_text("%s/good.so", sticky));

	static const char *const ways[] = { "sticky",          "sticky/",           "sticky/.", "sticky/./.",
					    "sticky/inner/..", "plugins/../sticky", "sticky//" };
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s/%s", fixture_root(), ways[i])), 0);
		expect_refused("good", EPERM, "sticky is world-writable");
	}
	ck_assert_int_eq(zpool_set_plugin_path(fixture_dir()), 0);
	ck_assert_int_eq(symlink("../sticky/./good.so", fixture_text("%s/good.so", fixture_dir())), 0);
	expect_refused("good", EPERM, "sticky is world-writable");
}
END_TEST

START_TEST(group_writable_file_is_refused_only_to_root)
{
	const char *path = fixture_install("good");
	const struct zp_trust user = { .euid = geteuid() ? geteuid() : 1000 };

	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_msg(resolve_as(user, path) == 0, "%s", why);
	if (geteuid() == 0)
		expect_refused("good", EPERM, "good.so is group-writable", "chmod g-w");
	else
		expect_works("good");
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(chmod(fixture_dir(), 0775), 0);
	ck_assert_msg(resolve_as(user, path) == 0, "%s", why);
	if (geteuid() == 0)
		expect_refused("good", EPERM, "plugins is group-writable", "chmod g-w");
	else
		expect_works("good");
}
END_TEST

START_TEST(group_writable_file_is_refused_in_a_privileged_program)
{
	if (!is_root("group_writable_file_is_refused_in_a_privileged_program"))
		return;
	const char *path = fixture_install("good");
	const struct zp_trust secure = { .euid = 1000, .secure = true };
	ck_assert_msg(resolve_as(secure, path) == 0, "%s", why);
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_int_eq(resolve_as(secure, path), -EPERM);
	expect_why("group-writable");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Owners
 */

START_TEST(file_of_another_user_is_refused)
{
	if (!is_root("file_of_another_user_is_refused"))
		return;
	const char *path = fixture_install("good");
	ck_assert_int_eq(chown(path, OTHER_USER, 0), 0);
	expect_refused("good", EPERM, "good.so belongs to user 12345", "neither root nor you");
	/* The loader trusts the file if that user runs the program. */
	ck_assert_msg(resolve_as((struct zp_trust){ .euid = OTHER_USER }, path) == 0, "%s", why);
}
END_TEST

START_TEST(directory_of_another_user_is_refused)
{
	if (!is_root("directory_of_another_user_is_refused"))
		return;
	fixture_install("good");
	ck_assert_int_eq(chown(fixture_dir(), OTHER_USER, 0), 0);
	expect_refused("good", EPERM, "plugins belongs to user 12345");
	ck_assert_int_eq(chown(fixture_dir(), 0, 0), 0);
	ck_assert_int_eq(chown(fixture_root(), OTHER_USER, 0), 0);
	expect_refused("good", EPERM, "belongs to user 12345");
	ck_assert_int_eq(chown(fixture_root(), 0, 0), 0);
	expect_works("good");
}
END_TEST

START_TEST(link_of_another_user_is_refused)
{
	if (!is_root("link_of_another_user_is_refused"))
		return;
	const char *link = fixture_text("%s/good.so", fixture_dir());
	fixture_install_as("good", fixture_text("%s/elsewhere.so", fixture_root()));
	ck_assert_int_eq(symlink("../elsewhere.so", link), 0);
	ck_assert_int_eq(lchown(link, OTHER_USER, 0), 0);
	expect_refused("good", EPERM, "good.so belongs to user 12345");
}
END_TEST

START_TEST(privileged_program_loads_only_files_of_root)
{
	if (!is_root("privileged_program_loads_only_files_of_root"))
		return;
	const char *path = fixture_install("good");
	const struct zp_trust secure = { .euid = OTHER_USER, .secure = true };
	ck_assert_msg(resolve_as(secure, path) == 0, "%s", why);
	ck_assert_int_eq(chown(path, OTHER_USER, 0), 0);
	ck_assert_int_eq(resolve_as(secure, path), -EPERM);
	expect_why("privileged program");
}
END_TEST

START_TEST(the_overflow_user_of_a_user_namespace_is_not_taken_for_root)
{
	if (!is_root("the_overflow_user_of_a_user_namespace_is_not_taken_for_root"))
		return;
	const char *path = fixture_install("good");
	struct zp_trust trust = { .euid = 1000 };
	ck_assert_int_eq(chown(path, OVERFLOW_USER, 0), 0);
	ck_assert_int_eq(resolve_as(trust, path), -EPERM);
	expect_why("belongs to user 65534");
	trust.hides_owners = true;
	trust.hidden_uid = OVERFLOW_USER;
	ck_assert_int_eq(resolve_as(trust, path), -EPERM);
	expect_why("no mapping in this user namespace");
}
END_TEST

START_TEST(trust_is_checked_for_the_effective_user)
{
	struct zp_trust trust;
	zp_trust_self(&trust);
	ck_assert_uint_eq(trust.euid, geteuid());
	ck_assert(trust.secure == zp_is_secure());
	ck_assert(!trust.secure);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Links
 */

START_TEST(a_chain_of_links_is_followed_to_its_end)
{
	fixture_make_dir("a", 0755);
	fixture_make_dir("b", 0755);
	const char *file = fixture_install_as("good", fixture_text("%s/b/code", fixture_root()));
	ck_assert_int_eq(symlink("../b", fixture_text("%s/a/up", fixture_root())), 0);
	ck_assert_int_eq(
		symlink(fixture_text("%s/a/up/code", fixture_root()), fixture_text("%s/a/second", fixture_root())), 0);
	ck_assert_int_eq(symlink("./.././a//second", fixture_text("%s/good.so", fixture_dir())), 0);

	ck_assert_msg(resolve(fixture_text("%s/good.so", fixture_dir())) == 0, "%s", why);
	ck_assert_str_eq(resolved, realpath(file, (char[PATH_MAX]){ 0 }));
	expect_works("good");
}
END_TEST

START_TEST(a_link_into_a_directory_that_others_may_write_is_refused)
{
	const char *open = fixture_make_dir("open", 0777);
	fixture_install_as("good", fixture_text("%s/good.so", open));
	ck_assert_int_eq(symlink("../open/good.so", fixture_text("%s/good.so", fixture_dir())), 0);
	expect_refused("good", EPERM, "open is world-writable");
	/* The same applies to a directory that is reached through a link. */
	ck_assert_int_eq(symlink("open", fixture_text("%s/linked", fixture_root())), 0);
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s/linked", fixture_root())), 0);
	expect_refused("good", EPERM, "open is world-writable");
}
END_TEST

START_TEST(circular_links_are_named)
{
	ck_assert_int_eq(symlink("other.so", fixture_text("%s/good.so", fixture_dir())), 0);
	ck_assert_int_eq(symlink("good.so", fixture_text("%s/other.so", fixture_dir())), 0);
	expect_refused("good", ELOOP, "Too many levels of symbolic links", ".so");
}
END_TEST

START_TEST(forty_links_are_followed)
{
	enum { MOST = 40 };
	fixture_install_as("good", fixture_text("%s/link0", fixture_root()));
	for (int i = 1; i <= MOST + 1; i++)
		ck_assert_int_eq(symlink(fixture_text("link%d", i - 1), fixture_text("%s/link%d", fixture_root(), i)),
				 0);
	ck_assert_msg(resolve(fixture_text("%s/link%d", fixture_root(), MOST)) == 0, "%s", why);
	ck_assert_int_eq(resolve(fixture_text("%s/link%d", fixture_root(), MOST + 1)), -ELOOP);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Paths
 */

START_TEST(path_without_a_plugin_is_named_in_the_message)
{
	ck_assert_int_eq(resolve(fixture_text("%s/gone.so", fixture_dir())), -ENOENT);
	expect_why("gone.so");
	const char *path = fixture_install("good");
	ck_assert_int_eq(resolve(fixture_text("%s/below", path)), -ENOTDIR);
	ck_assert_int_eq(resolve("relative/path"), -EINVAL);
	ck_assert_int_eq(resolve("/"), -ENOEXEC);
	ck_assert_int_eq(resolve(fixture_dir()), -ENOEXEC);
	expect_why("not a regular file");
}
END_TEST

START_TEST(paths_and_links_too_long_for_the_system_are_refused)
{
	char *path = malloc(2 * PATH_MAX);
	memset(path, 'x', 2 * PATH_MAX);
	path[0] = '/';
	path[2 * PATH_MAX - 1] = '\0';
	ck_assert_int_eq(resolve(path), -ENAMETOOLONG);
	path[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(resolve(path), -ENAMETOOLONG);
	free(path);

	/* The link's target is short enough alone, but too long with the rest of the path. */
	char target[PATH_MAX];
	memset(target, '/', sizeof(target));
	target[PATH_MAX - 2] = '.';
	target[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(symlink(target, fixture_text("%s/long", fixture_root())), 0);
	ck_assert_int_eq(resolve(fixture_text("%s/long/etc/passwd", fixture_root())), -ENAMETOOLONG);
}
END_TEST

/* The link in the middle directory and its target are short enough, but the path that they lead to is not. */
START_TEST(path_that_becomes_too_long_behind_a_link_is_refused)
{
	enum { LEVELS = 16, NAME_BYTES = 240, LAST_BYTES = 255 };
	char path[PATH_MAX], target[PATH_MAX] = "";
	const char *link = NULL;
	size_t length = (size_t)snprintf(path, sizeof(path), "%s", fixture_root());

	for (int i = 0; i < LEVELS; i++) {
		if (i == LEVELS / 2)
			link = fixture_text("%s/link", path);
		length += (size_t)snprintf(path + length, sizeof(path) - length, "/%0*d", NAME_BYTES, i);
		ck_assert_int_eq(mkdir(path, 0755), 0);
		if (i >= LEVELS / 2)
			(void)snprintf(target + strlen(target), sizeof(target) - strlen(target), "%0*d/", NAME_BYTES,
				       i);
	}
	(void)snprintf(target + strlen(target), sizeof(target) - strlen(target), "%0*d", LAST_BYTES, 0);
	ck_assert_uint_gt(length + 1 + LAST_BYTES, PATH_MAX);
	ck_assert_int_eq(symlink(target, link), 0);
	ck_assert_int_eq(resolve(link), -ENAMETOOLONG);
	expect_why("File name too long");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Libraries that a plugin needs
 */

static const char *install_with_library(void)
{
	const char *near = fixture_text("%s/near", fixture_dir());
	fixture_install("needs_near");
	ck_assert_int_eq(mkdir(near, 0755), 0);
	fixture_install_as("liblate", fixture_text("%s/liblate.so", near));
	return near;
}

START_TEST(a_library_in_the_plugins_run_path_is_judged_before_it_is_loaded)
{
	const char *near = install_with_library();
	const char *library = fixture_text("%s/liblate.so", near);

	ck_assert_int_eq(chmod(near, 0757), 0);
	expect_refused("needs_near", EPERM, "needs_near.so: it takes libraries from \"$ORIGIN/near\", and directory ",
		       "near is world-writable; chmod o-w it");
	ck_assert_int_eq(chmod(near, 0755), 0);
	ck_assert_int_eq(chmod(library, 0646), 0);
	expect_refused("needs_near", EPERM, "it needs the library \"liblate.so\", and file ",
		       "liblate.so is world-writable");
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
	ck_assert(!fixture_is_mapped("liblate.so"));
	ck_assert_int_eq(chmod(library, 0644), 0);
	expect_works("needs_near");
}
END_TEST

static int find_needs_near(const struct zpool_driver_info *info, void *user)
{
	if (strcmp(info->type, "needs_near") == 0 && info->fault)
		strncat(user, info->fault, PATH_MAX - 1);
	return 0;
}

START_TEST(listing_checks_libraries_of_plugins)
{
	char fault[PATH_MAX] = "";
	const char *near = install_with_library();

	ck_assert_int_eq(zpool_each_driver(find_needs_near, fault), 0);
	ck_assert_str_eq(fault, "");
	ck_assert_int_eq(chmod(near, 0757), 0);
	ck_assert_int_eq(zpool_each_driver(find_needs_near, fault), 0);
	ck_assert_msg(strstr(fault, "near is world-writable") != NULL, "%s", fault);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("trust");
	tcase_add_test(tests, a_world_writable_file_is_refused);
	tcase_add_test(tests, a_world_writable_directory_is_refused);
	tcase_add_test(tests, sticky_bit_does_not_make_the_plugins_directory_trusted);
	tcase_add_test(tests, a_world_writable_directory_further_up_is_refused_unless_it_is_sticky);
	tcase_add_test(tests, dots_do_not_hide_a_sticky_directory);
	tcase_add_test(tests, group_writable_file_is_refused_only_to_root);
	tcase_add_test(tests, group_writable_file_is_refused_in_a_privileged_program);
	tcase_add_test(tests, file_of_another_user_is_refused);
	tcase_add_test(tests, directory_of_another_user_is_refused);
	tcase_add_test(tests, link_of_another_user_is_refused);
	tcase_add_test(tests, privileged_program_loads_only_files_of_root);
	tcase_add_test(tests, the_overflow_user_of_a_user_namespace_is_not_taken_for_root);
	tcase_add_test(tests, trust_is_checked_for_the_effective_user);
	tcase_add_test(tests, a_chain_of_links_is_followed_to_its_end);
	tcase_add_test(tests, a_link_into_a_directory_that_others_may_write_is_refused);
	tcase_add_test(tests, circular_links_are_named);
	tcase_add_test(tests, forty_links_are_followed);
	tcase_add_test(tests, path_without_a_plugin_is_named_in_the_message);
	tcase_add_test(tests, paths_and_links_too_long_for_the_system_are_refused);
	tcase_add_test(tests, path_that_becomes_too_long_behind_a_link_is_refused);
	tcase_add_test(tests, a_library_in_the_plugins_run_path_is_judged_before_it_is_loaded);
	tcase_add_test(tests, listing_checks_libraries_of_plugins);
	return fixture_run("trust", tests);
}
