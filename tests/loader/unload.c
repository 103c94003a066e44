/* SPDX-License-Identifier: MIT
 *
 * Drivers are unloaded, or stay in memory, and their files are replaced while they are loaded.
 */
#include "config.h"

#include "fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mocks/mock_driver.h"

static const struct zpool_driver registered_driver = { MOCK_HEAD("registered"), MOCK_CALLBACKS };

static int take_version(const struct zpool_driver_info *info, void *user)
{
	const char **wanted = user;
	if (strcmp(info->type, wanted[0]) != 0)
		return 0;
	wanted[1] = info->loaded ? fixture_text("%s", info->version) : "not loaded";
	return 1;
}

static const char *loaded_version(const char *type)
{
	const char *wanted[] = { type, NULL };
	ck_assert_int_eq(zpool_each_driver(take_version, wanted), 1);
	return wanted[1];
}

/* ------------------------------------------------------------------------------------------------------------------
 * Unloading
 */

START_TEST(unload_is_refused_while_a_pool_lives_and_unmaps_after)
{
	fixture_install("good");
	struct zpool *first = zpool_create_pool("good", 0, NULL), *second = zpool_create_pool("good", 0, NULL);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	expect_error(zpool_unload_driver("good"), EBUSY, "\"good\"", "2 pools");
	zpool_destroy_pool(first);
	expect_error(zpool_unload_driver("good"), EBUSY, "\"good\"", "in use");
	ck_assert(fixture_is_mapped("/good.so"));
	zpool_destroy_pool(second);
	ck_assert(fixture_is_mapped("/good.so"));
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert(!fixture_is_mapped("/good.so"));
	ck_assert_uint_eq(fixture_events("good", "unload"), 1);
	expect_error(zpool_unload_driver("good"), ENOENT, "\"good\" is not loaded");
}
END_TEST

static int unload_inside(const struct zpool_param *param, size_t size, void *user)
{
	int *result = user;
	(void)param, (void)size;
	*result = zpool_unload_driver("good");
	return 0;
}

