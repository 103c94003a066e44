/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/name.h"

#include <stdint.h>
#include <string.h>

#include "tests/unit/run.h"

START_TEST(type_names_are_read_with_dashes_as_underscores)
{
	char type[ZP_TYPE_BYTES] = "untouched";
	ck_assert(zp_type_parse("a-b_9", 5, type));
	ck_assert_str_eq(type, "a_b_9");
	ck_assert(zp_type_parse("zbud:limit=1", 4, type));
	ck_assert_str_eq(type, "zbud");
}
END_TEST

START_TEST(invalid_type_name_does_not_change_the_buffer)
{
	static const char *const names[] = { "", "9", "_", "-", "A", "aB", "a/b", "a.so", "a ", "a\x80", "a%2e" };
	char type[ZP_TYPE_BYTES] = "untouched", name[64];
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		ck_assert_msg(!zp_type_parse(names[i], strlen(names[i]), type), "%s", names[i]);
	memset(name, 'a', sizeof(name));
	ck_assert(!zp_type_parse(name, 33, type));
	ck_assert(!zp_type_parse(name, SIZE_MAX, type));
	ck_assert_str_eq(type, "untouched");
	ck_assert(zp_type_parse(name, 32, type));
	ck_assert_uint_eq(strlen(type), 32);
}
END_TEST

START_TEST(every_byte_is_checked_as_first_and_as_later_character)
{
	char type[ZP_TYPE_BYTES];
	for (int c = 0; c < 256; c++) {
		const char first[] = { (char)c }, later[] = { 'x', (char)c };
		bool lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
		ck_assert_int_eq(zp_type_parse(first, 1, type), lower);
		ck_assert_int_eq(zp_type_parse(later, 2, type), lower || digit || c == '_' || c == '-');
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		type_names_are_read_with_dashes_as_underscores,
		invalid_type_name_does_not_change_the_buffer,
		every_byte_is_checked_as_first_and_as_later_character,
	};
	return UNIT_RUN("base/name", tests);
}
