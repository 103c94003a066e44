/* SPDX-License-Identifier: MIT
 *
 * Each plugin has one fault: the loader refuses it, and the message names the true cause.
 */
#include "config.h"

#include "fixture.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zpool-driver.h"

/* The name of a mock, and texts that the message must contain. */
struct fault {
	const char *mock;
	const char *texts[3];
};

/* The loader finds these faults in the file, so it runs none of the file's code. */
static const struct fault visible[] = {
	{ "no_driver", { "exports no symbol zpool_driver" } },
	{ "in_dependency", { "exports no symbol zpool_driver" } },
	{ "bad_note_major", { "built for driver ABI 2", "this library supports ABI 1" } },
	{ "bad_note_type", { "its note is that of", "\"somebody_else\"" } },
	{ "calls_zpool", { "calls zpool_version", "host table" } },
	{ "links_zpool", { "links with libzpool.so.0", "second driver registry" } },
};

/* The loader finds these faults only in the driver structure. */
static const struct fault invisible[] = {
	{ "bad_magic", { "magic is 0x5a504f4f4c445257 instead of 0x5a504f4f4c445256" } },
	{ "bad_major", { "abi_major is 2", "this library supports ABI 1" } },
	{ "bad_type", { "type is \"somebody_else\"", "\"bad_type\"" } },
	{ "null_type", { "type is not a driver's name" } },
	{ "short_struct", { "struct_size is 64", "but ABI 1 requires at least" } },
	{ "odd_struct", { "struct_size is", "not a multiple" } },
	{ "large_struct", { "struct_size is", "the size of its symbol zpool_driver is only" } },
	{ "bad_flag", { "flags_required", "0x40000000" } },
	{ "no_create", { "mandatory callback create is NULL" } },
	{ "no_destroy", { "mandatory callback destroy is NULL" } },
	{ "no_malloc", { "mandatory callback malloc is NULL" } },
	{ "no_free", { "mandatory callback free is NULL" } },
	{ "no_total_size", { "mandatory callback total_size is NULL" } },
	{ "no_access", { "neither both of map and unmap nor both of read and write" } },
	{ "only_map", { "only one of map and unmap" } },
	{ "only_unmap", { "only one of map and unmap" } },
	{ "bad_alignment", { "alignment_bytes is 24", "power of two" } },
	{ "bad_max", { "max_object_bytes is 0" } },
	{ "param_limit", { "parameter \"limit\"", "core" } },
	{ "param_default", { "default of parameter \"level\"" } },
	{ "param_key", { "parameter's key" } },
	{ "param_help", { "parameter \"level\" has no help" } },
	{ "param_type", { "parameter \"level\" is of type 99" } },
	{ "param_twice", { "two parameters named \"level\"" } },
	{ "param_choices", { "parameter \"mode\"", "choices" } },
	{ "param_size", { "param_size is 16", "but ABI 1 requires at least" } },
	{ "param_table", { "table of 3 parameters is NULL" } },
};

enum { VISIBLE = sizeof(visible) / sizeof(*visible), INVISIBLE = sizeof(invisible) / sizeof(*invisible) };

static void expect_fault(const struct fault *fault)
{
	const char *path = fixture_install(fault->mock);
	errno = 0;
	ck_assert_msg(zpool_create_pool(fault->mock, 0, NULL) == NULL, "%s was not refused", fault->mock);
	ck_assert_msg(errno == ENOEXEC, "%s: errno %d; %s", fault->mock, errno, zpool_last_error());
	const char *const place[] = { fault->mock, path, NULL };
	expect_message(place);
	for (size_t i = 0; i < sizeof(fault->texts) / sizeof(*fault->texts) && fault->texts[i]; i++) {
		const char *const text[] = { fault->texts[i], NULL };
		expect_message(text);
	}
}

static int find_fault(const struct zpool_driver_info *info, void *user)
{
	const char **fault = user;
	if (strcmp(info->type, fault[0]) != 0)
		return 0;
	fault[1] = info->fault ? info->fault : "none";
	ck_assert(!info->loaded);
	/* The string is valid only during the callback. */
	fault[1] = fixture_text("%s", fault[1]);
	return 1;
}

START_TEST(fault_in_the_file_is_reported_and_no_code_runs)
{
	const struct fault *fault = &visible[_i];
	const char *listed[] = { fault->mock, NULL };

	expect_fault(fault);
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
	ck_assert_int_eq(zpool_each_driver(find_fault, listed), 1);
	ck_assert_msg(strstr(listed[1], fault->texts[0]) != NULL, "listed as \"%s\"", listed[1]);
}
END_TEST

