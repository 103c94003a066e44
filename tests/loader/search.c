/* SPDX-License-Identifier: MIT
 *
 * The loader finds the file of a driver by its name in the plugin path, and never examines other files.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zpool-driver.h"

#define LONGEST_NAME "a2345678901234567890123456789012"

/* ------------------------------------------------------------------------------------------------------------------
 * Names
 */

START_TEST(create_of_an_absent_type_lists_every_path_tried)
{
	const char *second = fixture_make_dir("second", 0755), *third = fixture_text("%s/missing", fixture_root());
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s:%s:%s", fixture_dir(), second, third)), 0);
	expect_refused("nosuch", ENOENT, "No driver \"nosuch\"", "zpool_set_plugin_path()");
	const char *message = zpool_last_error();
	ck_assert_ptr_nonnull(strstr(message, fixture_text("%s/nosuch.so (No such file", fixture_dir())));
	ck_assert_ptr_nonnull(strstr(message, fixture_text("%s/nosuch.so (No such file", second)));
	ck_assert_ptr_nonnull(strstr(message, fixture_text("%s/nosuch.so (No such file", third)));
}
END_TEST

START_TEST(create_with_an_invalid_type_is_refused)
{
	expect_refused("../evil", EINVAL, "../evil", "not a valid driver name");
	expect_refused("", EINVAL, "is empty");
	expect_refused("/etc/passwd", EINVAL, "/etc/passwd", "not a valid driver name");
	expect_refused("Good", EINVAL, "Good", "lower-case");
	expect_refused("gooD", EINVAL, "gooD", "lower-case");
	expect_refused("9good", EINVAL, "9good");
	expect_refused("_good", EINVAL, "_good");
	expect_refused("-good", EINVAL, "-good");
	expect_refused("good.so", EINVAL, "good.so");
	expect_refused("go od", EINVAL, "go od");
	expect_refused("good\n", EINVAL, "not a valid driver name");
	expect_refused("b\xc3\xa4"
		       "r",
		       EINVAL, "not a valid driver name");
	ck_assert_ptr_null(zpool_create_pool(NULL, 0, NULL));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "No spec was given"));
}
END_TEST

START_TEST(create_with_a_very_long_name_is_refused_in_a_short_message)
{
	static char name[10 * 1024 + 1];
	memset(name, 'a', sizeof(name) - 1);
	expect_refused(name, EINVAL, "longer than 4096 bytes", "aaa...");
	ck_assert_uint_lt(strlen(zpool_last_error()), 300);
	name[4000] = '\0';
	expect_refused(name, EINVAL, "4000 bytes", "not a valid driver name", "32");
	ck_assert_uint_lt(strlen(zpool_last_error()), 300);
}
END_TEST

START_TEST(names_may_have_32_letters_and_no_more)
{
	fixture_install(LONGEST_NAME);
	expect_works(LONGEST_NAME);
	ck_assert(zpool_has_pool(LONGEST_NAME));
	ck_assert_int_eq(zpool_unload_driver(LONGEST_NAME), 0);
	expect_refused(LONGEST_NAME "3", EINVAL, "33 bytes", "32");
	expect_error(zpool_unload_driver(LONGEST_NAME "3"), EINVAL, "driver's name");
}
END_TEST

