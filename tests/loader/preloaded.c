/* SPDX-License-Identifier: MIT
 *
 * Drivers are linked into the program.  The table that libtool creates of them for -dlpreopen is written out here, so
 * that a test can put anything into it.
 */
#include "config.h"

#include "fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <ltdl.h>
#include <string.h>
#include <unistd.h>

#include "mocks/mock_driver.h"

static const struct zpool_driver linked_driver = { MOCK_HEAD("linked"), MOCK_CALLBACKS };
static const struct zpool_driver renamed_driver = { MOCK_HEAD("something_else"), MOCK_CALLBACKS };

ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", (void *)(uintptr_t)&linked_driver },
	{ "renamed.a", NULL },
	{ "renamed_LTX_zpool_driver", (void *)(uintptr_t)&renamed_driver },
	{ "empty.a", NULL },
	{ "empty_LTX_other", (void *)(uintptr_t)&linked_driver },
	{ NULL, NULL },
};

/* The library finds these two functions before those of libltdl, so a test can count their calls and make them fail. */
static int ltdl_uses;
static bool ltdl_fails;

static int call_ltdl(const char *name)
{
	int (*function)(void);
	/* ISO C has no conversion from an object's address to a function's address. */
	*(void **)(void *)&function = dlsym(RTLD_NEXT, name);
	return function ? function() : 1;
}

ZPOOL_PUBLIC int lt_dlinit(void)
{
	if (ltdl_fails)
		return 1;
	ltdl_uses++;
	return call_ltdl("lt_dlinit");
}

ZPOOL_PUBLIC int lt_dlexit(void)
{
	ltdl_uses--;
	return call_ltdl("lt_dlexit");
}

START_TEST(a_driver_linked_in_is_found_without_a_directory)
{
	ck_assert_int_eq(zpool_set_plugin_path("/nonexistent"), 0);
	struct zpool *pool = zpool_create_pool("linked", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_str_eq(zpool_get_type(pool), "linked");
	zpool_destroy_pool(pool);
	ck_assert(zpool_has_pool("linked"));
	expect_refused("nosuch", ENOENT, "/nonexistent/nosuch.so");
}
END_TEST

START_TEST(linked_driver_takes_precedence_over_a_file)
{
	fixture_write(fixture_text("%s/linked.so", fixture_dir()), "junk", 4);
	expect_works("linked");
}
END_TEST

START_TEST(file_is_found_in_a_program_with_linked_drivers)
{
	fixture_install("good");
	expect_works("good");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

START_TEST(a_driver_linked_in_cannot_be_unloaded)
{
	expect_works("linked");
	expect_error(zpool_unload_driver("linked"), EPERM, "linked into the program");
}
END_TEST

START_TEST(a_linked_module_with_a_fault_is_refused)
{
	expect_refused("renamed", ENOEXEC, "\"something_else\"", "\"renamed\"", "the program");
	expect_refused("empty", ENOEXEC, "linked into the program", "empty_LTX_zpool_driver");
}
END_TEST

struct listing {
	unsigned int linked;
	unsigned int renamed;
	unsigned int empty;
};

static int list(const struct zpool_driver_info *info, void *user)
{
	struct listing *listing = user;
	if (strcmp(info->type, "linked") == 0) {
		ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_PRELOADED);
		ck_assert_ptr_null(info->path);
		ck_assert_ptr_null(info->fault);
		ck_assert_str_eq(info->version, "1.0");
		ck_assert(info->loaded);
		listing->linked++;
	} else if (strcmp(info->type, "renamed") == 0) {
		ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_PRELOADED);
		ck_assert_ptr_nonnull(strstr(info->fault, "something_else"));
		ck_assert(!info->loaded);
		listing->renamed++;
	} else if (strcmp(info->type, "empty") == 0) {
		listing->empty++;
	}
	return 0;
}

START_TEST(drivers_linked_in_are_listed_once_before_and_after_their_use)
{
	for (int i = 0; i < 2; i++) {
		struct listing listing = { 0 };
		ck_assert_int_eq(zpool_each_driver(list, &listing), 0);
		ck_assert_uint_eq(listing.linked, 1);
		ck_assert_uint_eq(listing.renamed, 1);
		ck_assert_uint_eq(listing.empty, 0);
		expect_works("linked");
	}
}
END_TEST

START_TEST(a_libltdl_that_cannot_start_is_an_error_and_not_a_hang)
{
	if (!fixture_may_fork(__func__)) /* In one process for all tests, an earlier test has started libltdl. */
		return;
	ltdl_fails = true;
	expect_refused("linked", ENOMEM, "Out of memory", "\"linked\"");
	ck_assert(!zpool_has_pool("linked"));
	ltdl_fails = false;
	expect_works("linked");
}
END_TEST

START_TEST(a_file_is_loaded_even_if_libltdl_cannot_start)
{
	fixture_install("good");
	ltdl_fails = true;
	expect_works("good");
	ltdl_fails = false;
}
END_TEST

START_TEST(libltdl_handles_of_other_modules_are_closed)
{
	expect_works("linked");
	int before = ltdl_uses;
	fixture_install("good");
	for (int i = 0; i < 3; i++) {
		expect_works("good");
		expect_works("linked");
		expect_refused("renamed", ENOEXEC, "something_else");
		expect_refused("empty", ENOEXEC, "empty_LTX_zpool_driver");
		expect_refused("nosuch", ENOENT, "nosuch");
		ck_assert_int_eq(zpool_unload_driver("good"), 0);
		ck_assert_int_eq(ltdl_uses, before);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("preloaded");
	tcase_add_test(tests, a_driver_linked_in_is_found_without_a_directory);
	tcase_add_test(tests, linked_driver_takes_precedence_over_a_file);
	tcase_add_test(tests, file_is_found_in_a_program_with_linked_drivers);
	tcase_add_test(tests, a_driver_linked_in_cannot_be_unloaded);
	tcase_add_test(tests, a_linked_module_with_a_fault_is_refused);
	tcase_add_test(tests, drivers_linked_in_are_listed_once_before_and_after_their_use);
	tcase_add_test(tests, a_libltdl_that_cannot_start_is_an_error_and_not_a_hang);
	tcase_add_test(tests, a_file_is_loaded_even_if_libltdl_cannot_start);
	tcase_add_test(tests, libltdl_handles_of_other_modules_are_closed);
	return fixture_run("preloaded", tests);
}
