/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/loader.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zp_listing listing;

static void start(void)
{
	scratch_make();
	scratch_directory("first", 0755);
	scratch_directory("second", 0755);
	char path[3 * PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s:%s:%s", scratch_path("first"), scratch_path("none"),
		       scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
}

static void finish(void)
{
	zp_loader_free_listing(&listing);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	scratch_remove();
}

static void read_list(size_t expected)
{
	zp_loader_free_listing(&listing);
	ck_assert_int_eq(zp_loader_list_installed(&listing), 0);
	ck_assert_uint_eq(listing.count, expected);
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
	ck_assert_str_eq(listing.files[0].type, "a");
	ck_assert_str_eq(listing.files[0].path, scratch_path("first/a.so"));
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
	ck_assert_str_eq(listing.files[0].path, scratch_path("first/a.so"));
	ck_assert_str_eq(listing.files[1].path, scratch_path("second/b.so"));
	finish();
}
END_TEST

START_TEST(list_is_sorted_by_name_across_directories)
{
	char name[32];
	start();
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "%s/n%02d.so", i % 2 ? "first" : "second", (i * 17) % 50);
		scratch_file(name, 0644, "x", 1);
	}
	read_list(50);
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof(name), "n%02d", i);
		ck_assert_str_eq(listing.files[i].type, name);
	}
	finish();
}
END_TEST

static void shows(const char *file, const char *fault)
{
	read_list(1);
	assert_contains(listing.files[0].path, file);
	ck_assert_ptr_nonnull(listing.files[0].fault);
	assert_contains(listing.files[0].fault, fault);
	ck_assert(remove(scratch_path(file)) == 0);
}

START_TEST(every_fault_that_makes_a_load_fail_is_listed)
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

START_TEST(invalid_driver_name_has_no_type)
{
	start();
	scratch_file("first/Name.so", 0644, "x", 1);
	read_list(1);
	ck_assert_str_eq(listing.files[0].type, "");
	finish();
}
END_TEST

START_TEST(listing_reads_a_plugin_without_loading_it)
{
	start();
	if (scratch_plugin("first/planted.so", "planted")) {
		read_list(1);
		ck_assert_ptr_null(listing.files[0].fault);
		ck_assert(listing.files[0].report.has_note);
		ck_assert_str_eq(listing.files[0].report.version, "0.7");
		FILE *maps = fopen("/proc/self/maps", "re");
		char line[PATH_MAX + 128];
		while (maps && fgets(line, sizeof(line), maps))
			assert_lacks(line, "planted.so");
		if (maps)
			fclose(maps);
		ck_assert(scratch_plugin("first/renamed.so", "planted"));
		read_list(2);
		assert_contains(listing.files[1].fault, "its note is that of driver \"planted\"");
	}
	finish();
}
END_TEST

START_TEST(unreadable_file_is_listed_with_the_reason)
{
	start();
	scratch_file("first/shut.so", 0000, "x", 1);
	read_list(1);
	assert_contains(listing.files[0].fault, geteuid() == 0 ? "it is not an ELF file" : "Permission denied");
	finish();
}
END_TEST

START_TEST(load_fails_with_the_reason_that_a_listing_shows)
{
	const struct zp_load_failure nothing = { 0 };

	start();
	scratch_file("first/open.so", 0666, "x", 1);
	scratch_file("first/shut.so", 0000, "x", 1);
	scratch_file("first/junk.so", 0644, "x", 1);
	scratch_directory("first/dir.so", 0755);
	scratch_link("first/link.so", "nowhere");
	scratch_directory("$LIB", 0755);
	scratch_file("$LIB/x.so", 0644, "x", 1);
	scratch_link("first/variable.so", "../$LIB/x.so");
	size_t count = 6;
	if (scratch_plugin("first/renamed.so", "planted"))
		count++;
	read_list(count);
	for (size_t i = 0; i < count; i++) {
		struct zp_load_failure failure;
		struct zp_loaded loaded;
		char reason[PATH_MAX + 200];
		ck_assert_int_lt(zp_loader_load(listing.files[i].type, true, &nothing, &loaded, &failure), 0);
		ck_assert_ptr_nonnull(listing.files[i].fault);
		/* The whole reason must be the same, up to the full stop. */
		(void)snprintf(reason, sizeof(reason), ": %s.", listing.files[i].fault);
		assert_contains(failure.message, reason);
		zp_load_failure_clear(&failure);
	}
	finish();
}
END_TEST

START_TEST(free_of_nothing_is_harmless)
{
	struct zp_listing empty = { 0 };
	zp_loader_free_listing(&empty);
	zp_loader_free_listing(&empty);
}
END_TEST

START_TEST(every_failing_allocation_is_reported)
{
	char name[32];
	start();
	for (int i = 0; i < 18; i++) {
		(void)snprintf(name, sizeof(name), "first/n%d.so", i);
		scratch_file(name, 0644, "x", 1);
	}
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		int err = zp_loader_list_installed(&listing);
		bool failed = memory_stop();
		ck_assert_int_eq(err, failed ? -ENOMEM : 0);
		ck_assert_int_eq(listing.err, err);
		ck_assert_uint_eq(listing.count, failed ? 0 : 18);
		zp_loader_free_listing(&listing);
		if (!failed)
			break;
	}
	finish();
}
END_TEST