START_TEST(a_dash_in_a_name_is_an_underscore_in_its_file)
{
	fixture_install("my_drv");
	struct zpool *pool = zpool_create_pool("my-drv", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	ck_assert_str_eq(zpool_get_type(pool), "my_drv");
	ck_assert_str_eq(zpool_get_spec(pool), "my-drv");
	zpool_destroy_pool(pool);
	expect_works("my_drv");
	ck_assert_uint_eq(fixture_events("my_drv", "load"), 1);
	ck_assert_int_eq(zpool_unload_driver("my-drv"), 0);
	ck_assert_uint_eq(fixture_events("my_drv", "unload"), 1);
}
END_TEST

START_TEST(a_file_with_a_dash_in_its_name_is_not_found)
{
	fixture_install_as("my_drv", fixture_text("%s/my-drv.so", fixture_dir()));
	expect_refused("my-drv", ENOENT, "my_drv.so");
}
END_TEST

/* The linker would find this name in a directory of the system. */
START_TEST(create_libz_does_not_open_the_systems_zlib)
{
	expect_refused("libz", ENOENT, "libz.so");
	expect_refused("libc", ENOENT, "libc.so");
	ck_assert(!fixture_is_mapped("/libz.so"));
	ck_assert(!fixture_is_mapped("/libz.so.1"));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Directories
 */

START_TEST(plugin_installed_while_the_host_runs_is_found_by_the_next_create)
{
	expect_refused("good", ENOENT, "good.so");
	ck_assert(!zpool_has_pool("good"));
	fixture_install("good");
	expect_works("good");
	ck_assert(zpool_has_pool("good"));
}
END_TEST

START_TEST(a_directory_that_appears_while_the_host_runs_is_searched)
{
	const char *late = fixture_text("%s/late", fixture_root());
	ck_assert_int_eq(zpool_set_plugin_path(late), 0);
	expect_refused("good", ENOENT, "good.so");
	fixture_make_dir("late", 0755);
	fixture_install_as("good", fixture_text("%s/good.so", late));
	expect_works("good");
}
END_TEST

START_TEST(first_directory_is_used_even_if_its_file_is_broken)
{
	const char *second = fixture_make_dir("second", 0755);
	const char *broken = fixture_text("%s/good.so", fixture_dir());
	fixture_install_as("good", fixture_text("%s/good.so", second));
	fixture_write(broken, "junk", 4);
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s:%s", fixture_dir(), second)), 0);
	expect_refused("good", ENOEXEC, "not an ELF file");
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), broken));
	ck_assert_uint_eq(fixture_events(NULL, "load"), 0);

	ck_assert_int_eq(unlink(broken), 0);
	expect_works("good");
}
END_TEST

/* The link exists, so the search ends there. */
START_TEST(a_dangling_link_in_the_first_directory_is_the_error)
{
	const char *second = fixture_make_dir("second", 0755);
	fixture_install_as("good", fixture_text("%s/good.so", second));
	ck_assert_int_eq(symlink("nowhere.so", fixture_text("%s/good.so", fixture_dir())), 0);
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s:%s", fixture_dir(), second)), 0);
	expect_refused("good", ENOENT, "nowhere.so", "No such file");
}
END_TEST

START_TEST(a_directory_named_like_a_plugin_is_the_error)
{
	fixture_make_dir("plugins/good.so", 0755);
	expect_refused("good", ENOEXEC, "not a regular file");
	ck_assert_int_eq(rmdir(fixture_text("%s/good.so", fixture_dir())), 0);
	ck_assert_int_eq(mkfifo(fixture_text("%s/good.so", fixture_dir()), 0644), 0);
	expect_refused("good", ENOEXEC, "not a regular file");
}
END_TEST

START_TEST(chosen_path_overrides_the_environment_until_it_is_reset)
{
	const char *chosen = fixture_make_dir("chosen", 0755);
	char buf[PATH_MAX];

	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", fixture_dir(), 1), 0);
	ck_assert_int_eq(zpool_set_plugin_path(chosen), 0);
	ck_assert_int_eq(zpool_get_plugin_path(buf, sizeof(buf)), (int)strlen(chosen));
	ck_assert_str_eq(buf, chosen);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(zpool_get_plugin_path(buf, sizeof(buf)), (int)strlen(fixture_dir()));
	ck_assert_str_eq(buf, fixture_dir());
	fixture_install("good");
	expect_works("good");
}
END_TEST

START_TEST(an_empty_environment_leaves_the_built_in_path)
{
	char buf[PATH_MAX], again[PATH_MAX];
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(unsetenv("ZPOOL_PLUGIN_PATH"), 0);
	ck_assert_int_gt(zpool_get_plugin_path(buf, sizeof(buf)), 0);
	ck_assert_int_eq(buf[0], '/');
	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", "", 1), 0);
	ck_assert_int_gt(zpool_get_plugin_path(again, sizeof(again)), 0);
	ck_assert_str_eq(buf, again);
}
END_TEST

START_TEST(get_plugin_path_cuts_like_snprintf)
{
	char buf[4] = "xyz";
	int length = zpool_get_plugin_path(NULL, 0);
	ck_assert_int_eq(length, (int)strlen(fixture_dir()));
	ck_assert_int_eq(zpool_get_plugin_path(buf, sizeof(buf)), length);
	ck_assert_uint_eq(strlen(buf), 3);
	ck_assert_int_eq(strncmp(buf, fixture_dir(), 3), 0);
	expect_error(zpool_get_plugin_path(NULL, 1), EINVAL, "no buffer");
}
END_TEST

