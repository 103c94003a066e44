/* SPDX-License-Identifier: MIT
 *
 * The program registers drivers, and the library lists and describes them all.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mocks/mock_driver.h"

/* The driver's pools, as the kernel-style driver's create returned them. */
static void *kernel_pool;

static int kernel_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	int err = mock_create(args, out);
	kernel_pool = err ? NULL : out->pool;
	return err;
}

/* The driver requests the eviction with its own pool, as drivers in the kernel do. */
static int kernel_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	(void)pages;
	unsigned long handle = mock_oldest(pool);
	int err = handle ? zpool_evict(pool, handle) : -EINVAL;
	*reclaimed = err ? 0 : 1;
	return err;
}

static const struct zpool_driver kernel_driver = {
	MOCK_HEAD("kernel"),   .create = kernel_create, .destroy = mock_destroy,
	.malloc = mock_malloc, .free = mock_free,       .total_size = mock_total_size,
	.map = mock_map,       .unmap = mock_unmap,     .shrink = kernel_shrink,
};
static const struct zpool_driver plain_driver = { MOCK_HEAD("plain"), MOCK_CALLBACKS };
static const struct zpool_driver second_plain_driver = { MOCK_HEAD("plain"), MOCK_CALLBACKS };
static const struct zpool_driver good_driver = { MOCK_HEAD("good"), MOCK_CALLBACKS };

/* ------------------------------------------------------------------------------------------------------------------
 * Registering
 */

START_TEST(a_type_can_be_registered_once)
{
	ck_assert_int_eq(zpool_register_driver(&plain_driver), 0);
	expect_error(zpool_register_driver(&plain_driver), EEXIST, "\"plain\"", "already registered");
	expect_error(zpool_register_driver(&second_plain_driver), EEXIST, "\"plain\"", "already registered");
	expect_error(zpool_unregister_driver(&second_plain_driver), ENOENT, "not registered");
	ck_assert_int_eq(zpool_unregister_driver(&plain_driver), 0);
	ck_assert_int_eq(zpool_register_driver(&second_plain_driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&second_plain_driver), 0);
	expect_error(zpool_unregister_driver(&second_plain_driver), ENOENT, "not registered");
}
END_TEST

START_TEST(a_loaded_type_cannot_be_registered)
{
	fixture_install("good");
	expect_works("good");
	expect_error(zpool_register_driver(&good_driver), EEXIST, "\"good\"", "already loaded");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	ck_assert_int_eq(zpool_register_driver(&good_driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&good_driver), 0);
}
END_TEST

START_TEST(registered_driver_takes_precedence_over_a_file)
{
	fixture_install("good");
	ck_assert_int_eq(zpool_register_driver(&good_driver), 0);
	struct zpool *pool = zpool_create_pool("good", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	ck_assert_uint_eq(fixture_events("good", "load"), 0);
	expect_error(zpool_unregister_driver(&good_driver), EBUSY, "\"good\"", "in use");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&good_driver), 0);
	expect_works("good");
	ck_assert_uint_eq(fixture_events("good", "load"), 1);
}
END_TEST

START_TEST(unregistering_makes_the_type_absent)
{
	ck_assert_int_eq(zpool_register_driver(&plain_driver), 0);
	ck_assert(zpool_has_pool("plain"));
	ck_assert_int_eq(zpool_unregister_driver(&plain_driver), 0);
	ck_assert(!zpool_has_pool("plain"));
	expect_refused("plain", ENOENT, "plain.so");
}
END_TEST