START_TEST(lack_of_descriptors_is_an_error_and_not_an_empty_directory)
{
	start();
	scratch_file("first/a.so", 0644, "x", 1);
	unit_leave_descriptors(0);
	int err = zp_loader_list_installed(&listing);
	unit_leave_descriptors(-1);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_int_eq(listing.err, -EMFILE);
	ck_assert_uint_eq(listing.count, 0);
	assert_contains(listing.problem, scratch_path("first"));
	assert_contains(listing.problem, "Too many open files");
	finish();
}
END_TEST

START_TEST(unreadable_directory_is_reported_and_others_are_listed)
{
	start();
	scratch_file("second/b.so", 0644, "x", 1);
	if (geteuid() != 0) {
		scratch_directory("shut", 0000);
	} else {
		/* Root may read all directories, but cannot open a path with a loop of links. */
		scratch_link("shut", "shut");
	}
	char path[3 * PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s:%s", scratch_path("shut"), scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), 0);
	ck_assert_int_eq(zp_loader_list_installed(&listing), 0);
	ck_assert_int_eq(listing.err, geteuid() != 0 ? -EACCES : -ELOOP);
	assert_contains(listing.problem, scratch_path("shut"));
	ck_assert_uint_eq(listing.count, 1);
	zp_loader_free_listing(&listing);
	finish();
}
END_TEST

START_TEST(directory_that_does_not_exist_is_no_error)
{
	start();
	scratch_file("plain", 0644, "x", 1);
	ck_assert_int_eq(zpool_set_plugin_path(scratch_path("plain")), 0);
	read_list(0);
	ck_assert_int_eq(listing.err, 0);
	finish();
}
END_TEST

/* zpool_set_plugin_path() refuses such a path, but a user may have it in the environment. */
START_TEST(relative_directory_in_the_environment_is_reported_and_others_are_listed)
{
	start();
	scratch_file("second/b.so", 0644, "x", 1);
	char path[3 * PATH_MAX];
	(void)snprintf(path, sizeof(path), "relative/plugins:%s", scratch_path("second"));
	ck_assert_int_eq(zpool_set_plugin_path(path), -EINVAL);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", path, 1), 0);
	ck_assert_int_eq(zp_loader_list_installed(&listing), 0);
	ck_assert_int_eq(listing.err, -EINVAL);
	assert_contains(listing.problem, "\"relative/plugins\" in the plugin path is not searched");
	ck_assert_uint_eq(listing.count, 1);
	finish();
}
END_TEST

/* Dangling links are cheap to create, and the listing treats them as files. */
static void make_many(unsigned int number)
{
	char name[PATH_MAX];
	for (unsigned int i = 0; i < number; i++) {
		(void)snprintf(name, sizeof(name), "%s/n%u.so", scratch_path("first"), i);
		ck_assert_int_eq(symlink("nowhere", name), 0);
	}
}

START_TEST(too_many_files_are_an_error)
{
	start();
	make_many(65537);
	ck_assert_int_eq(zp_loader_list_installed(&listing), -E2BIG);
	ck_assert_uint_eq(listing.count, 0);
	assert_contains(listing.problem, "more than 65536 files");
	assert_contains(listing.problem, scratch_path("first"));
	zp_loader_free_listing(&listing);
	finish();
}
END_TEST

/* Sparse files with 7 MiB of symbols each, which only the limit on their sum bounds. */
START_TEST(total_bytes_read_of_all_files_are_limited)
{
	start();
	if (!scratch_plugin("first/n0.so", "planted")) {
		finish();
		return;
	}
	ElfW(Ehdr) head;
	ElfW(Shdr) section;
	int fd = open(scratch_path("first/n0.so"), O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, &head, sizeof(head), 0), sizeof(head));
	for (off_t i = 0; i < head.e_shnum; i++) {
		off_t at = (off_t)head.e_shoff + i * (off_t)sizeof(section);
		ck_assert_int_eq(pread(fd, &section, sizeof(section), at), sizeof(section));
		if (section.sh_type == SHT_DYNSYM)
			section.sh_size = 7 << 20;
		ck_assert_int_eq(pwrite(fd, &section, sizeof(section), at), sizeof(section));
	}
	ck_assert_int_eq(ftruncate(fd, 16 << 20), 0);
	close(fd);
	char name[PATH_MAX];
	for (int i = 1; i < 200; i++) {
		(void)snprintf(name, sizeof(name), "%s/n%d.so", scratch_path("first"), i);
		ck_assert_int_eq(link(scratch_path("first/n0.so"), name), 0);
	}
	read_list(200);
	uint64_t bytes_read = 0;
	unsigned int not_examined = 0;
	for (size_t i = 0; i < listing.count; i++) {
		bytes_read += listing.files[i].report.bytes_read;
		not_examined +=
			listing.files[i].fault && strstr(listing.files[i].fault, "more than 1 GiB of other files");
	}
	ck_assert_uint_le(bytes_read, (UINT64_C(1) << 30) + ZP_ELF_BUDGET_BYTES);
	ck_assert_uint_gt(not_examined, 40);
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
		every_fault_that_makes_a_load_fail_is_listed,
		invalid_driver_name_has_no_type,
		listing_reads_a_plugin_without_loading_it,
		unreadable_file_is_listed_with_the_reason,
		load_fails_with_the_reason_that_a_listing_shows,
		free_of_nothing_is_harmless,
		every_failing_allocation_is_reported,
		lack_of_descriptors_is_an_error_and_not_an_empty_directory,
		unreadable_directory_is_reported_and_others_are_listed,
		directory_that_does_not_exist_is_no_error,
		relative_directory_in_the_environment_is_reported_and_others_are_listed,
		too_many_files_are_an_error,
		total_bytes_read_of_all_files_are_limited,
	};
	return UNIT_RUN("loader/installed", tests);
}
