/* SPDX-License-Identifier: MIT
 *
 * inventory.c - the calls about drivers: the list of them, zpool_has_pool(), zpool_each_param() and zpool_version()
 */
#include "config.h"

#include <ltdl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

/* libtool writes this into a program that is linked with -dlpreopen. */
static struct zpool_driver linked_driver, mislabelled_driver;
ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", &linked_driver },
	{ "mislabelled.a", NULL },
	{ "mislabelled_LTX_zpool_driver", &mislabelled_driver },
	{ NULL, NULL },
};

static struct zpool_driver driver;

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	linked_driver = driver_for_tests("linked");
	mislabelled_driver = driver_for_tests("something_else");
	scratch_make();
	ck_assert_int_eq(zpool_set_plugin_path(scratch_path("")), 0);
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
}

static void finish(void)
{
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(zpool_rescan(), 0);
	scratch_remove();
}

/* What a walk reported about one type. */
struct seen {
	const char *type;
	unsigned int times, before; /* `before` is the number of types visited before it */
	struct zpool_driver_info info;
	char version[32], description[64], path[PATH_MAX], fault[400];
};

static void keep(char *to, size_t bytes, const char *text)
{
	(void)snprintf(to, bytes, "%s", text ? text : "(null)");
}

static int look_for(const struct zpool_driver_info *info, void *user)
{
	struct seen *seen = user;
	ck_assert_uint_eq(info->struct_size, sizeof(*info));
	if (strcmp(info->type, seen->type) != 0) {
		seen->before += seen->times == 0;
		return 0;
	}
	seen->times++;
	seen->info = *info;
	keep(seen->version, sizeof(seen->version), info->version);
	keep(seen->description, sizeof(seen->description), info->description);
	keep(seen->path, sizeof(seen->path), info->path);
	keep(seen->fault, sizeof(seen->fault), info->fault);
	return 0;
}

static struct seen *look(const char *type)
{
	static struct seen seen;
	memset(&seen, 0, sizeof(seen));
	seen.type = type;
	ck_assert_int_eq(zpool_each_driver(look_for, &seen), 0);
	return &seen;
}

START_TEST(functions_without_a_visitor_are_refused)
{
	assert_fails(zpool_each_driver(NULL, NULL), EINVAL, "zpool_each_driver() was given no function");
	assert_fails(zpool_each_param("mock", NULL, NULL), EINVAL, "zpool_each_param() was given no function");
}
END_TEST

START_TEST(registered_driver_is_listed_in_full)
{
	start();
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	const struct seen *seen = look("mock");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert_int_eq(seen->info.origin, ZPOOL_ORIGIN_REGISTERED);
	ck_assert_str_eq(seen->version, "1.2");
	ck_assert_str_eq(seen->description, "keeps objects in a table");
	ck_assert_str_eq(seen->path, "(null)");
	ck_assert_str_eq(seen->fault, "(null)");
	ck_assert(seen->info.loaded && !seen->info.has_note);
	ck_assert_uint_eq(seen->info.abi_major, ZPOOL_ABI_MAJOR);
	ck_assert_uint_eq(seen->info.pools, 1);
	ck_assert_uint_eq(seen->info.max_object_bytes, DRIVER_MAX_OBJECT);
	ck_assert_uint_eq(seen->info.alignment_bytes, 8);
	ck_assert_uint_ne(seen->info.caps & ZPOOL_CAP_EVICT, 0);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(look("mock")->info.pools, 0);
	finish();
}
END_TEST