START_TEST(fault_in_the_structure_is_reported_and_the_plugin_unmapped)
{
	const struct fault *fault = &invisible[_i];
	expect_fault(fault);
	ck_assert_uint_eq(fixture_events(NULL, "load"), 1);
	ck_assert_uint_eq(fixture_events(NULL, "unload"), 1);
	ck_assert(!fixture_is_mapped(fixture_text("/%s.so", fault->mock)));
}
END_TEST

START_TEST(a_refused_plugin_is_not_loaded)
{
	fixture_install("bad_magic");
	expect_refused("bad_magic", ENOEXEC, "magic");
	expect_error(zpool_unload_driver("bad_magic"), ENOENT, "not loaded");
	ck_assert(!zpool_has_pool("bad_magic"));
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "magic is"));
}
END_TEST

START_TEST(file_that_is_not_elf_is_named)
{
	const char *path = fixture_text("%s/junk.so", fixture_dir());
	fixture_write(path, "#!/bin/sh\necho hello\n", 21);
	expect_refused("junk", ENOEXEC, "junk.so", "not an ELF file");
	fixture_write(path, "", 0);
	expect_refused("junk", ENOEXEC, "junk.so", "not an ELF file");
	fixture_write(path, ELFMAG, SELFMAG);
	expect_refused("junk", ENOEXEC, "junk.so", "not an ELF file");
}
END_TEST

/* Copies a valid plugin with one field of the ELF header changed. */
static void install_patched(const char *path, size_t offset, const void *bytes, size_t size)
{
	size_t length;
	char *content = fixture_read(fixture_mock("good"), &length);
	memcpy(content + offset, bytes, size);
	fixture_write(path, content, length);
}

START_TEST(an_elf_file_of_another_kind_is_named)
{
	const char *path = fixture_text("%s/good.so", fixture_dir());
	const ElfW(Half) executable = ET_EXEC, machine = EM_68K, huge = 0xff00, large = 1;
	const unsigned char class = ELFCLASSNONE, data = ELFDATANONE;

	install_patched(path, offsetof(ElfW(Ehdr), e_type), &executable, sizeof(executable));
	expect_refused("good", ENOEXEC, "not a shared object");
	install_patched(path, offsetof(ElfW(Ehdr), e_machine), &machine, sizeof(machine));
	expect_refused("good", ENOEXEC, "another machine");
	install_patched(path, EI_CLASS, &class, 1);
	expect_refused("good", ENOEXEC, "another machine");
	install_patched(path, EI_DATA, &data, 1);
	expect_refused("good", ENOEXEC, "another machine");
	install_patched(path, offsetof(ElfW(Ehdr), e_shnum), &huge, sizeof(huge));
	expect_refused("good", ENOEXEC, "sections; at most 4096 are accepted");
	install_patched(path, offsetof(ElfW(Ehdr), e_shentsize), &large, sizeof(large));
	expect_refused("good", ENOEXEC, "section table is damaged");
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
}
END_TEST

START_TEST(truncated_plugin_is_refused)
{
	size_t length;
	char *content = fixture_read(fixture_mock("good"), &length);
	fixture_write(fixture_text("%s/good.so", fixture_dir()), content, length / 2);
	expect_refused("good", ENOEXEC, "damaged");
}
END_TEST

START_TEST(an_undefined_symbol_is_named)
{
	fixture_install("undefined");
	expect_refused("undefined", ENOEXEC, "undefined symbol: mock_missing_function");
	ck_assert(!fixture_is_mapped("/undefined.so"));
}
END_TEST

START_TEST(a_missing_dependency_is_named)
{
	fixture_install("needs_late");
	expect_refused("needs_late", ENOEXEC, "liblate.so", "No such file");
	ck_assert(!fixture_is_mapped("/needs_late.so"));
}
END_TEST

