/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "loader/module.h"
#include "loader/inside.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

/* libtool writes this into a program that is linked with -dlpreopen. */
static struct zpool_driver linked_driver;
ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", &linked_driver },
	{ "driverless.a", NULL },
	{ "driverless_LTX_something", &linked_driver },
	{ "second.a", NULL },
	{ "second_LTX_zpool_driver", &linked_driver },
	{ NULL, NULL },
};

static struct zp_module *module;

static bool is_mapped(const char *path)
{
	char line[PATH_MAX + 128];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		found = found || strstr(line, path);
	if (maps)
		fclose(maps);
	return found;
}

static ino_t inode_of(const char *path)
{
	struct stat st;
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_ino;
}

/* Returns false if this build has no plugins. */
static bool open_planted(void)
{
	char *why = NULL;
	scratch_make();
	if (!scratch_plugin("planted.so", "planted")) {
		scratch_remove();
		return false;
	}
	int err = zp_module_open(scratch_path("planted.so"), &module, &why);
	ck_assert_msg(err == 0, "%s", why);
	ck_assert_ptr_null(why);
	return true;
}

START_TEST(refusal_by_the_linker_is_reported_with_its_reason)
{
	char *why = NULL;
	scratch_make();
	scratch_file("junk.so", 0644, "junk", 4);
	ck_assert_int_eq(zp_module_open(scratch_path("junk.so"), &module, &why), -ENOEXEC);
	ck_assert_ptr_nonnull(why);
	assert_contains(why, "junk.so");
	free(why);
	ck_assert_int_eq(zp_module_open(scratch_path("none.so"), &module, &why), -ENOEXEC);
	assert_contains(why, "cannot open shared object file");
	free(why);
	ck_assert(!zp_loader_inside());
	scratch_remove();
}
END_TEST

static int close_module(void)
{
	char *why = NULL;
	int closed = zp_module_close(module, &why);
	ck_assert_ptr_null(why);
	return closed;
}

START_TEST(open_returns_the_driver_of_the_module_and_close_unmaps_it)
{
	size_t bytes = 0;
	if (!open_planted())
		return;
	const struct zpool_driver *driver = zp_module_driver(module, &bytes);
	ck_assert_ptr_nonnull(driver);
	ck_assert_str_eq(driver->type, "planted");
	ck_assert_uint_eq(bytes, sizeof(*driver));
	ck_assert(is_mapped(scratch_path("planted.so")));
	ck_assert(!zp_loader_inside());
	ck_assert_int_eq(close_module(), 1);
	ck_assert(!is_mapped(scratch_path("planted.so")));
	scratch_remove();
}
END_TEST

START_TEST(symbol_of_a_dependency_is_not_used)
{
	char *why = NULL;
	size_t bytes = 7;
	Dl_info info;
	ck_assert_int_ne(dladdr((void *)(uintptr_t)&lt_dlerror, &info), 0);
	scratch_make();
	/* Any library that is not a plugin. */
	if (info.dli_fname && strstr(info.dli_fname, "libltdl")) {
		scratch_copy("other.so", info.dli_fname);
		ck_assert_int_eq(zp_module_open(scratch_path("other.so"), &module, &why), 0);
		ck_assert_ptr_null(zp_module_driver(module, &bytes));
		ck_assert_uint_eq(bytes, 0);
		zp_module_discard(module);
	}
	scratch_remove();
}
END_TEST

START_TEST(discard_unmaps)
{
	if (!open_planted())
		return;
	zp_module_discard(module);
	ck_assert(!is_mapped(scratch_path("planted.so")));
	scratch_remove();
}
END_TEST

START_TEST(module_that_the_program_opened_stays_usable)
{
	size_t bytes;
	if (!open_planted())
		return;
	void *other = dlopen(scratch_path("planted.so"), RTLD_NOW | RTLD_LOCAL);
	ck_assert_ptr_nonnull(other);
	ck_assert_int_eq(close_module(), 0);
	ck_assert_str_eq(zp_module_driver(module, &bytes)->type, "planted");
	dlclose(other);
	ck_assert_int_eq(close_module(), 1);
	ck_assert(!is_mapped(scratch_path("planted.so")));
	scratch_remove();
}
END_TEST

START_TEST(resident_module_stays_mapped_after_close)
{
	size_t bytes;
	if (!open_planted())
		return;
	zp_module_make_resident(module);
	ck_assert_int_eq(close_module(), 0);
	ck_assert_str_eq(zp_module_driver(module, &bytes)->type, "planted");
	zp_module_discard(module);
	ck_assert(is_mapped(scratch_path("planted.so")));
	scratch_remove();
}
END_TEST