START_TEST(pool_with_a_filter_in_two_parts_counts_once)
{
	start();
	struct zpool_driver filter = filter_for_tests("sieve");
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	struct zpool *pool = zpool_create_pool("sieve+sieve+mock", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_uint_eq(look("sieve")->info.pools, 1);
	ck_assert_uint_eq(look("mock")->info.pools, 1);
	assert_fails(zpool_unregister_driver(&filter), EBUSY, "in use by 1 pool;");
	zpool_destroy_pool(pool);
	assert_fails_null(zpool_create_pool("sieve+sieve", 0, NULL), EINVAL, "needs a driver below it");
	ck_assert_uint_eq(look("sieve")->info.pools, 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
	finish();
}
END_TEST

START_TEST(files_are_listed_with_their_faults_and_not_loaded)
{
	start();
	scratch_file("broken.so", 0644, "no plugin", 9);
	scratch_file("Bad-Name.so", 0644, "no plugin", 9);
	scratch_file("readme.txt", 0644, "no plugin", 9);
	const struct seen *seen = look("broken");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert_int_eq(seen->info.origin, ZPOOL_ORIGIN_FILE);
	ck_assert(!seen->info.loaded && !seen->info.has_note);
	ck_assert_str_eq(seen->path, scratch_path("broken.so"));
	ck_assert_str_eq(seen->fault, "it is not an ELF file");
	ck_assert_str_eq(seen->version, "(null)");
	ck_assert_uint_eq(seen->info.abi_major, 0);
	assert_contains(look("Bad-Name.so")->fault, "its name cannot be a driver's");
	ck_assert_uint_eq(look("readme.txt")->times, 0);
	finish();
}
END_TEST

static int count_drivers(const struct zpool_driver_info *info, void *user)
{
	(void)info;
	++*(unsigned int *)user;
	return 0;
}

START_TEST(listing_without_descriptors_fails_and_shows_nothing)
{
	unsigned int shown = 0;
	start();
	unit_leave_descriptors(0);
	int err = zpool_each_driver(count_drivers, &shown);
	unit_leave_descriptors(-1);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_uint_eq(shown, 0);
	assert_contains(zpool_last_error(), "Too many open files");
	assert_contains(zpool_last_error(), scratch_path(""));
	finish();
}
END_TEST

START_TEST(unreadable_directory_does_not_hide_other_drivers)
{
	unsigned int shown = 0;
	start();
	/* Root may read all directories, but cannot open a path with a loop of links. */
	if (geteuid() != 0)
		scratch_directory("shut", 0000);
	else
		scratch_link("shut", "shut");
	ck_assert_int_eq(zpool_set_plugin_path(scratch_path("shut")), 0);
	assert_fails(zpool_each_driver(count_drivers, &shown), geteuid() != 0 ? EACCES : ELOOP, scratch_path("shut"));
	ck_assert_uint_ge(shown, 3);
	finish();
}
END_TEST

START_TEST(file_of_a_registered_type_is_not_listed)
{
	start();
	scratch_file("mock.so", 0644, "no plugin", 9);
	const struct seen *seen = look("mock");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert_int_eq(seen->info.origin, ZPOOL_ORIGIN_REGISTERED);
	ck_assert_str_eq(seen->fault, "(null)");
	finish();
}
END_TEST

START_TEST(plugin_is_listed_from_its_note_before_the_load)
{
	start();
	if (!scratch_plugin("planted.so", "planted")) {
		finish();
		return;
	}
	const struct seen *seen = look("planted");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert(seen->info.has_note && !seen->info.loaded);
	ck_assert_str_eq(seen->fault, "(null)");
	ck_assert_str_eq(seen->version, "0.7");
	ck_assert_str_eq(seen->description, "stands in for a plugin in tests");
	ck_assert_uint_eq(seen->info.abi_major, ZPOOL_ABI_MAJOR);
	ck_assert_uint_eq(seen->info.max_object_bytes, 0);
	ck_assert(zpool_has_pool("planted"));
	seen = look("planted");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert(seen->info.has_note && seen->info.loaded);
	ck_assert_int_eq(seen->info.origin, ZPOOL_ORIGIN_FILE);
	ck_assert_str_eq(seen->path, scratch_path("planted.so"));
	ck_assert_uint_eq(seen->info.max_object_bytes, 64);
	ck_assert_int_eq(zpool_unload_driver("planted"), 0);
	finish();
}
END_TEST

static int check_order(const struct zpool_driver_info *info, void *user)
{
	char *last = user;
	ck_assert_int_lt(strcmp(last, info->type), 0);
	(void)snprintf(last, 64, "%s", info->type);
	return 0;
}

START_TEST(linked_drivers_are_listed_even_if_faulty)
{
	start();
	scratch_file("linked.so", 0644, "no plugin", 9);
	const struct seen *seen = look("linked");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert_int_eq(seen->info.origin, ZPOOL_ORIGIN_PRELOADED);
	ck_assert_str_eq(seen->fault, "(null)");
	ck_assert_str_eq(seen->version, "1.2");
	ck_assert_uint_eq(seen->info.max_object_bytes, DRIVER_MAX_OBJECT);
	seen = look("mislabelled");
	ck_assert_uint_eq(seen->times, 1);
	assert_contains(seen->fault, "type is \"something_else\", but the driver was looked up as \"mislabelled\"");
	ck_assert(!seen->info.loaded);
	finish();
}
END_TEST

START_TEST(registered_driver_hides_a_linked_one)
{
	start();
	struct zpool_driver own = linked_driver;
	own.version = "9.9";
	ck_assert_int_eq(zpool_register_driver(&own), 0);
	const struct seen *seen = look("linked");
	ck_assert_uint_eq(seen->times, 1);
	ck_assert_str_eq(seen->version, "9.9");
	ck_assert_int_eq(zpool_unregister_driver(&own), 0);
	finish();
}
END_TEST

START_TEST(drivers_are_shown_in_the_order_of_their_names)
{
	char last[64] = "", name[32];
	start();
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "m%d.so", (i * 7) % 40);
		scratch_file(name, 0644, "", 0);
	}
	ck_assert_int_eq(zpool_each_driver(check_order, last), 0);
	ck_assert_str_eq(last, "mock");
	finish();
}
END_TEST

