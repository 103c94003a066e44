/* SPDX-License-Identifier: MIT
 *
 * The tests build shared objects in which the entries for the dynamic linker are chosen freely.
 */
#include "config.h"

#include "loader/needs.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/dynamic.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/loader/needs_fixture.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zp_trust trust;
static char why[PATH_MAX + 160];

static void mode(const char *entry, mode_t bits)
{
	ck_assert_int_eq(chmod(scratch_path(entry), bits), 0);
}

/* d/ has the plugin, and d/lib the libraries that it needs. Everybody may write to open/. */
static void start(void)
{
	trust = (struct zp_trust){ .euid = geteuid() ? geteuid() : 4242 };
	scratch_make();
	scratch_directory("d", 0755);
	scratch_directory("d/lib", 0755);
	scratch_directory("open", 0777);
}

static void finish(void)
{
	scratch_remove();
}

/*
 * Makes the nth allocation fail. It must not use assertions between memory_fail_at() and memory_stop(), because they
 * allocate memory.
 */
static int judge_with_failure(unsigned int nth, bool *failed)
{
	uint64_t bytes_read = 0;
	const char *path = scratch_path("d/x.so");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	why[0] = '\0';
	memory_fail_at(nth);
	int err = zp_needs_judge(&trust, fd, path, path, &bytes_read, why, sizeof(why));
	*failed = memory_stop();
	close(fd);
	ck_assert_uint_le(bytes_read, 20 << 20);
	return err;
}

static int judge(void)
{
	bool failed;
	return judge_with_failure(0, &failed);
}

static void accepted(void)
{
	int err = judge();
	ck_assert_msg(err == 0, "%d, %s", err, why);
}

static void refused(const char *reason)
{
	ck_assert_int_eq(judge(), -EPERM);
	assert_contains(why, reason);
}

START_TEST(file_without_dependencies_is_accepted)
{
	start();
	forge("d/x.so", 0);
	accepted();
	scratch_file("d/x.so", 0644, "text", 4);
	accepted();
	scratch_file("d/x.so", 0644, "", 0);
	accepted();
	finish();
}
END_TEST

START_TEST(directory_of_a_run_path_is_checked_in_every_spelling)
{
	static const char *const ways[] = { "$ORIGIN/lib",          "${ORIGIN}/lib",      "$ORIGIN/lib/",
					    "$ORIGIN/./lib",        "$ORIGIN/../d/lib/.", "$ORIGIN/none:$ORIGIN/lib",
					    "$ORIGIN:${ORIGIN}/lib" };
	start();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		forge("d/x.so", DT_RUNPATH, ways[i], DT_NEEDED, "libany.so", 0);
		accepted();
		mode("d/lib", 0777);
		refused("d/lib is world-writable; chmod o-w it");
		assert_contains(why, "it takes libraries from \"$");
		mode("d/lib", 01777);
		refused("d/lib is world-writable");
		mode("d/lib", 0755);
		forge("d/x.so", DT_RPATH, ways[i], 0);
		mode("d/lib", 0777);
		refused("d/lib is world-writable");
		mode("d/lib", 0755);
	}
	forge("d/x.so", DT_RUNPATH, scratch_path("open"), 0);
	refused("/open is world-writable");
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/../open/none/lib", 0);
	refused("/open is world-writable");
	scratch_link("d/link", "../open");
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/link", 0);
	refused("/open is world-writable");
	finish();
}
END_TEST

START_TEST(run_path_of_the_working_directory_is_refused)
{
	static const char *const ways[] = { "lib",    ".", ":$ORIGIN/lib", "$ORIGIN/lib:", "$ORIGIN/lib::$ORIGIN",
					    "/:../x", ":" };
	start();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		forge("d/x.so", DT_RUNPATH, ways[i], 0);
		refused("relative to the working directory");
		forge("d/x.so", DT_RPATH, ways[i], 0);
		refused("relative to the working directory");
	}
	/* The linker ignores an entry that is completely empty. */
	forge("d/x.so", DT_RUNPATH, "", 0);
	accepted();
	finish();
}
END_TEST