/* Without section headers the loader cannot check the file, and dlsym() finds the dependency's driver. */
START_TEST(driver_symbol_of_a_dependency_is_not_used)
{
	size_t length;
	char *content = fixture_read(fixture_mock("in_dependency"), &length);
	ElfW(Ehdr) head;
	memcpy(&head, content, sizeof(head));
	head.e_shoff = 0;
	head.e_shnum = head.e_shstrndx = 0;
	memcpy(content, &head, sizeof(head));
	fixture_write(fixture_text("%s/in_dependency.so", fixture_dir()), content, length);
	void *dependency = dlopen(fixture_mock("libdependency"), RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(dependency != NULL, "%s", dlerror());

	expect_refused("in_dependency", ENOEXEC, "no symbol zpool_driver of its own");
	/* The constructors of the library and of the plugin did run. */
	ck_assert_uint_eq(fixture_events("in_dependency", "load"), 2);
	ck_assert_uint_eq(fixture_events("in_dependency", "unload"), 1);
	(void)dlclose(dependency);
}
END_TEST

START_TEST(plugin_without_section_headers_works)
{
	const ElfW(Off) nowhere = 0;
	install_patched(fixture_text("%s/good.so", fixture_dir()), offsetof(ElfW(Ehdr), e_shoff), &nowhere,
			sizeof(nowhere));
	expect_works("good");
}
END_TEST

START_TEST(a_plugin_under_another_name_is_refused)
{
	fixture_install_as("good", fixture_text("%s/better.so", fixture_dir()));
	expect_refused("better", ENOEXEC, "its note is that of driver \"good\"", "name the file good.so");
	fixture_install_as("no_note", fixture_text("%s/worse.so", fixture_dir()));
	expect_refused("worse", ENOEXEC, "type is \"no_note\"", "looked up as \"worse\"");
}
END_TEST

static int find_note(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	return info->has_note ? 2 : 1;
}

START_TEST(plugin_without_a_note_works_and_is_listed_without_one)
{
	fixture_install("no_note");
	ck_assert_int_eq(zpool_each_driver(find_note, NULL), 1);
	expect_works("no_note");
	ck_assert_int_eq(zpool_each_driver(find_note, NULL), 1);
}
END_TEST

static int check_stripped(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	ck_assert_str_eq(info->type, "good");
	ck_assert(info->has_note);
	ck_assert(!info->loaded);
	ck_assert_ptr_null(info->fault);
	ck_assert_str_eq(info->version, "1.0");
	ck_assert_str_eq(info->description, "a mock without a fault");
	ck_assert_uint_eq(info->abi_major, ZPOOL_ABI_MAJOR);
	ck_assert_uint_eq(info->abi_minor, ZPOOL_ABI_MINOR);
	return 1;
}

START_TEST(a_stripped_plugin_works_and_has_its_note)
{
	const char *const argv[] = { "strip", "-s", fixture_install("good"), NULL };
	if (system("strip --version >/dev/null 2>&1") != 0) {
		fixture_skip("a_stripped_plugin_works_and_has_its_note", "strip(1) is not installed");
		return;
	}
	struct fixture_result result = fixture_spawn(argv, NULL, NULL);
	ck_assert_msg(result.status == 0, "strip: %s", result.err);
	ck_assert_int_eq(zpool_each_driver(check_stripped, NULL), 1);
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
	expect_works("good");
}
END_TEST

/* A failed create also logs its message at level info. */
START_TEST(a_refusal_is_logged)
{
	fixture_install("bad_magic");
	fixture_capture_log(ZPOOL_LOG_INFO);
	expect_refused("bad_magic", ENOEXEC, "magic");
	ck_assert_uint_eq(fixture_logged("magic is 0x"), 1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("refused");
	tcase_add_loop_test(tests, fault_in_the_file_is_reported_and_no_code_runs, 0, VISIBLE);
	tcase_add_loop_test(tests, fault_in_the_structure_is_reported_and_the_plugin_unmapped, 0, INVISIBLE);
	tcase_add_test(tests, a_refused_plugin_is_not_loaded);
	tcase_add_test(tests, file_that_is_not_elf_is_named);
	tcase_add_test(tests, an_elf_file_of_another_kind_is_named);
	tcase_add_test(tests, truncated_plugin_is_refused);
	tcase_add_test(tests, an_undefined_symbol_is_named);
	tcase_add_test(tests, a_missing_dependency_is_named);
	tcase_add_test(tests, driver_symbol_of_a_dependency_is_not_used);
	tcase_add_test(tests, plugin_without_section_headers_works);
	tcase_add_test(tests, a_plugin_under_another_name_is_refused);
	tcase_add_test(tests, plugin_without_a_note_works_and_is_listed_without_one);
	tcase_add_test(tests, a_stripped_plugin_works_and_has_its_note);
	tcase_add_test(tests, a_refusal_is_logged);
	return fixture_run("refused", tests);
}
