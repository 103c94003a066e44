/* SPDX-License-Identifier: MIT
 *
 * The loader remembers some failed loads, and tries others again.
 */
#include "config.h"

#include "fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mocks/mock_driver.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Faults of the file, which the loader remembers
 */

static int watch_opens(const char *path)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	ck_assert_int_ge(watch, 0);
	ck_assert_int_ge(inotify_add_watch(watch, path, IN_OPEN), 0);
	return watch;
}

/* Returns how often the file was opened since the previous call. */
static unsigned int opens(int watch)
{
	_Alignas(struct inotify_event) char buf[8192];
	unsigned int count = 0;
	ssize_t length;
	while ((length = read(watch, buf, sizeof(buf))) > 0)
		count += (unsigned int)((size_t)length / sizeof(struct inotify_event));
	return count;
}

START_TEST(broken_file_stays_refused_without_being_opened_again)
{
	const char *path = fixture_install("bad_magic");
	int watch = watch_opens(path);

	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	const char *first = fixture_text("%s", zpool_last_error());
	ck_assert_uint_gt(opens(watch), 0);
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_str_eq(zpool_last_error(), first);
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 1);
	ck_assert_uint_eq(opens(watch), 0);
	close(watch);
}
END_TEST

START_TEST(a_file_that_changed_is_tried_again)
{
	const char *path = fixture_install("bad_magic");
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	const struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 2);
}
END_TEST

START_TEST(broken_file_that_is_replaced_by_a_valid_one_is_loaded)
{
	const char *path = fixture_text("%s/good.so", fixture_dir());
	fixture_write(path, "junk", 4);
	expect_refused("good", ENOEXEC, "not an ELF file");
	fixture_replace("good", path);
	expect_works("good");
}
END_TEST

START_TEST(broken_file_that_is_overwritten_by_a_valid_one_is_loaded)
{
	const char *path = fixture_text("%s/good.so", fixture_dir());
	fixture_write(path, "junk", 4);
	expect_refused("good", ENOEXEC, "not an ELF file");
	fixture_install("good");
	expect_works("good");
}
END_TEST

START_TEST(broken_file_that_was_removed_is_absent)
{
	const char *path = fixture_install("bad_magic");
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_int_eq(unlink(path), 0);
	expect_refused("bad_magic", ENOENT, "No such file");
}
END_TEST

START_TEST(broken_file_does_not_affect_other_directories)
{
	const char *second = fixture_make_dir("second", 0755);
	fixture_write(fixture_text("%s/good.so", fixture_dir()), "junk", 4);
	expect_refused("good", ENOEXEC, "not an ELF file");
	fixture_install_as("good", fixture_text("%s/good.so", second));
	ck_assert_int_eq(zpool_set_plugin_path(second), 0);
	expect_works("good");
}
END_TEST

START_TEST(remembered_failure_names_the_path_by_which_the_file_is_found_now)
{
	const char *second = fixture_make_dir("second", 0755), *junk = fixture_text("%s/good.so", fixture_dir());
	fixture_install("bad_magic");
	fixture_write(junk, "junk", 4);
	expect_refused("bad_magic", ENOEXEC, "plugins/bad_magic.so", "magic is 0x");
	expect_refused("good", ENOEXEC, "plugins/good.so", "not an ELF file");
	int watch = watch_opens(junk);
	ck_assert_int_eq(zpool_set_plugin_path(second), 0);
	ck_assert_int_eq(symlink("../plugins/bad_magic.so", fixture_text("%s/bad_magic.so", second)), 0);
	ck_assert_int_eq(symlink("../plugins/good.so", fixture_text("%s/good.so", second)), 0);
	expect_refused("bad_magic", ENOEXEC, "second/bad_magic.so", "magic is 0x");
	expect_refused("good", ENOEXEC, "second/good.so", "not an ELF file");
	ck_assert_int_eq(zpool_set_plugin_path(fixture_dir()), 0);
	expect_refused("bad_magic", ENOEXEC, "plugins/bad_magic.so", "magic is 0x");
	ck_assert_uint_eq(opens(watch), 0);
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 1);
	close(watch);
}
END_TEST

START_TEST(rescan_forgets_failures)
{
	fixture_install("bad_magic");
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_int_eq(zpool_rescan(), 0);
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 2);
}
END_TEST

START_TEST(driver_may_be_registered_after_its_file_failed)
{
	static const struct zpool_driver driver = { MOCK_HEAD("bad_magic"), MOCK_CALLBACKS };
	fixture_install("bad_magic");
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	expect_works("bad_magic");
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Failures with a cause outside of the file, which the loader does not remember
 */

START_TEST(a_dependency_that_appears_later_is_found_without_a_rescan)
{
	fixture_install("needs_late");
	expect_refused("needs_late", ENOEXEC, "liblate.so");
	expect_refused("needs_late", ENOEXEC, "liblate.so");
	/* From now on, the linker finds the library by its soname, wherever it was loaded from. */
	void *late = dlopen(fixture_mock("liblate"), RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(late != NULL, "%s", dlerror());
	expect_works("needs_late");
	ck_assert_int_eq(zpool_unload_driver("needs_late"), 0);
	(void)dlclose(late);
}
END_TEST

START_TEST(a_symbol_that_appears_later_is_found_without_a_rescan)
{
	fixture_install("undefined");
	expect_refused("undefined", ENOEXEC, "mock_missing_function");
	void *supplement = dlopen(fixture_mock("libsupplement"), RTLD_NOW | RTLD_GLOBAL);
	ck_assert_msg(supplement != NULL, "%s", dlerror());
	expect_works("undefined");
	ck_assert_int_eq(zpool_unload_driver("undefined"), 0);
	(void)dlclose(supplement);
	expect_refused("undefined", ENOEXEC, "mock_missing_function");
}
END_TEST

START_TEST(corrected_permission_is_seen_without_a_rescan)
{
	const char *path = fixture_install("good");
	ck_assert_int_eq(chmod(path, 0666), 0);
	expect_refused("good", EPERM, "world-writable");
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(chmod(fixture_dir(), 0777), 0);
	expect_refused("good", EPERM, "world-writable");
	ck_assert_int_eq(chmod(fixture_dir(), 0755), 0);
	expect_works("good");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("failures");
	tcase_add_test(tests, broken_file_stays_refused_without_being_opened_again);
	tcase_add_test(tests, a_file_that_changed_is_tried_again);
	tcase_add_test(tests, broken_file_that_is_replaced_by_a_valid_one_is_loaded);
	tcase_add_test(tests, broken_file_that_is_overwritten_by_a_valid_one_is_loaded);
	tcase_add_test(tests, broken_file_that_was_removed_is_absent);
	tcase_add_test(tests, broken_file_does_not_affect_other_directories);
	tcase_add_test(tests, remembered_failure_names_the_path_by_which_the_file_is_found_now);
	tcase_add_test(tests, rescan_forgets_failures);
	tcase_add_test(tests, driver_may_be_registered_after_its_file_failed);
	tcase_add_test(tests, a_dependency_that_appears_later_is_found_without_a_rescan);
	tcase_add_test(tests, a_symbol_that_appears_later_is_found_without_a_rescan);
	tcase_add_test(tests, corrected_permission_is_seen_without_a_rescan);
	return fixture_run("failures", tests);
}
