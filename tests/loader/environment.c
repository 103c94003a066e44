/* SPDX-License-Identifier: MIT
 *
 * Programs run with another user's rights, or in a sandbox.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "zpool-driver.h"

enum { PLAIN_USER = 65534 };

static bool is_root(const char *test)
{
	if (geteuid() == 0)
		return true;
	fixture_skip(test, "only root can give a program more rights than its user has");
	return false;
}

/* Gives a program the capability to bind low ports, which the user who runs it lacks. */
static bool add_capability(const char *path)
{
	const struct vfs_cap_data data = { .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
					   .data[0].permitted = 1u << CAP_NET_BIND_SERVICE };

	return setxattr(path, XATTR_NAME_CAPS, &data, sizeof(data), 0) == 0;
}

static const struct {
	const char *name;
	mode_t mode;
	bool has_capability;
} privileges[] = {
	{ "a set-user-ID program", 04755, false },
	{ "a set-group-ID program", 02755, false },
	{ "a program with file capabilities", 0755, true },
};
enum { PRIVILEGES = sizeof(privileges) / sizeof(*privileges) };

/*
 * Makes a copy of the helper program that has more rights than the user who runs it.  If that is impossible here,
 * prints the reason and returns NULL.
 */
static const char *install_privileged_child(int kind)
{
	struct statvfs fs;
	size_t size;

	if (!is_root(privileges[kind].name))
		return NULL;
	if (statvfs(fixture_root(), &fs) != 0 || (fs.f_flag & ST_NOSUID)) {
		fixture_skip(privileges[kind].name, "temporary files are on a file system that grants no rights");
		return NULL;
	}
	const char *coverage = getenv("COVERAGE_CFLAGS");
	if (coverage && *coverage) {
		fixture_skip(privileges[kind].name,
			     "programs of this build report that another user cannot write their counters");
		return NULL;
	}
	const char *path = fixture_text("%s/privileged", fixture_root());
	const char *source = fixture_text("%s/tests/loader/child", getenv("abs_top_builddir"));
	const char *content = fixture_read(source, &size);
	fixture_write(path, content, size);
	ck_assert_int_eq(chmod(path, privileges[kind].mode), 0);
	if (privileges[kind].has_capability && !add_capability(path)) {
		fixture_skip(privileges[kind].name, strerror(errno));
		return NULL;
	}
	return path;
}

START_TEST(privileged_program_ignores_the_environment)
{
	const char *program = install_privileged_child(_i);
	if (!program)
		return;
	fixture_install("good");
	const char *user = fixture_text("%d", PLAIN_USER);
	const char *const plain[] = { "child", "path", NULL };
	const char *const path[] = { "child", "as", user, program, "path", NULL };
	const char *const create[] = { "child", "as", user, program, "create", "good", NULL };
	const char *const complain[] = { "child", "as", user, program, "complain", "good", NULL };
	const char *const environment[] = { fixture_text("ZPOOL_PLUGIN_PATH=%s", fixture_dir()), "ZPOOL_DEBUG=debug",
					    "LTDL_LIBRARY_PATH=.", NULL };
	const char *const nothing[] = { "ZPOOL_PLUGIN_PATH=", NULL };
	const char *built_in = fixture_spawn(plain, nothing, NULL).out;

	ck_assert_str_ne(built_in, fixture_text("%s\n", fixture_dir()));
	ck_assert_str_eq(fixture_spawn(plain, environment, NULL).out, fixture_text("%s\n", fixture_dir()));
	struct fixture_result result = fixture_spawn(path, environment, fixture_dir());
	ck_assert_msg(result.status == 0, "%s: status %d: %s", privileges[_i].name, result.status, result.err);
	ck_assert_msg(strcmp(result.out, built_in) == 0, "%s: %s", privileges[_i].name, result.out);
	result = fixture_spawn(create, environment, fixture_dir());
	ck_assert_msg(strncmp(result.out, "errno ", 6) == 0, "%s: %s", privileges[_i].name, result.out);
	ck_assert_ptr_null(strstr(result.out, fixture_dir()));
	ck_assert_str_eq(result.err, "");
	ck_assert_str_eq(fixture_spawn(complain, environment, fixture_dir()).err, "");
}
END_TEST