START_TEST(invalid_driver_is_not_registered)
{
	struct zpool_driver driver = plain_driver;
	expect_error(zpool_register_driver(NULL), EINVAL, "no driver");
	expect_error(zpool_unregister_driver(NULL), EINVAL, "no driver");
	driver.magic = 0;
	expect_error(zpool_register_driver(&driver), EINVAL, "magic");
	driver = plain_driver;
	driver.abi_major = 9;
	expect_error(zpool_register_driver(&driver), EINVAL, "abi_major is 9");
	driver = plain_driver;
	driver.struct_size = 8;
	expect_error(zpool_register_driver(&driver), EINVAL, "struct_size is 8");
	driver = plain_driver;
	driver.destroy = NULL;
	expect_error(zpool_register_driver(&driver), EINVAL, "destroy is NULL");
	driver = plain_driver;
	driver.type = "Plain";
	expect_error(zpool_register_driver(&driver), EINVAL, "type is not");
	driver.type = "my-plain";
	expect_error(zpool_register_driver(&driver), EINVAL, "type is not");
	ck_assert(!zpool_has_pool("plain"));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * zpool_evict
 */

static unsigned long evicted;

static int evict(struct zpool *pool, unsigned long handle)
{
	evicted = handle;
	if (handle == 2)
		return -EBUSY;
	zpool_free(pool, handle);
	return 0;
}

START_TEST(evict_calls_the_owner_and_returns_its_value)
{
	static const struct zpool_ops ops = { evict };
	unsigned long first, second;
	unsigned int reclaimed = 7;

	ck_assert_int_eq(zpool_register_driver(&kernel_driver), 0);
	struct zpool *pool = zpool_create_pool("kernel", 0, &ops);
	ck_assert_ptr_nonnull(pool);
	ck_assert(zpool_evictable(pool));
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &first), 0);
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &second), 0);
	ck_assert_int_eq(zpool_shrink(pool, 1, &reclaimed), 0);
	ck_assert_uint_eq(evicted, first);
	ck_assert_uint_eq(reclaimed, 1);
	ck_assert_int_eq(zpool_evict(kernel_pool, 2), -EBUSY);
	ck_assert_uint_eq(evicted, 2);
	zpool_destroy_pool(pool);
	expect_error(zpool_evict(kernel_pool, 1), ENOENT, "no driver has a pool at");
	ck_assert_int_eq(zpool_unregister_driver(&kernel_driver), 0);
}
END_TEST

START_TEST(evict_without_a_pool_or_a_callback_is_refused)
{
	int not_a_pool = 0;
	ck_assert_int_eq(zpool_register_driver(&kernel_driver), 0);
	struct zpool *pool = zpool_create_pool("kernel", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	ck_assert(!zpool_evictable(pool));
	expect_error(zpool_evict(kernel_pool, 1), EINVAL, "without an evict callback");
	expect_error(zpool_evict(&not_a_pool, 1), ENOENT, "no driver has a pool at");
	expect_error(zpool_evict(NULL, 1), ENOENT, "no driver has a pool at");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&kernel_driver), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Lists of drivers
 */

struct find {
	const char *type;
	unsigned int found;
	struct zpool_driver_info info;
	char path[4096], version[64], description[256], fault[400];
};

static void keep(char *to, size_t size, const char **text)
{
	to[0] = '\0';
	if (*text) {
		strncat(to, *text, size - 1);
		*text = to;
	}
}

static int find_driver(const struct zpool_driver_info *info, void *user)
{
	struct find *find = user;
	ck_assert_uint_ge(info->struct_size, sizeof(*info));
	if (strcmp(info->type, find->type) != 0)
		return 0;
	find->found++;
	find->info = *info;
	keep(find->path, sizeof(find->path), &find->info.path);
	keep(find->version, sizeof(find->version), &find->info.version);
	keep(find->description, sizeof(find->description), &find->info.description);
	keep(find->fault, sizeof(find->fault), &find->info.fault);
	return 0;
}

static const struct zpool_driver_info *find(const char *type)
{
	static struct find found;
	memset(&found, 0, sizeof(found));
	found.type = type;
	ck_assert_int_eq(zpool_each_driver(find_driver, &found), 0);
	ck_assert_msg(found.found <= 1, "%s is listed %u times", type, found.found);
	return found.found ? &found.info : NULL;
}

START_TEST(installed_drivers_are_listed_without_running_them)
{
	const char *path = fixture_install("good");
	const struct zpool_driver_info *info = find("good");
	ck_assert_ptr_nonnull(info);
	ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_FILE);
	ck_assert_str_eq(info->path, path);
	ck_assert_str_eq(info->version, "1.0");
	ck_assert_str_eq(info->description, "a mock without a fault");
	ck_assert_ptr_null(info->fault);
	ck_assert_uint_eq(info->abi_major, ZPOOL_ABI_MAJOR);
	ck_assert(!info->loaded);
	ck_assert(info->has_note);
	ck_assert_uint_eq(info->caps, 0);
	ck_assert_uint_eq(info->max_object_bytes, 0);
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
}
END_TEST