START_TEST(set_plugin_path_refuses_relative_paths_and_keeps_the_previous)
{
	static char endless[PATH_MAX + 2];
	char buf[PATH_MAX];
	memset(endless, 'x', sizeof(endless) - 1);
	endless[0] = '/';

	expect_error(zpool_set_plugin_path(""), EINVAL, "empty");
	expect_error(zpool_set_plugin_path(":"), EINVAL, "empty");
	expect_error(zpool_set_plugin_path("::"), EINVAL, "empty");
	expect_error(zpool_set_plugin_path("relative"), EINVAL, "\"relative\"", "absolute");
	expect_error(zpool_set_plugin_path("."), EINVAL, "\".\"", "absolute");
	expect_error(zpool_set_plugin_path("/usr/lib:relative"), EINVAL, "\"relative\"");
	expect_error(zpool_set_plugin_path(endless), EINVAL, "absolute");
	ck_assert_uint_lt(strlen(zpool_last_error()), 400);
	ck_assert_int_gt(zpool_get_plugin_path(buf, sizeof(buf)), 0);
	ck_assert_str_eq(buf, fixture_dir());
}
END_TEST

START_TEST(empty_entries_and_trailing_slashes_are_ignored)
{
	fixture_install("good");
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text(":%s//::", fixture_dir())), 0);
	expect_works("good");
	expect_refused("nosuch", ENOENT, "plugins/nosuch.so");
}
END_TEST

START_TEST(relative_directories_of_the_environment_are_skipped)
{
	fixture_install("good");
	const char *const argv[] = { "child", "create", "good", NULL };
	const char *const relative[] = { "ZPOOL_PLUGIN_PATH=.:plugins", NULL };
	struct fixture_result result = fixture_spawn(argv, relative, fixture_dir());
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_nonnull(strstr(result.out, fixture_text("errno %d\n", ENOENT)));
	ck_assert_ptr_nonnull(strstr(result.out, "not \".\" (only absolute directories are searched)"));
	ck_assert_ptr_nonnull(strstr(result.out, "not \"plugins\" (only absolute directories are searched)"));

	const char *const mixed[] = { fixture_text("ZPOOL_PLUGIN_PATH=.:%s", fixture_dir()), "ZPOOL_DEBUG=warning",
				      NULL };
	result = fixture_spawn(argv, mixed, "/");
	ck_assert_str_eq(result.out, "made good\n");
	ck_assert_ptr_nonnull(strstr(result.err, "\".\" is ignored: only absolute paths"));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Files that libltdl would open
 */

/* A libtool archive can name a library in another directory. */
static void plant_archive(const char *path, const char *libdir)
{
	const char *text =
		fixture_text("# good.la - a libtool library file\n# Generated by libtool\ndlname='good.so'\n"
			     "library_names='good.so good.so good.so'\nold_library=''\ninherited_linker_flags=''\n"
			     "dependency_libs=''\ncurrent=0\nage=0\nrevision=0\ninstalled=yes\nshouldnotlink=yes\n"
			     "dlopen=''\ndlpreopen=''\nlibdir='%s'\n",
			     libdir);
	fixture_write(path, text, strlen(text));
}

START_TEST(the_linkers_and_libltdls_own_search_paths_change_nothing)
{
	const char *here = fixture_make_dir("here", 0755);
	const char *path = getenv("LD_LIBRARY_PATH");
	fixture_install_as("good", fixture_text("%s/good.so", here));
	plant_archive(fixture_text("%s/good.la", here), here);

	const char *const argv[] = { "child", "create", "good", NULL };
	const char *const environment[] = { fixture_text("ZPOOL_PLUGIN_PATH=%s", fixture_dir()),
					    fixture_text("LD_LIBRARY_PATH=%s:", path ? path : ""),
					    "LTDL_LIBRARY_PATH=.", NULL };
	struct fixture_result result = fixture_spawn(argv, environment, here);
	ck_assert_int_eq(result.status, 0);
	ck_assert_ptr_nonnull(strstr(result.out, fixture_text("errno %d\n", ENOENT)));
}
END_TEST

/* Returns the files of the directory that were opened since the watch began. */
static bool was_opened(int watch, const char *name)
{
	_Alignas(struct inotify_event) char buf[8192];
	bool found = false;
	ssize_t length;
	while ((length = read(watch, buf, sizeof(buf))) > 0) {
		const struct inotify_event *event;
		for (const char *at = buf; at < buf + length; at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)(const void *)at;
			found = found || (event->len && strcmp(event->name, name) == 0);
		}
	}
	return found;
}