/* The program itself chose the path, so only root's plugins are trusted there. */
START_TEST(privileged_program_refuses_the_plugins_of_its_user)
{
	const char *program = install_privileged_child(_i);
	if (!program)
		return;
	const char *plugin = fixture_install("good");
	const char *const create[] = { "child", "as",        fixture_text("%d", PLAIN_USER),
				       program, "create-in", fixture_dir(),
				       "good",  NULL };
	const char *const no_change[] = { NULL };

	ck_assert_str_eq(fixture_spawn(create, no_change, NULL).out, "made good\n");
	ck_assert_int_eq(chown(plugin, PLAIN_USER, PLAIN_USER), 0);
	const char *out = fixture_spawn(create, no_change, NULL).out;
	ck_assert_msg(strstr(out, fixture_text("errno %d\n", EPERM)) && strstr(out, "required in a privileged program"),
		      "%s: %s", privileges[_i].name, out);
	ck_assert_int_eq(chown(plugin, 0, 0), 0);
	ck_assert_int_eq(chown(fixture_dir(), PLAIN_USER, PLAIN_USER), 0);
	out = fixture_spawn(create, no_change, NULL).out;
	ck_assert_msg(strstr(out, fixture_text("errno %d\n", EPERM)), "%s: %s", privileges[_i].name, out);
}
END_TEST

START_TEST(ordinary_user_loads_plugins_of_root_from_the_environments_path)
{
	if (geteuid() != 0) {
		fixture_skip("ordinary_user_loads_plugins_of_root_from_the_environments_path",
			     "only root can become another user");
		return;
	}
	size_t size;
	const char *path = fixture_install("good");
	const char *program = fixture_text("%s/plain", fixture_root());
	const char *content = fixture_read(fixture_text("%s/tests/loader/child", getenv("abs_top_builddir")), &size);
	fixture_write(program, content, size);
	ck_assert_int_eq(chmod(program, 0755), 0);
	const char *const argv[] = { "child", "as", fixture_text("%d", PLAIN_USER), program, "create", "good", NULL };
	const char *const environment[] = { fixture_text("ZPOOL_PLUGIN_PATH=%s", fixture_dir()), NULL };
	ck_assert_str_eq(fixture_spawn(argv, environment, NULL).out, "made good\n");

	/* The user trusts files that the group may write and files that he owns, but not the files of a third user. */
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_str_eq(fixture_spawn(argv, environment, NULL).out, "made good\n");
	ck_assert_int_eq(chown(path, PLAIN_USER, 0), 0);
	ck_assert_str_eq(fixture_spawn(argv, environment, NULL).out, "made good\n");
	ck_assert_int_eq(chown(path, PLAIN_USER - 1, 0), 0);
	ck_assert_ptr_nonnull(strstr(fixture_spawn(argv, environment, NULL).out, "neither root nor you"));
	ck_assert_int_eq(chown(path, 0, 0), 0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	const char *out = fixture_spawn(argv, environment, NULL).out;
	ck_assert_msg(strstr(out, fixture_text("errno %d\n", EACCES)) && strstr(out, "Permission denied"), "%s", out);
}
END_TEST

START_TEST(loading_disable_stops_opening_files_and_keeps_loaded_drivers)
{
	fixture_install("good");
	fixture_install("other");
	const char *const argv[] = { "child", "sandbox", "good", "other", NULL };
	const char *const environment[] = { fixture_text("ZPOOL_PLUGIN_PATH=%s", fixture_dir()), NULL };
	struct fixture_result result = fixture_spawn(argv, environment, NULL);
	if (result.status == 77) {
		fixture_skip("loading_disable_stops_opening_files_and_keeps_loaded_drivers", result.out);
		return;
	}
	ck_assert_msg(result.status == 0, "status %d after: %s%s", result.status, result.out, result.err);
	ck_assert_ptr_nonnull(strstr(result.out, "malloc 0\nmade good\n"));
	ck_assert_ptr_nonnull(strstr(result.out, fixture_text("errno %d\nDriver \"other\" is not loaded", EPERM)));
	ck_assert_ptr_nonnull(strstr(result.out, fixture_text("errno %d\nDriver \"nosuch\" is not loaded", EPERM)));
	ck_assert_ptr_nonnull(strstr(result.out, "zpool_loading_disable()"));
#ifdef ZPOOL_COVERAGE
	ck_assert_ptr_nonnull(strstr(result.out, "listed good\neach 0\nhas 0\nalive\n"));
#else
	ck_assert_ptr_nonnull(strstr(result.out, "listed good\neach 0\nhas 0\nunload 0\nalive\n"));
#endif
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("environment");
	tcase_add_loop_test(tests, privileged_program_ignores_the_environment, 0, PRIVILEGES);
	tcase_add_loop_test(tests, privileged_program_refuses_the_plugins_of_its_user, 0, PRIVILEGES);
	tcase_add_test(tests, ordinary_user_loads_plugins_of_root_from_the_environments_path);
	tcase_add_test(tests, loading_disable_stops_opening_files_and_keeps_loaded_drivers);
	return fixture_run("environment", tests);
}
