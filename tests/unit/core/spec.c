/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/spec.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static struct zp_spec spec;

static void accept_spec(const char *text)
{
	ck_assert_msg(zp_spec_parse(text, &spec) == 0, "\"%s\": %s", text, zpool_last_error());
}

static void refuse_spec(const char *text, const char *message)
{
	assert_fails(zp_spec_parse(text, &spec), EINVAL, message);
	/* There is nothing left to clear, and clearing is harmless. */
	ck_assert_uint_eq(spec.part_count, 0);
	ck_assert_ptr_null(spec.text);
	zp_spec_clear(&spec);
}

START_TEST(single_name_is_a_spec_without_keys)
{
	accept_spec("zbud");
	ck_assert_uint_eq(spec.part_count, 1);
	ck_assert_str_eq(spec.parts[0].type, "zbud");
	ck_assert_uint_eq(spec.parts[0].key_count, 0);
	ck_assert_str_eq(spec.text, "zbud");
	ck_assert_str_eq(spec.text + spec.parts[0].rest, "");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(dashes_of_a_name_are_read_as_underscores)
{
	accept_spec("a-b_c9");
	ck_assert_str_eq(spec.parts[0].type, "a_b_c9");
	ck_assert_str_eq(spec.text, "a-b_c9");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(names_outside_of_the_alphabet_are_refused)
{
	static const char *const names[] = { "9a",      "_a",   "-a", "A",   "aB",    "a b", "a.b", "a/b",
					     "../evil", "a%62", " a", "a\n", "a\xff", "a=b", "a,b" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		refuse_spec(names[i], "is not a valid driver name");
}
END_TEST

START_TEST(name_of_32_bytes_is_the_longest)
{
	char name[34];
	memset(name, 'n', sizeof(name));
	name[32] = '\0';
	accept_spec(name);
	ck_assert_str_eq(spec.parts[0].type, name);
	zp_spec_clear(&spec);
	name[32] = 'n';
	name[33] = '\0';
	refuse_spec(name, "(33 bytes) is not a valid driver name");
}
END_TEST

START_TEST(empty_parts_are_refused)
{
	static const char *const texts[] = { "", "+", "+a", "a+", "a++b", ":k=v", "a+:k=v", "++" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		refuse_spec(texts[i], "is missing a driver's name");
}
END_TEST

START_TEST(keys_and_values_are_separated)
{
	accept_spec("a:one=1,two=2=2,three=:");
	ck_assert_uint_eq(spec.parts[0].key_count, 3);
	ck_assert_str_eq(spec.parts[0].keys[0].key, "one");
	ck_assert_str_eq(spec.parts[0].keys[0].value, "1");
	ck_assert_str_eq(spec.parts[0].keys[1].key, "two");
	ck_assert_str_eq(spec.parts[0].keys[1].value, "2=2");
	ck_assert_str_eq(spec.parts[0].keys[2].value, ":");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(empty_value_is_accepted)
{
	accept_spec("a:k=");
	ck_assert_str_eq(spec.parts[0].keys[0].value, "");
	zp_spec_clear(&spec);
	accept_spec("a:k=,l=");
	ck_assert_uint_eq(spec.parts[0].key_count, 2);
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(parameter_without_key_or_value_is_refused)
{
	static const char *const texts[] = { "a:",     "a:,",        "a:b",    "a:=v", "a:=",
					     "a:k=v,", "a:k=v,,l=w", "a:,k=v", "a:b+c" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		refuse_spec(texts[i], "which does not have the form key=value");
}
END_TEST

START_TEST(key_given_twice_is_refused)
{
	refuse_spec("a:k=1,k=2", "driver \"a\" has the key \"k\" twice");
	refuse_spec("a:k=1,l=2,%6b=3", "driver \"a\" has the key \"k\" twice");
	accept_spec("a:k=1+b:k=1");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(escapes_stand_for_any_byte_except_nul)
{
	accept_spec("a:k=%2B%2c%3a%3D%25%fF%01");
	ck_assert_str_eq(spec.parts[0].keys[0].value, "+,:=%\xff\x01");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(escaped_separators_do_not_separate)
{
	accept_spec("a:k%3d=1%2bb");
	ck_assert_uint_eq(spec.part_count, 1);
	ck_assert_str_eq(spec.parts[0].keys[0].key, "k=");
	ck_assert_str_eq(spec.parts[0].keys[0].value, "1+b");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(broken_escapes_are_refused)
{
	static const char *const texts[] = { "a:k=%",  "a:k=%2", "a:k=%g0", "a:k=%0g", "a:k=%00",
					     "a:k=x%", "a:%=v",  "a:k=%%",  "a:k=% 1", "a:k=%2,l=1" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		refuse_spec(texts[i], "write %25 for a percent sign");
}
END_TEST

START_TEST(parts_of_a_spec_know_the_parts_below)
{
	accept_spec("a:k=v+b-c+d:l=w");
	ck_assert_uint_eq(spec.part_count, 3);
	ck_assert_str_eq(spec.text + spec.parts[0].rest, "b-c+d:l=w");
	ck_assert_str_eq(spec.text + spec.parts[1].rest, "d:l=w");
	ck_assert_str_eq(spec.text + spec.parts[2].rest, "");
	ck_assert_str_eq(spec.parts[1].type, "b_c");
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(sixteen_parts_are_the_maximum)
{
	char text[64] = "a";
	for (int i = 1; i < ZP_SPEC_MAX_PARTS; i++)
		strcat(text, "+a");
	accept_spec(text);
	ck_assert_uint_eq(spec.part_count, 16);
	zp_spec_clear(&spec);
	strcat(text, "+a");
	refuse_spec(text, "more than 16 parts");
}
END_TEST

START_TEST(sixty_four_keys_are_the_maximum)
{
	char text[1024] = "a:";
	size_t length = 2;
	for (int i = 0; i < ZP_SPEC_MAX_KEYS; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%sk%d=v", i ? "," : "", i);
	accept_spec(text);
	ck_assert_uint_eq(spec.parts[0].key_count, 64);
	zp_spec_clear(&spec);
	strcat(text, ",last=v");
	refuse_spec(text, "more than 64 keys");
}
END_TEST

START_TEST(spec_of_4096_bytes_is_the_longest)
{
	static char text[ZP_SPEC_MAX_BYTES + 2];
	memset(text, 'v', sizeof(text) - 1);
	memcpy(text, "a:k=", 4);
	refuse_spec(text, "is longer than 4096 bytes");
	text[ZP_SPEC_MAX_BYTES] = '\0';
	accept_spec(text);
	ck_assert_uint_eq(strlen(spec.parts[0].keys[0].value), ZP_SPEC_MAX_BYTES - 4);
	zp_spec_clear(&spec);
}
END_TEST

START_TEST(messages_quote_only_the_beginning_of_long_texts)
{
	static char text[10001];
	memset(text, 'x', sizeof(text) - 1);
	refuse_spec(text, "...");
	ck_assert_uint_lt(strlen(zpool_last_error()), 200);
}
END_TEST

START_TEST(every_failing_allocation_is_reported)
{
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		int err = zp_spec_parse("a:k=v+b:l=w", &spec);
		if (!memory_stop()) {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_gt(nth, 4);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		assert_contains(zpool_last_error(), "Out of memory");
	}
	zp_spec_clear(&spec);
}
END_TEST

/* For any text, the parser either refuses it with a message or returns copies of its words. */
START_TEST(random_texts_are_accepted_or_refused)
{
	static const char alphabet[] = "ab-:+=,%02fzZ \xff";
	unsigned int seed = unit_seed();
	for (int round = 0; round < 20000; round++) {
		char text[24];
		size_t length = (size_t)rand_r(&seed) % sizeof(text);
		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		text[length ? length - 1 : 0] = '\0';
		int err = zp_spec_parse(text, &spec);
		ck_assert_int_eq(err, err ? -EINVAL : 0);
		size_t words = 0;
		for (unsigned int p = 0; p < spec.part_count; p++)
			for (unsigned int k = 0; k < spec.parts[p].key_count; k++)
				words += strlen(spec.parts[p].keys[k].key) + strlen(spec.parts[p].keys[k].value);
		ck_assert_uint_le(words, length);
		zp_spec_clear(&spec);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		single_name_is_a_spec_without_keys,
		dashes_of_a_name_are_read_as_underscores,
		names_outside_of_the_alphabet_are_refused,
		name_of_32_bytes_is_the_longest,
		empty_parts_are_refused,
		keys_and_values_are_separated,
		empty_value_is_accepted,
		parameter_without_key_or_value_is_refused,
		key_given_twice_is_refused,
		escapes_stand_for_any_byte_except_nul,
		escaped_separators_do_not_separate,
		broken_escapes_are_refused,
		parts_of_a_spec_know_the_parts_below,
		sixteen_parts_are_the_maximum,
		sixty_four_keys_are_the_maximum,
		spec_of_4096_bytes_is_the_longest,
		messages_quote_only_the_beginning_of_long_texts,
		every_failing_allocation_is_reported,
		random_texts_are_accepted_or_refused,
	};
	return UNIT_RUN("core/spec", tests);
}