static int end_at_once(const struct zpool_driver_info *info, void *user)
{
	(void)info;
	++*(int *)user;
	return 42;
}

START_TEST(visitors_value_ends_the_walk)
{
	int visits = 0;
	start();
	scratch_file("a.so", 0644, "", 0);
	ck_assert_int_eq(zpool_each_driver(end_at_once, &visits), 42);
	ck_assert_int_eq(visits, 1);
	finish();
}
END_TEST

static int use_library(const struct zpool_driver_info *info, void *user)
{
	struct zpool *pool = strcmp(info->type, "mock") == 0 ? zpool_create_pool("mock", 0, NULL) : NULL;
	*(bool *)user = pool != NULL;
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(visitor_may_use_the_library)
{
	bool made = false;
	start();
	ck_assert_int_eq(zpool_each_driver(use_library, &made), 0);
	ck_assert(made);
	finish();
}
END_TEST

START_TEST(has_pool_checks_every_part_and_sets_a_message)
{
	struct zpool_driver filter = filter_for_tests("sieve");
	start();
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
	ck_assert(zpool_has_pool("mock"));
	ck_assert(zpool_has_pool("sieve:depth=1+mock"));
	ck_assert(!zpool_has_pool("sieve+nosuch"));
	assert_contains(zpool_last_error(), "No driver \"nosuch\"");
	ck_assert(!zpool_has_pool("nosuch+mock"));
	static const char *const never[] = { "sieve", "sieve+sieve", "mock+mock", "mock+sieve" };
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++) {
		ck_assert(!zpool_has_pool(never[i]));
		char reason[200];
		(void)snprintf(reason, sizeof(reason), "%s", zpool_last_error());
		assert_fails_null(zpool_create_pool(never[i], 0, NULL), EINVAL, reason);
	}
	ck_assert(!zpool_has_pool(NULL));
	assert_contains(zpool_last_error(), "zpool_has_pool() was given no name");
	ck_assert(!zpool_has_pool("../mock"));
	assert_contains(zpool_last_error(), "is not a valid driver name");
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
	finish();
}
END_TEST