START_TEST(names_with_unknown_linker_tokens_are_refused)
{
	static const char *const ways[] = { "/opt/$LIB", "/opt/${PLATFORM}", "$ORIGINAL/lib", "${ORIGIN/lib",
					    "/x/$",      "$ORIGIN/$LIB" };
	start();
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		forge("d/x.so", DT_RUNPATH, ways[i], 0);
		refused("$ORIGIN is the only variable");
		forge("d/x.so", DT_NEEDED, ways[i], 0);
		refused("$ORIGIN is the only variable");
	}
	finish();
}
END_TEST

START_TEST(rpath_is_ignored_if_there_is_a_runpath)
{
	start();
	forge("d/x.so", DT_RPATH, scratch_path("open"), DT_RUNPATH, "$ORIGIN/lib", 0);
	accepted();
	forge("d/x.so", DT_RPATH, "$ORIGIN/lib", DT_RUNPATH, scratch_path("open"), 0);
	refused("/open is world-writable");
	finish();
}
END_TEST

START_TEST(reason_is_cut_off_at_the_end_of_its_buffer)
{
	uint64_t bytes_read;

	start();
	forge("d/lib/libb.so", 0);
	mode("d/lib/libb.so", 0666);
	forge("d/lib/liba.so", DT_RUNPATH, "$ORIGIN", DT_NEEDED, "libb.so", 0);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	refused("the library ");
	size_t whole = strlen(why) + 1;
	const char *path = scratch_path("d/x.so");
	for (size_t room = 1; room < whole; room++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		memset(why, '!', sizeof(why));
		bytes_read = 0;
		ck_assert_int_eq(zp_needs_judge(&trust, fd, path, path, &bytes_read, why, room), -EPERM);
		close(fd);
		ck_assert_uint_lt(strnlen(why, room), room);
		for (size_t i = room; i < sizeof(why); i++)
			ck_assert_int_eq(why[i], '!');
	}
	finish();
}
END_TEST

START_TEST(library_in_a_run_path_is_checked)
{
	static const int tags[] = { DT_NEEDED, DT_FILTER, DT_AUXILIARY, DT_AUDIT };
	start();
	forge("d/lib/liba.so", 0);
	forge("d/lib/libother.so", 0);
	mode("d/lib/libother.so", 0666);
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", tags[i], "liba.so", 0);
		accepted();
		mode("d/lib/liba.so", 0646);
		refused("it needs the library \"liba.so\", and file ");
		assert_contains(why, "d/lib/liba.so is world-writable");
		mode("d/lib/liba.so", 0644);
	}
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_DEPAUDIT, "libnone.so:libother.so", 0);
	refused("libother.so is world-writable");
	scratch_link("d/lib/libl.so", "../../open/liba.so");
	forge("open/liba.so", 0);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "libl.so", 0);
	refused("/open is world-writable");
	/* The linker skips a directory, and then finds nothing. */
	scratch_directory("d/lib/libd.so", 0777);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "libd.so", 0);
	refused("is world-writable");
	mode("d/lib/libd.so", 0755);
	accepted();
	finish();
}
END_TEST

/* Another user could create the target before the linker looks for it. */
START_TEST(dangling_link_to_a_library_is_refused_if_others_could_create_its_target)
{
	start();
	scratch_directory("sticky", 01777);
	scratch_link("d/lib/libm.so", "../../sticky/none.so");
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "libm.so", 0);
	refused("it needs the library \"libm.so\", and directory ");
	assert_contains(why, "/sticky is world-writable");
	forge("d/x.so", DT_NEEDED, "$ORIGIN/lib/libm.so", 0);
	refused("/sticky is world-writable");
	mode("sticky", 0755);
	accepted();
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "libm.so", 0);
	accepted();
	finish();
}
END_TEST

