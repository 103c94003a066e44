/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "loader/search.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static void assert_path(const char *expected)
{
	char *path = zp_search_get_path();
	ck_assert_str_eq(path, expected);
	free(path);
}

START_TEST(path_comes_from_the_caller_then_the_environment_then_the_build)
{
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(unsetenv("ZPOOL_PLUGIN_PATH"), 0);
	char *built_in = zp_search_get_path();
	ck_assert_int_eq(built_in[0], '/');
	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", "", 1), 0);
	assert_path(built_in);
	free(built_in);
	ck_assert_int_eq(setenv("ZPOOL_PLUGIN_PATH", "/from/environment", 1), 0);
	assert_path("/from/environment");
	ck_assert_int_eq(zpool_set_plugin_path("/chosen:/as well"), 0);
	assert_path("/chosen:/as well");
	ck_assert_int_eq(zpool_set_plugin_path("/another"), 0);
	assert_path("/another");
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	assert_path("/from/environment");
}
END_TEST

START_TEST(bad_path_is_refused_and_the_previous_one_stays)
{
	static const char *const relative[] = { "relative", "./x", "/good:bad", ":x", "~/x", " /x" };
	static const char *const empty[] = { "", ":", ":::" };
	char *text = malloc(PATH_MAX + 2);
	ck_assert_int_eq(zpool_set_plugin_path("/earlier"), 0);
	for (size_t i = 0; i < sizeof(relative) / sizeof(*relative); i++)
		assert_fails(zpool_set_plugin_path(relative[i]), EINVAL, "cannot be a plugin directory");
	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++)
		assert_fails(zpool_set_plugin_path(empty[i]), EINVAL, "The plugin path is empty");
	memset(text, '/', PATH_MAX + 1);
	text[PATH_MAX] = '\0';
	assert_fails(zpool_set_plugin_path(text), EINVAL, "cannot be a plugin directory");
	ck_assert_uint_lt(strlen(zpool_last_error()), 400);
	assert_path("/earlier");
	text[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(zpool_set_plugin_path(text), 0);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	free(text);
}
END_TEST

START_TEST(get_path_writes_as_snprintf_does)
{
	char buf[16] = "untouched";
	ck_assert_int_eq(zpool_set_plugin_path("/0123456789"), 0);
	ck_assert_int_eq(zpool_get_plugin_path(NULL, 0), 11);
	ck_assert_int_eq(zpool_get_plugin_path(buf, 0), 11);
	ck_assert_str_eq(buf, "untouched");
	ck_assert_int_eq(zpool_get_plugin_path(buf, 5), 11);
	ck_assert_str_eq(buf, "/012");
	ck_assert_int_eq(zpool_get_plugin_path(buf, sizeof(buf)), 11);
	ck_assert_str_eq(buf, "/0123456789");
	assert_fails(zpool_get_plugin_path(NULL, 5), EINVAL, "no buffer");
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
}
END_TEST

static unsigned int warnings;

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)user;
	if (level == ZPOOL_LOG_WARNING && strstr(message, "is ignored"))
		warnings++;
}

START_TEST(directories_come_in_order_without_slashes_at_the_end)
{
	const char *cursor = "/a:/b/c//::///:/d/";
	char directory[PATH_MAX];
	static const char *const expected[] = { "/a", "/b/c", "/", "/d" };
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		ck_assert(zp_search_next(&cursor, directory));
		ck_assert_str_eq(directory, expected[i]);
	}
	ck_assert(!zp_search_next(&cursor, directory));
	ck_assert(!zp_search_next(&cursor, directory));
}
END_TEST

START_TEST(unreadable_directories_are_skipped_with_a_warning)
{
	char directory[PATH_MAX], *path = malloc(PATH_MAX + 64);
	const char *cursor = path;
	strcpy(path, "relative:/good:");
	size_t length = strlen(path);
	memset(path + length, 'x', PATH_MAX);
	path[length] = '/';
	strcpy(path + length + PATH_MAX, ":./x:/last");
	warnings = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_WARNING, NULL), 0);
	ck_assert(zp_search_next(&cursor, directory));
	ck_assert_str_eq(directory, "/good");
	ck_assert(zp_search_next(&cursor, directory));
	ck_assert_str_eq(directory, "/last");
	ck_assert(!zp_search_next(&cursor, directory));
	ck_assert_uint_eq(warnings, 3);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	free(path);
}
END_TEST

START_TEST(skipped_directories_are_named)
{
	char refused[ZP_REFUSED_BYTES], *path = malloc(PATH_MAX + 64);
	const char *cursor = path;
	strcpy(path, "relative//:/good:./x:/");
	size_t length = strlen(path);
	memset(path + length, 'y', PATH_MAX);
	path[length + PATH_MAX] = '\0';
	ck_assert(zp_search_next_refused(&cursor, refused));
	ck_assert_str_eq(refused, "relative");
	ck_assert(zp_search_next_refused(&cursor, refused));
	ck_assert_str_eq(refused, "./x");
	ck_assert(zp_search_next_refused(&cursor, refused));
	ck_assert_uint_eq(strlen(refused), ZP_REFUSED_BYTES - 1);
	ck_assert_int_eq(strncmp(refused, "/yyyy", 5), 0);
	ck_assert(!zp_search_next_refused(&cursor, refused));
	free(path);
}
END_TEST

START_TEST(lack_of_memory_is_reported)
{
	char buf[16];
	ck_assert_int_eq(zpool_set_plugin_path("/earlier"), 0);
	memory_fail_at(1);
	int err = zpool_set_plugin_path("/later");
	ck_assert(memory_stop());
	assert_fails(err, ENOMEM, "Out of memory");
	assert_path("/earlier");
	memory_fail_at(1);
	err = zpool_get_plugin_path(buf, sizeof(buf));
	ck_assert(memory_stop());
	assert_fails(err, ENOMEM, "Out of memory");
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
}
END_TEST

START_TEST(lock_for_fork_pairs_with_unlock)
{
	zp_search_lock();
	zp_search_unlock();
	ck_assert_int_eq(zpool_set_plugin_path("/x"), 0);
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		path_comes_from_the_caller_then_the_environment_then_the_build,
		bad_path_is_refused_and_the_previous_one_stays,
		get_path_writes_as_snprintf_does,
		directories_come_in_order_without_slashes_at_the_end,
		unreadable_directories_are_skipped_with_a_warning,
		skipped_directories_are_named,
		lack_of_memory_is_reported,
		lock_for_fork_pairs_with_unlock,
	};
	return UNIT_RUN("loader/search", tests);
}