START_TEST(unload_is_refused_while_parameters_are_listed)
{
	int result = 0;
	fixture_install("good");
	ck_assert_int_eq(zpool_each_param("good", unload_inside, &result), 0);
	ck_assert_int_eq(result, -EBUSY);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

START_TEST(the_next_create_loads_the_file_again)
{
	fixture_install("good");
	for (unsigned int i = 1; i <= 3; i++) {
		expect_works("good");
		expect_works("good");
		ck_assert_uint_eq(fixture_events("good", "load"), i);
		ck_assert_int_eq(zpool_unload_driver("good"), 0);
		ck_assert_uint_eq(fixture_events("good", "unload"), i);
	}
}
END_TEST

START_TEST(unload_of_what_is_not_a_plugin_is_refused)
{
	ck_assert_int_eq(zpool_register_driver(&registered_driver), 0);
	expect_error(zpool_unload_driver("registered"), EPERM, "\"registered\"", "linked into the program");
	ck_assert_int_eq(zpool_unregister_driver(&registered_driver), 0);
	expect_error(zpool_unload_driver("registered"), ENOENT, "not loaded");
	expect_error(zpool_unload_driver("nosuch"), ENOENT, "\"nosuch\" is not loaded");
	expect_error(zpool_unload_driver(NULL), EINVAL, "driver's name");
	expect_error(zpool_unload_driver(""), EINVAL, "driver's name");
	expect_error(zpool_unload_driver("../evil"), EINVAL, "driver's name");
	expect_error(zpool_unload_driver("good:key=1"), EINVAL, "driver's name");
	fixture_install("good");
	expect_error(zpool_unload_driver("good"), ENOENT, "\"good\" is not loaded");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Drivers that stay in memory
 */

START_TEST(resident_driver_keeps_its_code_when_the_file_changes)
{
	const char *path = fixture_install("resident");
	expect_works("resident");
	fixture_replace("good", path);
	for (int i = 0; i < 2; i++) {
		expect_error(zpool_unload_driver("resident"), EOPNOTSUPP, "resident", "until the process ends");
		expect_works("resident");
	}
	ck_assert_uint_eq(fixture_events("resident", "load"), 1);
	ck_assert_uint_eq(fixture_events("resident", "unload"), 0);
	ck_assert(fixture_is_mapped("/resident.so (deleted)"));
}
END_TEST

START_TEST(driver_that_the_linker_does_not_unload_stays_usable)
{
	const char *path = fixture_install("no_delete");
	expect_works("no_delete");
	for (int i = 0; i < 3; i++) {
		expect_error(zpool_unload_driver("no_delete"), EOPNOTSUPP, "\"no_delete\"", "keeps its code mapped");
		expect_works("no_delete");
	}
	fixture_replace("no_delete", path);
	expect_error(zpool_unload_driver("no_delete"), EOPNOTSUPP, "keeps its code mapped");
	expect_works("no_delete");
	ck_assert_uint_eq(fixture_events("no_delete", "load"), 1);
	ck_assert_uint_eq(fixture_events("no_delete", "unload"), 0);
	ck_assert(fixture_is_mapped("/no_delete.so (deleted)"));
}
END_TEST

START_TEST(driver_that_the_program_opened_too_can_be_unloaded_after_its_close)
{
	const char *path = fixture_install("good");
	void *held = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(held != NULL, "%s", dlerror());
	expect_works("good");
	expect_error(zpool_unload_driver("good"), EOPNOTSUPP, "keeps its code mapped");
	expect_works("good");
	ck_assert_int_eq(dlclose(held), 0);
	ck_assert(fixture_is_mapped("/good.so"));
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert(!fixture_is_mapped("/good.so"));
}
END_TEST

/* The linker keeps both names of the file, so that the driver is still found when its own name is another file's. */
START_TEST(driver_that_the_program_opened_by_another_name_stays_usable)
{
	const char *path = fixture_install("good"), *link = fixture_text("%s/link", fixture_root());
	ck_assert_int_eq(symlink("plugins", link), 0);
	void *held = dlopen(fixture_text("%s/good.so", link), RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(held != NULL, "%s", dlerror());
	expect_works("good");
	fixture_replace("good_v2", path);
	expect_error(zpool_unload_driver("good"), EOPNOTSUPP, "keeps its code mapped");
	ck_assert_str_eq(loaded_version("good"), "1.0");
	expect_works("good");
	ck_assert_int_eq(dlclose(held), 0);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert(!fixture_is_mapped("/good.so (deleted)"));
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "2.0");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Files that are replaced while their driver is loaded
 */

START_TEST(replaced_file_is_used_by_the_next_load)
{
	const char *path = fixture_install("good");
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "1.0");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert_str_eq(loaded_version("good"), "not loaded");
	fixture_replace("good_v2", path);
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "2.0");
}
END_TEST

START_TEST(a_file_replaced_while_loaded_changes_nothing_until_it_is_unloaded)
{
	unsigned long handle;
	const char *path = fixture_install("good");
	struct zpool *pool = zpool_create_pool("good", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	fixture_replace("good_v2", path);
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "1.0");
	ck_assert_int_eq(zpool_malloc(pool, 100, 0, &handle), 0);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "2.0");
	ck_assert_uint_eq(fixture_events("good", "load"), 2);
}
END_TEST

START_TEST(a_file_removed_while_loaded_changes_nothing_until_it_is_unloaded)
{
	const char *path = fixture_install("good");
	expect_works("good");
	ck_assert_int_eq(unlink(path), 0);
	expect_works("good");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert(!fixture_is_mapped("/good.so (deleted)"));
	expect_refused("good", ENOENT, "good.so");
}
END_TEST

/* If it were asked for the path, the linker would answer with the other driver, which is in memory. */
START_TEST(driver_whose_file_became_a_link_to_another_driver_is_unloaded)
{
	const char *path = fixture_install("good");
	fixture_install("other");
	expect_works("good");
	expect_works("other");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("other.so", path), 0);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert(!fixture_is_mapped("/good.so (deleted)"));
	expect_refused("good", ENOEXEC, "its note is that of driver \"other\"");
	expect_works("other");
	ck_assert_int_eq(zpool_unload_driver("other"), 0);
	ck_assert(!fixture_is_mapped("/other.so"));
}
END_TEST

/* The dynamic linker compares file names, and would return the code of the previous file. */
START_TEST(replaced_file_is_not_loaded_while_the_program_holds_the_old_one)
{
	const char *path = fixture_install("good");
	void *held = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(held != NULL, "%s", dlerror());
	fixture_replace("good_v2", path);
	expect_refused("good", EBUSY, "good.so was replaced", "still has the old file mapped");
	ck_assert_int_eq(dlclose(held), 0);
	expect_works("good");
	ck_assert_str_eq(loaded_version("good"), "2.0");
}
END_TEST

