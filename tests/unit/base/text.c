/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static void assert_escapes(const char *text, const char *expected)
{
	char buf[256];
	size_t length = zpool_escape(buf, sizeof(buf), text);
	ck_assert_str_eq(buf, expected);
	ck_assert_uint_eq(length, strlen(expected));
}

START_TEST(visible_text_stays_as_it_is)
{
	assert_escapes("", "");
	assert_escapes(NULL, "");
	assert_escapes("a plain text, \"quoted\": 100 % \\ done~", "a plain text, \"quoted\": 100 % \\ done~");
	assert_escapes("fran\xc3\xa7"
		       "ais \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xc2\xa0",
		       "fran\xc3\xa7"
		       "ais \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80 \xc2\xa0");
}
END_TEST

START_TEST(control_characters_are_escaped)
{
	assert_escapes("\x1b[31mred\x1b]0;title\a", "\\x1b[31mred\\x1b]0;title\\x07");
	assert_escapes("a\nb\tc\rd\b\x7f", "a\\nb\\tc\\rd\\x08\\x7f");
	/* C1 controls in UTF-8: CSI and NEL. */
	assert_escapes("\xc2\x9b"
		       "31m\xc2\x85\xc2\x80\xc2\x9f",
		       "\\u009b31m\\u0085\\u0080\\u009f");
}
END_TEST

START_TEST(bidirectional_and_invisible_characters_are_escaped)
{
	for (uint32_t point = 0x202a; point <= 0x202e; point++) {
		char text[] = { (char)0xe2, (char)0x80, (char)(0x80 | (point & 0x3f)), 0 }, expected[16];
		(void)snprintf(expected, sizeof(expected), "\\u%04x", (unsigned int)point);
		assert_escapes(text, expected);
	}
	for (uint32_t point = 0x2066; point <= 0x2069; point++) {
		char text[] = { (char)0xe2, (char)0x81, (char)(0x80 | (point & 0x3f)), 0 }, expected[16];
		(void)snprintf(expected, sizeof(expected), "\\u%04x", (unsigned int)point);
		assert_escapes(text, expected);
	}
	assert_escapes("\xe2\x80\xa8|\xe2\x80\xa9", "\\u2028|\\u2029");
	assert_escapes("\xe2\x80\x8b|\xe2\x80\x8e|\xe2\x80\x8f|\xd8\x9c", "\\u200b|\\u200e|\\u200f|\\u061c");
	assert_escapes("\xef\xbb\xbf|\xef\xbf\xbe|\xf3\xa0\x80\x81", "\\ufeff|\\ufffe|\\U000e0001");
	/* The last character with four digits, and the first noncharacter with eight. */
	assert_escapes("\xef\xbf\xbf|\xf0\x9f\xbf\xbe", "\\uffff|\\U0001fffe");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_escaped_one_by_one)
{
	assert_escapes("\x80", "\\x80");
	assert_escapes("\x9b"
		       "31m",
		       "\\x9b31m");
	assert_escapes("\xff\xfe", "\\xff\\xfe");
	assert_escapes("cut \xe6\x97", "cut \\xe6\\x97");
	assert_escapes("\xc3(", "\\xc3(");
	/* Overlong forms of ESC, of a slash and of NUL; a surrogate; beyond the last code point. */
	assert_escapes("\xc0\x9b\xe0\x80\x9b\xf0\x80\x80\x9b", "\\xc0\\x9b\\xe0\\x80\\x9b\\xf0\\x80\\x80\\x9b");
	assert_escapes("\xc0\xaf\xc0\x80", "\\xc0\\xaf\\xc0\\x80");
	assert_escapes("\xed\xa0\x80\xed\xb0\x80", "\\xed\\xa0\\x80\\xed\\xb0\\x80");
	assert_escapes("\xf4\x90\x80\x80\xf8\x88\x80\x80\x80", "\\xf4\\x90\\x80\\x80\\xf8\\x88\\x80\\x80\\x80");
}
END_TEST