START_TEST(library_with_a_path_in_its_name_is_checked)
{
	start();
	forge("d/lib/liba.so", 0);
	forge("d/x.so", DT_NEEDED, scratch_path("d/lib/liba.so"), 0);
	accepted();
	forge("d/x.so", DT_NEEDED, "$ORIGIN/lib/liba.so", 0);
	accepted();
	mode("d/lib/liba.so", 0666);
	refused("d/lib/liba.so is world-writable");
	forge("d/x.so", DT_NEEDED, "$ORIGIN/../open/libnone.so", 0);
	refused("/open is world-writable");
	forge("d/x.so", DT_NEEDED, "$ORIGIN/lib/libnone.so", DT_NEEDED, "/libnone.so", 0);
	accepted();
	forge("d/x.so", DT_NEEDED, "./liba.so", 0);
	refused("it needs \"./liba.so\", which is relative to the working directory");
	forge("d/x.so", DT_FILTER, "lib/liba.so", 0);
	refused("relative to the working directory");
	finish();
}
END_TEST

START_TEST(indirect_dependencies_are_checked)
{
	start();
	scratch_directory("d/lib/deep", 0755);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	/* In a library's entry, $ORIGIN is the directory of that library and not the plugin's. */
	forge("d/lib/liba.so", DT_RUNPATH, "$ORIGIN/deep", DT_NEEDED, "libb.so", 0);
	forge("d/lib/deep/libb.so", DT_NEEDED, "liba.so", DT_RUNPATH, "$ORIGIN/..", 0);
	accepted();
	mode("d/lib/deep", 0777);
	refused("liba.so, which it needs, takes libraries from \"$ORIGIN/deep\", and directory ");
	mode("d/lib/deep", 0755);
	mode("d/lib/deep/libb.so", 0666);
	refused("liba.so, which it needs, needs the library \"libb.so\", and file ");
	forge("d/lib/deep/libb.so", DT_RUNPATH, "", DT_NEEDED, "lib/c.so", 0);
	mode("d/lib/deep/libb.so", 0644);
	refused("relative to the working directory");
	finish();
}
END_TEST

START_TEST(rpath_applies_to_indirect_dependencies)
{
	start();
	forge("d/lib/liba.so", DT_NEEDED, "libb.so", 0);
	forge("d/lib/libb.so", 0);
	mode("d/lib/libb.so", 0666);
	forge("d/x.so", DT_RPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	refused("libb.so is world-writable");
	/* A runpath is not inherited, and a library with a runpath ignores inherited rpaths. */
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	accepted();
	forge("d/lib/liba.so", DT_NEEDED, "libb.so", DT_RUNPATH, "/none", 0);
	forge("d/x.so", DT_RPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	accepted();
	finish();
}
END_TEST

START_TEST(directories_for_the_processor_are_checked)
{
	static const char *const below[] = { "glibc-hwcaps", "tls", "x86_64" };
	char entry[64], file[80];
	start();
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
		(void)snprintf(entry, sizeof(entry), "d/lib/%s", below[i]);
		scratch_directory(entry, 0755);
		accepted();
		mode(entry, 0777);
		refused("is world-writable");
		mode(entry, 0755);
		strcat(entry, i ? "/haswell" : "/x86-64-v3");
		scratch_directory(entry, 0777);
		refused("is world-writable");
		mode(entry, 0755);
		(void)snprintf(file, sizeof(file), "%s/liba.so", entry);
		forge(file, 0);
		accepted();
		mode(file, 0666);
		refused("liba.so is world-writable");
		mode(file, 0644);
	}
	/* A file is no directory, and another user cannot replace it by one. */
	scratch_file("d/lib/glibc-hwcaps/README", 0666, "text", 4);
	accepted();
	/* The linker does not search other subdirectories. */
	scratch_directory("d/lib/python", 0777);
	accepted();
	finish();
}
END_TEST

START_TEST(links_to_directories_for_the_processor_are_checked)
{
	static const char *const below[] = { "d/lib/glibc-hwcaps", "d/lib/tls", "d/lib/x86_64/haswell" };
	start();
	scratch_directory("sticky", 01777);
	scratch_directory("d/lib/x86_64", 0755);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++) {
		scratch_link(below[i], scratch_path("sticky/none"));
		refused("takes libraries from \"$ORIGIN/lib\", and directory ");
		assert_contains(why, "/sticky is world-writable");
		mode("sticky", 0755);
		accepted();
		mode("sticky", 01777);
		ck_assert_int_eq(unlink(scratch_path(below[i])), 0);
	}
	finish();
}
END_TEST