START_TEST(loaded_drivers_are_listed_with_their_pools)
{
	const char *path = fixture_install("good");
	struct zpool *pool = zpool_create_pool("good", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	const struct zpool_driver_info *info = find("good");
	ck_assert_ptr_nonnull(info);
	ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_FILE);
	ck_assert_str_eq(info->path, path);
	ck_assert(info->loaded);
	ck_assert(info->has_note);
	ck_assert_uint_eq(info->pools, 1);
	ck_assert_uint_eq(info->max_object_bytes, MOCK_MAX_BYTES);
	ck_assert_uint_eq(info->alignment_bytes, 16);
	ck_assert_uint_eq(info->caps, ZPOOL_CAP_MAP | ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_EVICT | ZPOOL_CAP_OBJECTS);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(find("good")->pools, 0);
}
END_TEST

START_TEST(registered_drivers_are_listed_and_hide_a_file)
{
	fixture_install("good");
	ck_assert_int_eq(zpool_register_driver(&good_driver), 0);
	const struct zpool_driver_info *info = find("good");
	ck_assert_ptr_nonnull(info);
	ck_assert_int_eq(info->origin, ZPOOL_ORIGIN_REGISTERED);
	ck_assert_ptr_null(info->path);
	ck_assert_str_eq(info->description, "a mock");
	ck_assert(info->loaded);
	ck_assert(!info->has_note);
	ck_assert_int_eq(zpool_unregister_driver(&good_driver), 0);
	ck_assert_int_eq(find("good")->origin, ZPOOL_ORIGIN_FILE);
}
END_TEST

START_TEST(only_the_first_file_of_a_name_is_listed)
{
	const char *second = fixture_make_dir("second", 0755);
	fixture_install_as("good_v2", fixture_text("%s/good.so", second));
	fixture_install_as("other", fixture_text("%s/other.so", second));
	const char *first = fixture_install("good");
	ck_assert_int_eq(zpool_set_plugin_path(fixture_text("%s:%s:%s", fixture_dir(), second, fixture_dir())), 0);
	ck_assert_str_eq(find("good")->path, first);
	ck_assert_str_eq(find("good")->version, "1.0");
	ck_assert_ptr_nonnull(find("other"));
}
END_TEST

START_TEST(a_file_whose_name_cannot_be_a_drivers_is_listed_with_its_fault)
{
	fixture_install_as("my_drv", fixture_text("%s/my-drv.so", fixture_dir()));
	const struct zpool_driver_info *info = find("my-drv.so");
	ck_assert_ptr_nonnull(info);
	ck_assert_ptr_nonnull(strstr(info->fault, "its name cannot be a driver's"));
	fixture_install_as("my_drv", fixture_text("%s/Good.so", fixture_dir()));
	ck_assert_ptr_nonnull(find("Good.so")->fault);
}
END_TEST

static int stop_at_once(const struct zpool_driver_info *info, void *user)
{
	(void)info;
	++*(unsigned int *)user;
	return 42;
}

static int load_while_listing(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	if (!info->fault && info->origin == ZPOOL_ORIGIN_FILE)
		expect_works(info->type);
	return zpool_each_driver(find_driver, &(struct find){ .type = "none" });
}