/* It also compares the names by which earlier calls found the file. */
START_TEST(replaced_file_is_not_loaded_while_the_program_holds_the_old_one_by_another_name)
{
	const char *path = fixture_install("bad_magic"), *link = fixture_text("%s/link", fixture_root());
	ck_assert_int_eq(symlink("plugins", link), 0);
	void *held = dlopen(fixture_text("%s/bad_magic.so", link), RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(held != NULL, "%s", dlerror());
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	fixture_replace("bad_magic", path);
	for (int i = 0; i < 2; i++)
		expect_refused("bad_magic", EBUSY, "bad_magic.so was replaced", "still has the old file mapped");
	ck_assert_int_eq(dlclose(held), 0);
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 1);
	expect_refused("bad_magic", ENOEXEC, "magic is 0x");
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 2);
}
END_TEST

START_TEST(replaced_file_is_not_loaded_while_the_program_holds_one_without_a_driver)
{
	const char *path = fixture_install_as("liblate", fixture_text("%s/good.so", fixture_dir()));
	void *held = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(held != NULL, "%s", dlerror());
	fixture_replace("good", path);
	for (int i = 0; i < 2; i++)
		expect_refused("good", EBUSY, "good.so was replaced", "still has the old file mapped");
	ck_assert_int_eq(dlclose(held), 0);
	expect_works("good");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Threads
 */

enum { ROUNDS = 300 };
static _Atomic unsigned int pools_made, pools_missed;
static _Atomic bool ended;

static void *make_pools(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		unsigned long handle;
		struct zpool *pool = zpool_create_pool("good", 0, NULL);
		if (pool && zpool_malloc(pool, 10, 0, &handle) == 0)
			pools_made++;
		else
			pools_missed++;
		zpool_destroy_pool(pool);
	}
	return NULL;
}

static void *unload_again_and_again(void *arg)
{
	unsigned int *unloads = arg;
	while (!ended) {
		int err = zpool_unload_driver("good");
		if (err == 0)
			++*unloads;
		else if (err != -EBUSY && err != -ENOENT)
			pools_missed++;
	}
	return NULL;
}

START_TEST(concurrent_creates_and_unloads_succeed)
{
	pthread_t makers[4], unloader;
	unsigned int unloads = 0;
	pools_made = pools_missed = 0;
	ended = false;
	fixture_install("good");
	ck_assert_int_eq(pthread_create(&unloader, NULL, unload_again_and_again, &unloads), 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&makers[i], NULL, make_pools, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(makers[i], NULL), 0);
	ended = true;
	ck_assert_int_eq(pthread_join(unloader, NULL), 0);
	ck_assert_uint_eq(pools_missed, 0);
	ck_assert_uint_eq(pools_made, 4 * ROUNDS);
	(void)zpool_unload_driver("good");
	ck_assert_uint_eq(fixture_events("good", "load"), fixture_events("good", "unload"));
	ck_assert_uint_ge(fixture_events("good", "unload"), unloads);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("unload");
	tcase_add_test(tests, unload_is_refused_while_a_pool_lives_and_unmaps_after);
	tcase_add_test(tests, unload_is_refused_while_parameters_are_listed);
	tcase_add_test(tests, the_next_create_loads_the_file_again);
	tcase_add_test(tests, unload_of_what_is_not_a_plugin_is_refused);
	tcase_add_test(tests, resident_driver_keeps_its_code_when_the_file_changes);
	tcase_add_test(tests, driver_that_the_linker_does_not_unload_stays_usable);
	tcase_add_test(tests, driver_that_the_program_opened_too_can_be_unloaded_after_its_close);
	tcase_add_test(tests, driver_that_the_program_opened_by_another_name_stays_usable);
	tcase_add_test(tests, replaced_file_is_used_by_the_next_load);
	tcase_add_test(tests, a_file_replaced_while_loaded_changes_nothing_until_it_is_unloaded);
	tcase_add_test(tests, a_file_removed_while_loaded_changes_nothing_until_it_is_unloaded);
	tcase_add_test(tests, driver_whose_file_became_a_link_to_another_driver_is_unloaded);
	tcase_add_test(tests, replaced_file_is_not_loaded_while_the_program_holds_the_old_one);
	tcase_add_test(tests, replaced_file_is_not_loaded_while_the_program_holds_the_old_one_by_another_name);
	tcase_add_test(tests, replaced_file_is_not_loaded_while_the_program_holds_one_without_a_driver);
	tcase_add_test(tests, concurrent_creates_and_unloads_succeed);
	return fixture_run("unload", tests);
}