START_TEST(owners_and_acls_are_checked_as_for_the_plugin)
{
	start();
	if (geteuid() == 0) {
		forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
		forge("d/lib/liba.so", 0);
		ck_assert_int_eq(chown(scratch_path("d/lib/liba.so"), 12345, 0), 0);
		refused("liba.so belongs to user 12345");
		ck_assert_int_eq(chown(scratch_path("d/lib"), 12345, 0), 0);
		refused("takes libraries from");
		assert_contains(why, "d/lib belongs to user 12345");
		/* The same rules apply as for the plugin itself. */
		trust = (struct zp_trust){ .euid = 0 };
		ck_assert_int_eq(chown(scratch_path("d/lib"), 0, 0), 0);
		mode("d/lib", 0775);
		refused("d/lib is group-writable");
	}
	finish();
}
END_TEST

static const char *repeated(const char *text, const char *separator, size_t times)
{
	static char all[MAX_STRINGS];
	for (char *end = all; times > 0; times--)
		end += sprintf(end, "%s%s", text, times > 1 ? separator : "");
	return all;
}

START_TEST(too_many_dependencies_are_refused)
{
	char entry[32], name[32];
	start();
	forge_begin();
	for (int i = 0; i <= ZP_DYNAMIC_MAX_NAMES; i++)
		add_tag(DT_NEEDED, "libany.so");
	forge_end("d/x.so", 0644);
	refused("too many");

	/* Makes a chain of libraries, each of which needs the next one. */
	for (int i = 0; i < 200; i++) {
		(void)snprintf(entry, sizeof(entry), "d/lib/lib%d.so", i);
		(void)snprintf(name, sizeof(name), "lib%d.so", i + 1);
		forge(entry, DT_RUNPATH, "$ORIGIN", DT_NEEDED, name, 0);
	}
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "lib0.so", 0);
	refused("too many");

	/* The linker would look for each library in every one of these directories. */
	forge("d/x.so", DT_RUNPATH, repeated("$ORIGIN", ":", 600), DT_NEEDED, "liba.so", 0);
	refused("too many");

	forge("d/x.so", DT_RUNPATH, repeated("/", "", ZP_DYNAMIC_MAX_NAME_BYTES), 0);
	refused("too long");
	forge("d/x.so", DT_RUNPATH, repeated("/", "", PATH_MAX), 0);
	refused("too long");
	forge("d/x.so", DT_RUNPATH, repeated("/", "", 200), 0);
	accepted();
	finish();
}
END_TEST

static void reports_lack_of_descriptors(void)
{
	uint64_t bytes_read = 0;
	const char *path = scratch_path("d/x.so");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	unit_leave_descriptors(0);
	int err = zp_needs_judge(&trust, fd, path, path, &bytes_read, why, sizeof(why));
	unit_leave_descriptors(-1);
	close(fd);
	ck_assert_int_eq(err, -EMFILE);
	assert_contains(why, "its libraries cannot be checked: Too many open files");
}

/* Otherwise a lack of descriptors would let files pass that others may change. */
START_TEST(library_or_directory_that_cannot_be_opened_is_not_taken_for_absent)
{
	start();
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	forge("d/lib/liba.so", 0);
	reports_lack_of_descriptors();
	accepted();
	ck_assert_int_eq(unlink(scratch_path("d/lib/liba.so")), 0);
	scratch_directory("d/lib/glibc-hwcaps", 0755);
	reports_lack_of_descriptors();
	accepted();
	finish();
}
END_TEST

START_TEST(judging_leaks_nothing)
{
	start();
	forge("d/lib/libfirst.so", DT_RUNPATH, "$ORIGIN", DT_NEEDED, "libsecond.so", 0);
	forge("d/lib/libsecond.so", 0);
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "libfirst.so", 0);
	ck_assert_uint_lt(unit_heap_growth_bytes(accepted), UNIT_HEAP_ROUNDS);
	finish();
}
END_TEST

