/* SPDX-License-Identifier: MIT
 *
 * static_host.c - a program with its drivers linked in needs no plugin directory
 *
 * The program is linked with the static library and `-dlpreopen plugins/<type>.la`, as doc/ recommends. The plugin path
 * names a directory that does not exist, so a driver can only come from the program itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ltdl.h>

#include <zpool.h>

#include "plugins/shipped.h"
#include "tests/suite.h"

#define TYPE(type) type,
static const char *const types[] = { SHIPPED_DRIVERS(TYPE) };
#define TYPES ((int)(sizeof(types) / sizeof(types[0])))

static void forget_plugin_directories(void)
{
	ck_assert_int_eq(zpool_set_plugin_path("/nonexistent/zpool"), 0);
}

static void assert_stores_and_loads(const char *type)
{
	struct zpool *pool = zpool_create_pool(type, ZPOOL_GFP_KERNEL, NULL);
	unsigned long handle;
	char *object;

	ck_assert_msg(pool != NULL, "%s: %s", type, zpool_last_error());
	ck_assert_str_eq(zpool_get_type(pool), type);
	ck_assert_int_eq(zpool_malloc(pool, 1000, ZPOOL_GFP_KERNEL, &handle), 0);
	object = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	ck_assert_ptr_nonnull(object);
	memset(object, 0x5a, 1000);
	zpool_unmap_handle(pool, handle);
	object = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	ck_assert_ptr_nonnull(object);
	ck_assert_int_eq(object[0], 0x5a);
	ck_assert_int_eq(object[999], 0x5a);
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}

START_TEST(preloaded_driver_works_without_a_plugin_directory)
{
	assert_stores_and_loads(types[_i]);
}
END_TEST

static int count_preloaded(const struct zpool_driver_info *info, void *user)
{
	int *seen = user;

	for (int i = 0; i < TYPES; i++) {
		if (strcmp(info->type, types[i]) == 0) {
			ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_PRELOADED);
			ck_assert_ptr_null(info->path);
			ck_assert_ptr_null(info->fault);
			++*seen;
		}
	}
	return 0;
}

START_TEST(preloaded_drivers_are_listed_as_such)
{
	int seen = 0;

	ck_assert_int_eq(zpool_each_driver(count_preloaded, &seen), 0);
	ck_assert_int_eq(seen, TYPES);
}
END_TEST

START_TEST(unload_of_preloaded_driver_is_refused)
{
	assert_stores_and_loads(types[_i]);
	ck_assert_int_eq(zpool_unload_driver(types[_i]), -EPERM);
	assert_stores_and_loads(types[_i]);
}
END_TEST

START_TEST(driver_that_is_not_preloaded_is_absent)
{
	errno = 0;
	ck_assert_ptr_null(zpool_create_pool("nosuch", ZPOOL_GFP_KERNEL, NULL));
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "/nonexistent/zpool"));
}
END_TEST

/* This test is the last one, because it cannot be undone and all cases share a process with CK_FORK=no. */
START_TEST(preloaded_driver_works_with_loading_disabled)
{
	ck_assert_int_eq(zpool_loading_disable(), 0);
	for (int i = 0; i < TYPES; i++)
		assert_stores_and_loads(types[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("static host");
	TCase *tcase = tcase_create("preloaded");

	LTDL_SET_PRELOADED_SYMBOLS();
	tcase_add_checked_fixture(tcase, forget_plugin_directories, NULL);
	tcase_add_loop_test(tcase, preloaded_driver_works_without_a_plugin_directory, 0, TYPES);
	tcase_add_test(tcase, preloaded_drivers_are_listed_as_such);
	tcase_add_loop_test(tcase, unload_of_preloaded_driver_is_refused, 0, TYPES);
	tcase_add_test(tcase, driver_that_is_not_preloaded_is_absent);
	tcase_add_test(tcase, preloaded_driver_works_with_loading_disabled);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