START_TEST(module_that_we_mapped_ourselves_is_not_outdated)
{
	if (!open_planted())
		return;
	ck_assert(!zp_module_is_outdated(module, inode_of(scratch_path("planted.so"))));
	ck_assert(!zp_module_is_outdated(module, 1));
	zp_module_discard(module);
	scratch_remove();
}
END_TEST

START_TEST(module_that_was_mapped_from_a_file_replaced_since_is_outdated)
{
	char *why = NULL;
	scratch_make();
	if (!scratch_plugin("planted.so", "planted")) {
		scratch_remove();
		return;
	}
	ino_t earlier = inode_of(scratch_path("planted.so"));
	void *other = dlopen(scratch_path("planted.so"), RTLD_NOW | RTLD_LOCAL);
	ck_assert_ptr_nonnull(other);
	/* The previous file still exists, so its inode number is not reused. */
	ck_assert_int_eq(rename(scratch_path("planted.so"), scratch_path("earlier")), 0);
	ck_assert(scratch_plugin("planted.so", "planted"));
	ino_t later = inode_of(scratch_path("planted.so"));
	ck_assert_uint_ne(earlier, later);
	ck_assert_int_eq(zp_module_open(scratch_path("planted.so"), &module, &why), 0);
	ck_assert(zp_module_is_outdated(module, later));
	ck_assert(!zp_module_is_outdated(module, earlier));
	zp_module_discard(module);
	dlclose(other);
	scratch_remove();
}
END_TEST

START_TEST(linked_module_is_found_by_its_name)
{
	size_t bytes = 7;
	linked_driver = driver_for_tests("linked");
	ck_assert_int_eq(zp_module_open_preloaded("linked", &module), 0);
	ck_assert_ptr_eq(zp_module_driver(module, &bytes), &linked_driver);
	ck_assert_uint_eq(bytes, 0);
	ck_assert(!zp_module_is_outdated(module, 1));
	zp_module_make_resident(module);
	ck_assert_int_eq(close_module(), 0);
	ck_assert_ptr_eq(zp_module_driver(module, &bytes), &linked_driver);
	zp_module_discard(module);
}
END_TEST

START_TEST(missing_linked_module_is_enoent)
{
	ck_assert_int_eq(zp_module_open_preloaded("absent", &module), -ENOENT);
	ck_assert_int_eq(zp_module_open_preloaded("libc", &module), -ENOENT);
	ck_assert_int_eq(zp_module_open_preloaded("/bin/sh", &module), -ENOENT);
}
END_TEST

START_TEST(linked_module_without_a_driver_has_none)
{
	size_t bytes;
	ck_assert_int_eq(zp_module_open_preloaded("driverless", &module), 0);
	ck_assert_ptr_null(zp_module_driver(module, &bytes));
	zp_module_discard(module);
}
END_TEST

static int collect(const char *type, const struct zpool_driver *driver, void *user)
{
	ck_assert_ptr_eq(driver, &linked_driver);
	strcat(strcat(user, type), ",");
	return *(const char *)user == '!' ? 1 : 0;
}

START_TEST(visitor_can_end_the_walk_of_linked_drivers)
{
	char types[64] = "";
	zp_module_each_preloaded(collect, types);
	ck_assert_str_eq(types, "linked,second,");
	strcpy(types, "!");
	zp_module_each_preloaded(collect, types);
	ck_assert_str_eq(types, "!linked,");
}
END_TEST

START_TEST(lack_of_memory_has_a_message)
{
	char *why;
	for (unsigned int nth = 1; nth <= 2; nth++) {
		memory_fail_at(nth);
		int err = zp_module_open("/nonexistent", &module, &why);
		ck_assert(memory_stop());
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_ptr_null(why);
	}
	memory_fail_at(3);
	int err = zp_module_open("/nonexistent", &module, &why);
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -ENOEXEC);
	ck_assert_ptr_null(why);
	memory_fail_at(1);
	err = zp_module_open_preloaded("linked", &module);
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -ENOMEM);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		refusal_by_the_linker_is_reported_with_its_reason,
		open_returns_the_driver_of_the_module_and_close_unmaps_it,
		symbol_of_a_dependency_is_not_used,
		discard_unmaps,
		module_that_the_program_opened_stays_usable,
		resident_module_stays_mapped_after_close,
		module_that_we_mapped_ourselves_is_not_outdated,
		module_that_was_mapped_from_a_file_replaced_since_is_outdated,
		linked_module_is_found_by_its_name,
		missing_linked_module_is_enoent,
		linked_module_without_a_driver_has_none,
		visitor_can_end_the_walk_of_linked_drivers,
		lack_of_memory_has_a_message,
	};
	return UNIT_RUN("loader/module", tests);
}