static int collect_keys(const struct zpool_param *param, size_t size, void *user)
{
	ck_assert_uint_eq(size, sizeof(*param));
	ck_assert_ptr_nonnull(param->help);
	strcat(strcat(user, param->key), ",");
	return strcmp(param->key, "colour") == 0 && strstr(user, "stop") ? 42 : 0;
}

START_TEST(parameters_are_shown_in_order_with_limit_last)
{
	char keys[128] = "";
	start();
	ck_assert_int_eq(zpool_each_param("mock", collect_keys, keys), 0);
	ck_assert_str_eq(keys, "level,colour,note,limit,");
	strcpy(keys, "stop:");
	ck_assert_int_eq(zpool_each_param("mock", collect_keys, keys), 42);
	ck_assert_str_eq(keys, "stop:level,colour,");
	finish();
}
END_TEST

START_TEST(parameters_need_a_drivers_name)
{
	char keys[128] = "";
	start();
	assert_fails(zpool_each_param(NULL, collect_keys, keys), EINVAL, "was not given a driver's name");
	assert_fails(zpool_each_param("", collect_keys, keys), EINVAL, "was not given a driver's name");
	assert_fails(zpool_each_param("sieve+mock", collect_keys, keys), EINVAL, "was not given a driver's name");
	assert_fails(zpool_each_param("nosuch", collect_keys, keys), ENOENT, "No driver \"nosuch\"");
	ck_assert_str_eq(keys, "");
	finish();
}
END_TEST

START_TEST(version_is_the_headers)
{
	ck_assert_str_eq(zpool_version(), ZPOOL_VERSION);
	char expected[32];
	(void)snprintf(expected, sizeof(expected), "%d.%d.%d", ZPOOL_VERSION_MAJOR, ZPOOL_VERSION_MINOR,
		       ZPOOL_VERSION_PATCH);
	ck_assert_str_eq(ZPOOL_VERSION, expected);
	ck_assert_int_eq(ZPOOL_VERSION_NUMBER, 100);
}
END_TEST

/* Counts correct entries. It must not use assertions, because Check's own allocations would fail too. */
static int expect_faults(const struct zpool_driver_info *info, void *user)
{
	if (info->type && (info->fault == NULL) == (info->type[1] && strcmp(info->type, "mislabelled") != 0))
		++*(unsigned int *)user;
	return 0;
}

START_TEST(every_failing_allocation_of_a_listing_is_reported)
{
	start();
	for (char c = 'a'; c < 'a' + 18; c++) {
		const char name[] = { c, '.', 's', 'o', '\0' };
		scratch_file(name, 0644, "no plugin", 9);
	}
	for (unsigned int nth = 1;; nth++) {
		unsigned int visits = 0;
		memory_fail_at(nth);
		int err = zpool_each_driver(expect_faults, &visits);
		if (!memory_stop()) {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_eq(visits, 21);
			break;
		}
		ck_assert_msg(err != 0, "allocation %u failed, but the listing reported no error", nth);
		/* An incomplete listing would show broken files as valid. */
		assert_fails(err, ENOMEM, "Out of memory while listing drivers");
		ck_assert_uint_eq(visits, 0);
	}
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		functions_without_a_visitor_are_refused,
		registered_driver_is_listed_in_full,
		pool_with_a_filter_in_two_parts_counts_once,
		files_are_listed_with_their_faults_and_not_loaded,
		listing_without_descriptors_fails_and_shows_nothing,
		unreadable_directory_does_not_hide_other_drivers,
		file_of_a_registered_type_is_not_listed,
		plugin_is_listed_from_its_note_before_the_load,
		linked_drivers_are_listed_even_if_faulty,
		registered_driver_hides_a_linked_one,
		drivers_are_shown_in_the_order_of_their_names,
		visitors_value_ends_the_walk,
		visitor_may_use_the_library,
		has_pool_checks_every_part_and_sets_a_message,
		parameters_are_shown_in_order_with_limit_last,
		parameters_need_a_drivers_name,
		version_is_the_headers,
		every_failing_allocation_of_a_listing_is_reported,
	};
	return UNIT_RUN("core/inventory", tests);
}
