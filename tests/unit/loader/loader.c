/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "loader/loader.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/module.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zpool_driver linked_driver;
ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", &linked_driver },
	{ "driverless.a", NULL },
	{ "driverless_LTX_something", &linked_driver },
	{ NULL, NULL },
};

static const struct zp_load_failure nothing;
static struct zp_loaded loaded;
static struct zp_load_failure failure;

static void start(void)
{
	scratch_make();
	scratch_directory("first", 0755);
	scratch_directory("second", 0755);
	char path[2 * PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s:%s", scratch_path("first"), scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
}

static void finish(void)
{
	zp_load_failure_clear(&failure);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	scratch_remove();
}

static void fails(const char *type, const struct zp_load_failure *remembered, int err, const char *message)
{
	zp_load_failure_clear(&failure);
	ck_assert_int_eq(zp_loader_load(type, true, remembered, &loaded, &failure), -err);
	ck_assert_int_eq(failure.err, err);
	assert_contains(failure.message, message);
	ck_assert_ptr_null(loaded.module);
	ck_assert_ptr_null(loaded.path);
}

START_TEST(absent_driver_is_reported_with_every_path_in_order)
{
	char expected[3 * PATH_MAX];
	start();
	fails("absent", &nothing, ENOENT, "No driver \"absent\": it is neither registered nor linked into the program");
	(void)snprintf(expected, sizeof(expected),
		       "tried %s (No such file or directory); %s (No such file or directory). ",
		       scratch_path("first/absent.so"), scratch_path("second/absent.so"));
	assert_contains(failure.message, expected);
	assert_contains(failure.message, "zpool_set_plugin_path() or ZPOOL_PLUGIN_PATH");
	ck_assert(!failure.content);
	finish();
}
END_TEST

START_TEST(path_without_an_absolute_directory_is_reported)
{
	start();
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", "relative:also/relative", 1), 0);
	fails("absent", &nothing, ENOENT,
	      "tried not \"relative\" (only absolute directories are searched); not \"also/relative\" (only absolute directories are searched).");
	finish();
}
END_TEST

START_TEST(directory_with_too_long_file_names_is_reported)
{
	char *path = malloc(PATH_MAX);
	start();
	memset(path, '/', PATH_MAX);
	path[PATH_MAX - 1] = '\0';
	path[PATH_MAX - 2] = 'd';
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
	ck_assert_int_eq(zp_loader_load("absent", true, &nothing, &loaded, &failure), -ENOENT);
	ck_assert(strstr(failure.message, "too long for a path") != NULL);
	free(path);
	finish();
}
END_TEST

START_TEST(lack_of_descriptors_is_reported_and_temporary)
{
	start();
	if (scratch_plugin("second/planted.so", "planted")) {
		zp_load_failure_clear(&failure);
		unit_leave_descriptors(0);
		int err = zp_loader_load("planted", true, &nothing, &loaded, &failure);
		unit_leave_descriptors(-1);
		ck_assert_int_eq(err, -EMFILE);
		assert_contains(failure.message, "Too many open files");
		ck_assert(!failure.content);
		zp_load_failure_clear(&failure);
		ck_assert_int_eq(zp_loader_load("planted", true, &nothing, &loaded, &failure), 0);
		zp_loader_discard(&loaded);
	}
	finish();
}
END_TEST

START_TEST(unreadable_directory_is_not_reported_as_empty)
{
	char path[2 * PATH_MAX];
	start();
	/* Root may search all directories, but cannot open a path with a loop of links. */
	if (geteuid() != 0)
		scratch_directory("shut", 0000);
	else
		scratch_link("shut", "shut");
	(void)snprintf(path, sizeof(path), "%s:%s", scratch_path("shut"), scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
	fails("planted", &nothing, geteuid() != 0 ? EACCES : ELOOP, scratch_path("shut/planted.so"));
	zp_load_failure_clear(&failure);
	if (scratch_plugin("second/planted.so", "planted")) {
		ck_assert_int_eq(zp_loader_load("planted", true, &nothing, &loaded, &failure), 0);
		zp_loader_discard(&loaded);
	}
	finish();
}
END_TEST

START_TEST(first_directory_that_has_the_file_is_used)
{
	start();
	if (scratch_plugin("second/planted.so", "planted")) {
		ck_assert_int_eq(zp_loader_load("planted", true, &nothing, &loaded, &failure), 0);
		ck_assert_str_eq(loaded.path, scratch_path("second/planted.so"));
		ck_assert_str_eq(loaded.driver->type, "planted");
		ck_assert_uint_eq(loaded.symbol_bytes, sizeof(*loaded.driver));
		zp_loader_discard(&loaded);
		ck_assert_ptr_null(loaded.path);
	}
	scratch_file("first/planted.so", 0644, "broken", 6);
	fails("planted", &nothing, ENOEXEC, "it is not an ELF file");
	assert_contains(failure.message, scratch_path("first/planted.so"));
	ck_assert_int_eq(unlink(scratch_path("first/planted.so")), 0);
	scratch_link("first/planted.so", "nowhere");
	fails("planted", &nothing, ENOENT, "was not loaded from");
	finish();
}
END_TEST

START_TEST(fault_in_a_file_is_remembered_with_the_files_identity)
{
	struct stat st;
	start();
	scratch_file("first/broken.so", 0644, "broken", 6);
	ck_assert_int_eq(stat(scratch_path("first/broken.so"), &st), 0);
	fails("broken", &nothing, ENOEXEC, "Driver \"broken\" cannot be loaded from");
	ck_assert(failure.content);
	ck_assert_uint_eq(failure.id.inode, st.st_ino);
	ck_assert_int_eq(failure.id.bytes, 6);
	finish();
}
END_TEST

START_TEST(untrusted_file_is_not_loaded_and_not_remembered)
{
	start();
	scratch_file("first/open.so", 0666, "broken", 6);
	fails("open", &nothing, EPERM, "Driver \"open\" was not loaded from");
	assert_contains(failure.message, "is world-writable; chmod o-w it");
	ck_assert(!failure.content);
	scratch_directory("first/dir.so", 0755);
	fails("dir", &nothing, ENOEXEC, "is not a regular file");
	ck_assert(!failure.content);
	finish();
}
END_TEST

/* The linker would open planted.so in scratch/lib, or lib64, which was not checked. */
START_TEST(path_with_a_variable_of_the_linker_is_refused)
{
	static const char *const directories[] = { "$LIB", "${LIB}", "a$PLATFORM" };
	start();
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++) {
		char entry[64];
		scratch_directory(directories[i], 0755);
		(void)snprintf(entry, sizeof(entry), "%s/planted.so", directories[i]);
		if (!scratch_plugin(entry, "planted"))
			break;
		ck_assert_int_eq(zpool_set_plugin_path(scratch_path(directories[i])), 0);
		fails("planted", &nothing, EPERM, "has a dollar sign");
		assert_contains(failure.message, "install the plugin in a directory without dollar signs");
		ck_assert(!failure.content);
	}
	finish();
}
END_TEST

START_TEST(link_with_a_dollar_sign_to_a_literal_path_is_accepted)
{
	start();
	if (scratch_plugin("first/planted.so", "planted")) {
		scratch_link("$LIB", "first");
		ck_assert_int_eq(zpool_set_plugin_path(scratch_path("$LIB")), 0);
		ck_assert_int_eq(zp_loader_load("planted", true, &nothing, &loaded, &failure), 0);
		zp_loader_discard(&loaded);
	}
	finish();
}
END_TEST

START_TEST(file_under_another_name_than_its_note_says_is_refused)
{
	start();
	if (scratch_plugin("first/renamed.so", "planted")) {
		fails("renamed", &nothing, ENOEXEC, "its note is that of driver \"planted\"; name the file planted.so");
		ck_assert(failure.content);
	}
	finish();
}
END_TEST

START_TEST(remembered_failure_is_reported_until_the_file_changes)
{
	start();
	scratch_file("first/broken.so", 0644, "broken", 6);
	fails("broken", &nothing, ENOEXEC, "it is not an ELF file");
	ck_assert_str_eq(failure.reason, "it is not an ELF file");
	struct zp_load_failure remembered = failure;
	char reason[] = "the very reason that was remembered";
	free(remembered.message);
	free(remembered.reason);
	remembered.message = NULL;
	remembered.reason = reason;
	failure.message = failure.reason = NULL;
	fails("broken", &remembered, ENOEXEC, "first/broken.so: the very reason that was remembered.");
	ck_assert(failure.content);
	ck_assert_str_eq(failure.reason, reason);
	remembered.id.bytes++;
	fails("broken", &remembered, ENOEXEC, "it is not an ELF file");
	remembered.id.bytes--;
	remembered.content = false;
	fails("broken", &remembered, ENOEXEC, "it is not an ELF file");
	finish();
}
END_TEST

START_TEST(identities_differ_if_any_part_differs)
{
	const struct zp_file_id id = { .device = 1, .inode = 2, .bytes = 3, .modified = { 4, 5 }, .changed = { 6, 7 } };
	struct zp_file_id other = id;
	ck_assert(zp_file_id_equal(&id, &other));
	other.device++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.inode++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.bytes++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.modified.tv_sec++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.modified.tv_nsec++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.changed.tv_sec++;
	ck_assert(!zp_file_id_equal(&id, &other));
	other = id;
	other.changed.tv_nsec++;
	ck_assert(!zp_file_id_equal(&id, &other));
}
END_TEST

START_TEST(linked_driver_is_found_before_files_and_without_files)
{
	start();
	linked_driver = driver_for_tests("linked");
	scratch_file("first/linked.so", 0644, "broken", 6);
	for (int files = 0; files <= 1; files++) {
		ck_assert_int_eq(zp_loader_load("linked", files, &nothing, &loaded, &failure), 0);
		ck_assert_ptr_eq(loaded.driver, &linked_driver);
		ck_assert_ptr_null(loaded.path);
		ck_assert_uint_eq(loaded.symbol_bytes, 0);
		zp_loader_discard(&loaded);
	}
	finish();
}
END_TEST

START_TEST(linked_module_without_a_driver_is_reported)
{
	start();
	fails("driverless", &nothing, ENOEXEC, "lacks the symbol driverless_LTX_zpool_driver");
	ck_assert(!failure.content);
	finish();
}
END_TEST

START_TEST(search_does_not_look_for_files_that_are_not_allowed)
{
	start();
	ck_assert_int_eq(zp_loader_load("planted", false, &nothing, &loaded, &failure), -EPERM);
	assert_contains(failure.message, "zpool_loading_disable() forbids loading");
	zp_load_failure_clear(&failure);
	ck_assert_ptr_null(failure.message);
	ck_assert_int_eq(failure.err, 0);
	finish();
}
END_TEST

START_TEST(file_that_the_linker_holds_in_an_older_version_is_refused)
{
	start();
	if (scratch_plugin("first/planted.so", "planted")) {
		void *other = dlopen(scratch_path("first/planted.so"), RTLD_NOW | RTLD_LOCAL);
		ck_assert_int_eq(rename(scratch_path("first/planted.so"), scratch_path("earlier")), 0);
		ck_assert(scratch_plugin("first/planted.so", "planted"));
		fails("planted", &nothing, EBUSY, "another part of the program still has the old file mapped");
		ck_assert(!failure.content);
		dlclose(other);
		zp_load_failure_clear(&failure);
		ck_assert_int_eq(zp_loader_load("planted", true, &nothing, &loaded, &failure), 0);
		zp_loader_discard(&loaded);
	}
	finish();
}
END_TEST

START_TEST(discard_of_nothing_is_harmless)
{
	loaded = (struct zp_loaded){ 0 };
	zp_loader_discard(&loaded);
	zp_load_failure_clear(&failure);
	zp_load_failure_clear(&failure);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		absent_driver_is_reported_with_every_path_in_order,
		path_without_an_absolute_directory_is_reported,
		directory_with_too_long_file_names_is_reported,
		lack_of_descriptors_is_reported_and_temporary,
		unreadable_directory_is_not_reported_as_empty,
		first_directory_that_has_the_file_is_used,
		fault_in_a_file_is_remembered_with_the_files_identity,
		untrusted_file_is_not_loaded_and_not_remembered,
		path_with_a_variable_of_the_linker_is_refused,
		link_with_a_dollar_sign_to_a_literal_path_is_accepted,
		file_under_another_name_than_its_note_says_is_refused,
		remembered_failure_is_reported_until_the_file_changes,
		identities_differ_if_any_part_differs,
		linked_driver_is_found_before_files_and_without_files,
		linked_module_without_a_driver_is_reported,
		search_does_not_look_for_files_that_are_not_allowed,
		file_that_the_linker_holds_in_an_older_version_is_refused,
		discard_of_nothing_is_harmless,
	};
	return UNIT_RUN("loader/loader", tests);
}