START_TEST(visitor_can_end_a_walk_and_no_lock_is_held)
{
	unsigned int visited = 0;
	fixture_install("good");
	fixture_install("other");
	fixture_install("bad_note_type");
	ck_assert_int_eq(zpool_each_driver(stop_at_once, &visited), 42);
	ck_assert_uint_eq(visited, 1);
	ck_assert_int_eq(zpool_each_driver(load_while_listing, NULL), 0);
	ck_assert_uint_eq(fixture_events(NULL, "load"), 2);
	expect_error(zpool_each_driver(NULL, NULL), EINVAL, "no function");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Parameters, and zpool_has_pool()
 */

static int list_param(const struct zpool_param *param, size_t size, void *user)
{
	char *list = user;
	ck_assert_uint_ge(size, sizeof(*param));
	strcat(strcat(list, param->key), " ");
	return strcmp(param->key, "mode") == 0 && list[0] == '!' ? 5 : 0;
}

START_TEST(parameters_are_shown_in_order_with_the_limit_last)
{
	char list[200] = "";
	fixture_install("params");
	ck_assert_int_eq(zpool_each_param("params", list_param, list), 0);
	ck_assert_str_eq(list, "fast level room mode label limit ");
	strcpy(list, "!");
	ck_assert_int_eq(zpool_each_param("params", list_param, list), 5);
	ck_assert_str_eq(list, "!fast level room mode ");
	expect_error(zpool_each_param("params", NULL, NULL), EINVAL, "no function");
	expect_error(zpool_each_param(NULL, list_param, list), EINVAL, "driver's name");
	expect_error(zpool_each_param("", list_param, list), EINVAL, "driver's name");
	expect_error(zpool_each_param("nosuch", list_param, list), ENOENT, "nosuch.so");
}
END_TEST

START_TEST(unknown_parameter_is_refused_with_a_list_of_the_known_ones)
{
	fixture_install("params");
	expect_refused("params:colour=red", EINVAL, "no parameter \"colour\"", "fast=no", "level=3",
		       "a number from 1 to 9", "one of up down", "limit=0", "what to call it");
	expect_refused("params:level=10", EINVAL, "\"10\" is not a valid value for \"level\"", "from 1 to 9");
	expect_refused("params:mode=sideways", EINVAL, "\"sideways\"", "one of up down");
	expect_refused("params:label=123456789", EINVAL, "\"123456789\"", "at most 8 bytes");
	expect_works("params:fast=on,level=9,room=3M,mode=down,label=%61%2c,limit=0");
}
END_TEST

START_TEST(has_pool_reports_which_part_is_missing)
{
	fixture_install("good");
	fixture_install("filter");
	ck_assert(zpool_has_pool("good"));
	ck_assert(zpool_has_pool("filter+good"));
	ck_assert(!zpool_has_pool("filter+nosuch"));
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "nosuch.so"));
	ck_assert(!zpool_has_pool("nosuch+good"));
	ck_assert(!zpool_has_pool("filter+"));
	ck_assert(!zpool_has_pool(""));
	ck_assert(!zpool_has_pool(NULL));
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "no name"));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("registry");
	tcase_add_test(tests, a_type_can_be_registered_once);
	tcase_add_test(tests, a_loaded_type_cannot_be_registered);
	tcase_add_test(tests, registered_driver_takes_precedence_over_a_file);
	tcase_add_test(tests, unregistering_makes_the_type_absent);
	tcase_add_test(tests, invalid_driver_is_not_registered);
	tcase_add_test(tests, evict_calls_the_owner_and_returns_its_value);
	tcase_add_test(tests, evict_without_a_pool_or_a_callback_is_refused);
	tcase_add_test(tests, installed_drivers_are_listed_without_running_them);
	tcase_add_test(tests, loaded_drivers_are_listed_with_their_pools);
	tcase_add_test(tests, registered_drivers_are_listed_and_hide_a_file);
	tcase_add_test(tests, only_the_first_file_of_a_name_is_listed);
	tcase_add_test(tests, a_file_whose_name_cannot_be_a_drivers_is_listed_with_its_fault);
	tcase_add_test(tests, visitor_can_end_a_walk_and_no_lock_is_held);
	tcase_add_test(tests, parameters_are_shown_in_order_with_the_limit_last);
	tcase_add_test(tests, unknown_parameter_is_refused_with_a_list_of_the_known_ones);
	tcase_add_test(tests, has_pool_reports_which_part_is_missing);
	return fixture_run("registry", tests);
}