START_TEST(short_buffer_gets_whole_pieces_and_the_full_length)
{
	char buf[8];

	memset(buf, '#', sizeof(buf));
	ck_assert_uint_eq(zpool_escape(buf, 6,
				       "ab\x1b"
				       "c"),
			  7);
	ck_assert_str_eq(buf, "ab");
	ck_assert_int_eq(buf[6], '#');
	ck_assert_uint_eq(zpool_escape(buf, 4, "ab\xc3\xa7"), 4);
	ck_assert_str_eq(buf, "ab");
	ck_assert_uint_eq(zpool_escape(buf, 5, "ab\xc3\xa7"), 4);
	ck_assert_str_eq(buf, "ab\xc3\xa7");
	ck_assert_uint_eq(zpool_escape(buf, 1, "abc"), 3);
	ck_assert_str_eq(buf, "");
	ck_assert_uint_eq(zpool_escape(NULL, 0, "\n"), 2);
}
END_TEST

/* For any bytes, the result contains nothing that would have to be escaped. */
START_TEST(escaping_twice_changes_nothing)
{
	unsigned int seed = unit_seed();
	char text[64], once[sizeof(text) * 12], twice[sizeof(once)];

	for (unsigned int round = 0; round < 20000; round++) {
		for (size_t i = 0; i + 1 < sizeof(text); i++)
			text[i] = (char)(rand_r(&seed) % 255 + 1);
		text[(unsigned int)rand_r(&seed) % sizeof(text)] = '\0';
		text[sizeof(text) - 1] = '\0';
		size_t length = zpool_escape(once, sizeof(once), text);
		ck_assert_uint_eq(length, strlen(once));
		ck_assert_uint_eq(zpool_escape(twice, sizeof(twice), once), length);
		ck_assert_str_eq(once, twice);
	}
}
END_TEST

START_TEST(errors_escape_the_text_that_they_quote)
{
	assert_fails(zp_fail(EINVAL, "\"%s\" is not a driver's name.", "\x1b[2J\xc2\x9b"), EINVAL,
		     "\"\\x1b[2J\\u009b\" is not a driver's name.");
	assert_fails_null(zp_fail_null(EINVAL, "%s", "a\nb"), EINVAL, "a\\nb");
	zp_error_keep();
	assert_fails_null(zpool_open("\x1b[31mzbud\n", NULL, 0), EINVAL, "\\x1b[31mzbud\\n");
	assert_lacks(zpool_last_error(), "\x1b");
	assert_lacks(zpool_last_error(), "\n");
}
END_TEST

START_TEST(error_without_memory_for_the_escape_is_still_reported)
{
	memory_fail_at(2);
	ck_assert_int_eq(zp_fail(EINVAL, "%s", "\x1b"), -EINVAL);
	ck_assert(memory_stop());
	assert_contains(zpool_last_error(), "Out of memory");
}
END_TEST

static char received[128];

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)user;
	(void)snprintf(received, sizeof(received), "%s", message);
}

START_TEST(log_messages_escape_the_text_that_they_quote)
{
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_DEBUG, NULL), 0);
	zp_log(ZPOOL_LOG_ERROR, "driver \"%s\": %s", "evil\x1b[1m", "line\nline");
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	ck_assert_str_eq(received, "driver \"evil\\x1b[1m\": line\\nline");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		visible_text_stays_as_it_is,
		control_characters_are_escaped,
		bidirectional_and_invisible_characters_are_escaped,
		bytes_that_are_not_utf8_are_escaped_one_by_one,
		short_buffer_gets_whole_pieces_and_the_full_length,
		escaping_twice_changes_nothing,
		errors_escape_the_text_that_they_quote,
		error_without_memory_for_the_escape_is_still_reported,
		log_messages_escape_the_text_that_they_quote,
	};
	return UNIT_RUN("base/text", tests);
}