START_TEST(a_planted_libtool_archive_is_never_read)
{
	const char *evil = fixture_make_dir("evil", 0755);
	fixture_install_as("good_v2", fixture_text("%s/good.so", evil));
	fixture_install("good");
	plant_archive(fixture_text("%s/good.la", fixture_dir()), evil);

	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ck_assert_int_ge(watch, 0);
	ck_assert_int_ge(inotify_add_watch(watch, fixture_dir(), IN_OPEN), 0);
	expect_works("good");
	ck_assert(!was_opened(watch, "good.la"));
	close(watch);
	ck_assert(fixture_is_mapped("/plugins/good.so"));
	ck_assert(!fixture_is_mapped("/evil/good.so"));
}
END_TEST

/* The link's target may have any name, even that of a libtool archive. */
START_TEST(a_link_to_a_versioned_file_works)
{
	fixture_install_as("good", fixture_text("%s/good.so.1.2", fixture_root()));
	ck_assert_int_eq(symlink("../good.so.1.2", fixture_text("%s/good.so", fixture_dir())), 0);
	expect_works("good");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);

	fixture_install_as("other", fixture_text("%s/0123", fixture_root()));
	ck_assert_int_eq(symlink("../0123", fixture_text("%s/other.so", fixture_dir())), 0);
	expect_works("other");
}
END_TEST

static int count_readme(const struct zpool_driver_info *info, void *user)
{
	unsigned int *count = user;
	if (strstr(info->type, "README") || (info->path && strstr(info->path, "README")))
		++*count;
	return 0;
}

START_TEST(other_files_in_the_directory_are_not_listed)
{
	unsigned int count = 0;
	fixture_write(fixture_text("%s/README", fixture_dir()), "read me", 7);
	fixture_write(fixture_text("%s/README.so.txt", fixture_dir()), "read me", 7);
	ck_assert_int_eq(zpool_each_driver(count_readme, &count), 0);
	ck_assert_uint_eq(count, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("search");
	tcase_add_test(tests, create_of_an_absent_type_lists_every_path_tried);
	tcase_add_test(tests, create_with_an_invalid_type_is_refused);
	tcase_add_test(tests, create_with_a_very_long_name_is_refused_in_a_short_message);
	tcase_add_test(tests, names_may_have_32_letters_and_no_more);
	tcase_add_test(tests, a_dash_in_a_name_is_an_underscore_in_its_file);
	tcase_add_test(tests, a_file_with_a_dash_in_its_name_is_not_found);
	tcase_add_test(tests, create_libz_does_not_open_the_systems_zlib);
	tcase_add_test(tests, plugin_installed_while_the_host_runs_is_found_by_the_next_create);
	tcase_add_test(tests, a_directory_that_appears_while_the_host_runs_is_searched);
	tcase_add_test(tests, first_directory_is_used_even_if_its_file_is_broken);
	tcase_add_test(tests, a_dangling_link_in_the_first_directory_is_the_error);
	tcase_add_test(tests, a_directory_named_like_a_plugin_is_the_error);
	tcase_add_test(tests, chosen_path_overrides_the_environment_until_it_is_reset);
	tcase_add_test(tests, an_empty_environment_leaves_the_built_in_path);
	tcase_add_test(tests, get_plugin_path_cuts_like_snprintf);
	tcase_add_test(tests, set_plugin_path_refuses_relative_paths_and_keeps_the_previous);
	tcase_add_test(tests, empty_entries_and_trailing_slashes_are_ignored);
	tcase_add_test(tests, relative_directories_of_the_environment_are_skipped);
	tcase_add_test(tests, the_linkers_and_libltdls_own_search_paths_change_nothing);
	tcase_add_test(tests, a_planted_libtool_archive_is_never_read);
	tcase_add_test(tests, a_link_to_a_versioned_file_works);
	tcase_add_test(tests, other_files_in_the_directory_are_not_listed);
	return fixture_run("search", tests);
}
