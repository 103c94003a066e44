/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/loader.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zp_installed *list;
static size_t count;

static void start(void)
{
	scratch_make();
	scratch_directory("first", 0755);
	scratch_directory("second", 0755);
	char path[3 * PATH_MAX];
	(void)snprintf(path, sizeof path, "%s:%s:%s", scratch_path("first"), scratch_path("none"),
		       scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
}

static void finish(void)
{
	zp_loader_free_installed(list, count);
	list = NULL;
	count = 0;
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	scratch_remove();
}

static void read_list(size_t expected)
{
	zp_loader_free_installed(list, count);
	ck_assert_int_eq(zp_loader_list_installed(&list, &count), 0);
	ck_assert_uint_eq(count, expected);
}

START_TEST(empty_directories_hold_nothing)
{
	start();
	read_list(0);
	finish();
}
END_TEST

START_TEST(only_names_that_end_in_so_are_listed)
{
	start();
	scratch_file("first/a.so", 0644, "x", 1);
	scratch_file("first/.so", 0644, "x", 1);
	scratch_file("first/so", 0644, "x", 1);
	scratch_file("first/b.so.1", 0644, "x", 1);
	scratch_file("first/c.la", 0644, "x", 1);
	scratch_file("first/README", 0644, "x", 1);
	read_list(1);
	ck_assert_str_eq(list[0].type, "a");
	ck_assert_str_eq(list[0].path, scratch_path("first/a.so"));
	finish();
}
END_TEST

START_TEST(first_file_of_a_name_hides_the_others)
{
	start();
	scratch_file("first/a.so", 0644, "x", 1);
	scratch_file("second/a.so", 0644, "x", 1);
	scratch_file("second/b.so", 0644, "x", 1);
	read_list(2);
	ck_assert_str_eq(list[0].path, scratch_path("first/a.so"));
	ck_assert_str_eq(list[1].path, scratch_path("second/b.so"));
	finish();
}
END_TEST

START_TEST(list_is_sorted_by_name_across_directories)
{
	char name[32];
	start();
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "%s/n%02d.so", i % 2 ? "first" : "second", (i * 17) % 50);
		scratch_file(name, 0644, "x", 1);
	}
	read_list(50);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "n%02d", i);
		ck_assert_str_eq(list[i].type, name);
	}
	finish();
}
END_TEST

static void shows(const char *file, const char *fault)
{
	read_list(1);
	assert_contains(list[0].path, file);
	ck_assert_ptr_nonnull(list[0].fault);
	assert_contains(list[0].fault, fault);
	ck_assert(remove(scratch_path(file)) == 0);
}

START_TEST(each_fault_that_a_load_would_meet_is_shown)
{
	start();
	scratch_file("first/Name.so", 0644, "x", 1);
	shows("first/Name.so", "its name cannot be a driver's");
	scratch_file("first/a-b.so", 0644, "x", 1);
	shows("first/a-b.so", "its name cannot be a driver's");
	scratch_file("first/a23456789012345678901234567890123.so", 0644, "x", 1);
	shows("first/a23456789012345678901234567890123.so", "its name cannot be a driver's");
	scratch_file("first/open.so", 0666, "x", 1);
	shows("first/open.so", "is world-writable");
	scratch_directory("first/dir.so", 0755);
	shows("first/dir.so", "is not a regular file");
	scratch_link("first/link.so", "nowhere");
	shows("first/link.so", "nowhere: No such file");
	scratch_file("first/junk.so", 0644, "x", 1);
	shows("first/junk.so", "it is not an ELF file");
	finish();
}
END_TEST

START_TEST(name_that_can_be_no_drivers_has_no_type)
{
	start();
	scratch_file("first/Name.so", 0644, "x", 1);
	read_list(1);
	ck_assert_str_eq(list[0].type, "");
	finish();
}
END_TEST

START_TEST(plugin_is_read_and_not_run)
{
	start();
	if (scratch_plugin("first/planted.so", "planted")) {
		read_list(1);
		ck_assert_ptr_null(list[0].fault);
		ck_assert(list[0].report.has_note);
		ck_assert_str_eq(list[0].report.version, "0.7");
		FILE *maps = fopen("/proc/self/maps", "re");
		char line[PATH_MAX + 128];
		while (maps && fgets(line, sizeof line, maps))
			assert_lacks(line, "planted.so");
		if (maps)
			fclose(maps);
		ck_assert(scratch_plugin("first/renamed.so", "planted"));
		read_list(2);
		assert_contains(list[1].fault, "its note says that it is driver \"planted\"");
	}
	finish();
}
END_TEST

START_TEST(unreadable_file_is_shown_with_the_reason)
{
	start();
	scratch_file("first/shut.so", 0000, "x", 1);
	read_list(1);
	assert_contains(list[0].fault, geteuid() == 0 ? "it is not an ELF file" : "Permission denied");
	finish();
}
END_TEST

START_TEST(free_of_nothing_is_harmless)
{
	zp_loader_free_installed(NULL, 0);
}
END_TEST

START_TEST(every_failing_allocation_is_reported)
{
	char name[32];
	start();
	for (int i = 0; i < 18; i++) {
		(void)snprintf(name, sizeof name, "first/n%d.so", i);
		scratch_file(name, 0644, "x", 1);
	}
	for (unsigned nth = 1;; nth++) {
		struct zp_installed *found = NULL;
		size_t number = 0;
		memory_fail_at(nth);
		int err = zp_loader_list_installed(&found, &number);
		if (!memory_stop()) {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_eq(number, 18);
			zp_loader_free_installed(found, number);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_ptr_null(found);
	}
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		empty_directories_hold_nothing,
		only_names_that_end_in_so_are_listed,
		first_file_of_a_name_hides_the_others,
		list_is_sorted_by_name_across_directories,
		each_fault_that_a_load_would_meet_is_shown,
		name_that_can_be_no_drivers_has_no_type,
		plugin_is_read_and_not_run,
		unreadable_file_is_shown_with_the_reason,
		free_of_nothing_is_harmless,
		every_failing_allocation_is_reported,
	};
	return UNIT_RUN("loader/installed", tests);
}