/* Each check of a library, or of a directory, would have to follow links through a thousand directories. */
START_TEST(links_with_many_components_are_followed_within_bounds)
{
	char way[3900], names[100][16];
	unsigned int components = 0;

	start();
	way[0] = '\0';
	scratch_directory("d/a", 0755);
	for (size_t at = 0; at + 6 < sizeof(way); at += 5)
		strcpy(way + at, "a/../");
	scratch_link("d/far", way);
	forge_begin();
	for (int i = 0; i < 100; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "l%d.so", i);
		add_tag(DT_NEEDED, names[i]);
	}
	add_tag(DT_RUNPATH, repeated("$ORIGIN/far", ":", 250));
	forge_end("d/x.so", 0644);
	refused("too many");
	forge("d/x.so", DT_RUNPATH, repeated("$ORIGIN/far", ":", 500), 0);
	refused("too many");
	forge("d/x.so", DT_RUNPATH, repeated("$ORIGIN/far", ":", 250), 0);
	accepted();

	trust.components = &components;
	char resolved[PATH_MAX];
	ck_assert_int_eq(zp_trust_resolve_directory(&trust, scratch_path("d/far"), resolved, why, sizeof(why)), 0);
	ck_assert_uint_gt(components, 700);
	finish();
}
END_TEST

START_TEST(damaged_files_are_read_within_their_bounds)
{
	struct zp_dynamic dynamic;
	srand(unit_seed());
	start();
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", 0);
	const size_t sound_bytes = offsetof(struct image, strings) + string_bytes;
	const struct image sound = image;
	for (int i = 0; i < 3000; i++) {
		image = sound;
		for (int n = rand() % 8; n >= 0; n--)
			((unsigned char *)&image)[rand() % (int)offsetof(struct image, dynamic[4])] ^=
				(unsigned char)(1 << rand() % 8);
		size_t bytes = i % 3 ? sound_bytes : (size_t)rand() % sound_bytes;
		scratch_file("d/x.so", 0644, &image, bytes);
		int fd = open(scratch_path("d/x.so"), O_RDONLY | O_CLOEXEC);
		int err = zp_dynamic_read(fd, &dynamic);
		ck_assert_msg(err == 0 || err == -E2BIG, "%d", err);
		ck_assert_uint_le(dynamic.count, ZP_DYNAMIC_MAX_NAMES);
		for (size_t n = 0; n < dynamic.count; n++)
			ck_assert_uint_lt(strlen(dynamic.names[n].text), ZP_DYNAMIC_MAX_NAME_BYTES);
		zp_dynamic_clear(&dynamic);
		close(fd);
	}
	finish();
}
END_TEST

START_TEST(every_failing_allocation_is_reported)
{
	start();
	forge("d/x.so", DT_RUNPATH, "$ORIGIN/lib", DT_NEEDED, "liba.so", DT_NEEDED, "$ORIGIN/lib/liba.so", 0);
	forge("d/lib/liba.so", DT_RUNPATH, "$ORIGIN", DT_NEEDED, "liba.so", 0);
	unsigned int nth = 0;
	for (bool failed = true; failed;) {
		int err = judge_with_failure(++nth, &failed);
		ck_assert_msg(err == (failed ? -ENOMEM : 0), "allocation %u: %d, %s", nth, err, why);
	}
	ck_assert_uint_gt(nth, 10);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		file_without_dependencies_is_accepted,
		directory_of_a_run_path_is_checked_in_every_spelling,
		run_path_of_the_working_directory_is_refused,
		names_with_unknown_linker_tokens_are_refused,
		rpath_is_ignored_if_there_is_a_runpath,
		reason_is_cut_off_at_the_end_of_its_buffer,
		library_in_a_run_path_is_checked,
		dangling_link_to_a_library_is_refused_if_others_could_create_its_target,
		library_with_a_path_in_its_name_is_checked,
		indirect_dependencies_are_checked,
		rpath_applies_to_indirect_dependencies,
		directories_for_the_processor_are_checked,
		links_to_directories_for_the_processor_are_checked,
		owners_and_acls_are_checked_as_for_the_plugin,
		too_many_dependencies_are_refused,
		library_or_directory_that_cannot_be_opened_is_not_taken_for_absent,
		judging_leaks_nothing,
		links_with_many_components_are_followed_within_bounds,
		damaged_files_are_read_within_their_bounds,
		every_failing_allocation_is_reported,
	};
	return UNIT_RUN("loader/needs", tests);
}
