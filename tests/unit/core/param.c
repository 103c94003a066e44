/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/param.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static struct zpool_value value;

static void takes(const struct zpool_param *param, const char *text, uint64_t number)
{
	int err = zp_param_parse("mock", param, text, &value);
	ck_assert_msg(err == 0, "\"%s\": %s", text, zpool_last_error());
	ck_assert_uint_eq(value.number, number);
	ck_assert_ptr_eq(value.text, text);
	ck_assert_str_eq(value.key, param->key);
	ck_assert_uint_eq(value.given, 0);
}

static void refuses(const struct zpool_param *param, const char *text)
{
	value.number = 12345;
	assert_fails(zp_param_parse("mock", param, text, &value), EINVAL, "Driver \"mock\"");
	assert_contains(zpool_last_error(), param->key);
	assert_contains(zpool_last_error(), param->help);
	ck_assert_uint_eq(value.number, 12345);
}

static struct zpool_param param_of(enum zpool_param_type type, uint64_t min, uint64_t max)
{
	return (struct zpool_param){ .key = "key", .help = "what it means", .min = min, .max = max, .type = type };
}

START_TEST(bool_takes_eight_words_and_no_other)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_BOOL, 0, 0);
	static const char *const yes[] = { "yes", "on", "true", "1" }, *const no[] = { "no", "off", "false", "0" };
	static const char *const neither[] = { "", "Yes", "y", "2", "00", "01", "true ", " no" };
	for (size_t i = 0; i < 4; i++) {
		takes(&param, yes[i], 1);
		takes(&param, no[i], 0);
	}
	for (size_t i = 0; i < sizeof(neither) / sizeof(*neither); i++)
		refuses(&param, neither[i]);
	assert_contains(zpool_last_error(), "yes or no");
}
END_TEST

START_TEST(number_consists_of_decimal_digits_only)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_UINT, 0, UINT64_MAX);
	static const char *const refused[] = { "",    "-1", "+1", " 1",  "1 ", "1.0",     "0x10",
					       "1e3", "1K", "a",  "1\n", "--", "\xd9\xa1" };
	takes(&param, "0", 0);
	takes(&param, "007", 7);
	takes(&param, "42", 42);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		refuses(&param, refused[i]);
}
END_TEST

START_TEST(number_beyond_64_bits_is_refused)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_UINT, 0, UINT64_MAX);
	takes(&param, "18446744073709551615", UINT64_MAX);
	takes(&param, "00000000000000000000018446744073709551615", UINT64_MAX);
	refuses(&param, "18446744073709551616");
	refuses(&param, "18446744073709551620");
	refuses(&param, "184467440737095516150");
}
END_TEST

START_TEST(number_out_of_bounds_is_refused)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_UINT, 2, 8);
	takes(&param, "2", 2);
	takes(&param, "8", 8);
	refuses(&param, "1");
	refuses(&param, "9");
	assert_contains(zpool_last_error(), "\"9\" is not a valid value for \"key\"");
	assert_contains(zpool_last_error(), "a number from 2 to 8");
}
END_TEST

START_TEST(size_accepts_one_suffix)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_SIZE, 0, UINT64_MAX);
	static const char *const refused[] = { "K", "1KK", "1KB", "1P", "1 K", "K1", "1M1", "-1K" };
	takes(&param, "5", 5);
	takes(&param, "1K", 1 << 10);
	takes(&param, "1k", 1 << 10);
	takes(&param, "3M", 3 << 20);
	takes(&param, "3m", 3 << 20);
	takes(&param, "2G", UINT64_C(2) << 30);
	takes(&param, "2g", UINT64_C(2) << 30);
	takes(&param, "7T", UINT64_C(7) << 40);
	takes(&param, "7t", UINT64_C(7) << 40);
	takes(&param, "0T", 0);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		refuses(&param, refused[i]);
	assert_contains(zpool_last_error(), "K, M, G, T");
}
END_TEST

START_TEST(size_that_exceeds_64_bits_by_its_suffix_is_refused)
{
	const struct zpool_param param = param_of(ZPOOL_PARAM_SIZE, 0, UINT64_MAX);
	takes(&param, "16777215T", UINT64_C(16777215) << 40);
	refuses(&param, "16777216T");
	takes(&param, "18014398509481983K", UINT64_C(18014398509481983) << 10);
	refuses(&param, "18014398509481984K");
	refuses(&param, "18446744073709551615K");
}
END_TEST

START_TEST(enum_takes_its_words_and_lists_them)
{
	static const char *const words[] = { "red", "green", "blue", NULL };
	struct zpool_param param = param_of(ZPOOL_PARAM_ENUM, 0, 0);
	param.choices = words;
	takes(&param, "red", 0);
	takes(&param, "blue", 2);
	refuses(&param, "Red");
	refuses(&param, "");
	refuses(&param, "red,green");
	assert_contains(zpool_last_error(), "one of red green blue");
	param.choices = NULL;
	refuses(&param, "red");
}
END_TEST

START_TEST(string_of_wrong_length_is_refused)
{
	const struct zpool_param any = param_of(ZPOOL_PARAM_STRING, 0, 0), bounded = param_of(ZPOOL_PARAM_STRING, 2, 4);
	takes(&any, "", 0);
	takes(&any, "a long text of no bound", 23);
	takes(&bounded, "ab", 2);
	takes(&bounded, "abcd", 4);
	refuses(&bounded, "a");
	refuses(&bounded, "abcde");
	assert_contains(zpool_last_error(), "a text of at least 2 bytes and at most 4 bytes");
	const struct zpool_param short_one = param_of(ZPOOL_PARAM_STRING, 0, 1);
	refuses(&short_one, "ab");
	assert_contains(zpool_last_error(), "a text of at most 1 byte.");
}
END_TEST

START_TEST(unknown_type_leaks_nothing)
{
	const struct zpool_param param = param_of((enum zpool_param_type)6, 0, 0);
	refuses(&param, "1");
}
END_TEST

START_TEST(parameter_limit_accepts_any_size)
{
	takes(&zp_limit_param, "0", 0);
	takes(&zp_limit_param, "64M", 64 << 20);
	takes(&zp_limit_param, "18446744073709551615", UINT64_MAX);
	refuses(&zp_limit_param, "much");
}
END_TEST

START_TEST(find_returns_the_index_or_minus_one)
{
	const struct zpool_driver driver = driver_for_tests("mock");
	ck_assert_int_eq(zp_param_find(&driver, "level"), 0);
	ck_assert_int_eq(zp_param_find(&driver, "note"), 2);
	ck_assert_int_eq(zp_param_find(&driver, "limit"), -1);
	ck_assert_int_eq(zp_param_find(&driver, "Level"), -1);
	ck_assert_int_eq(zp_param_find(&driver, ""), -1);
}
END_TEST

START_TEST(unknown_key_lists_keys_defaults_and_meanings)
{
	const struct zpool_driver driver = driver_for_tests("mock");
	assert_fails(zp_param_fail_unknown(&driver, "lebel"), EINVAL, "Driver \"mock\" has no parameter \"lebel\"");
	assert_contains(zpool_last_error(), "level=3 (how high, in steps: a number from 1 to 9)");
	assert_contains(zpool_last_error(), "colour=red (what it looks like: one of red green)");
	assert_contains(zpool_last_error(), "note= (a remark: a text)");
	assert_contains(zpool_last_error(), "limit=0 (maximum number of bytes that the pool may hold, 0 for no limit");
}
END_TEST

START_TEST(driver_without_parameters_has_the_parameter_limit)
{
	struct zpool_driver driver = driver_for_tests("mock");
	driver.param_count = 0;
	assert_fails(zp_param_fail_unknown(&driver, "x"), EINVAL, "and defaults: limit=0");
}
END_TEST

/* Returns the values that a spec gives to the mock driver. */
static int values_of(const char *text, struct zpool_value **values, const char **limit)
{
	static struct zp_spec spec;
	const struct zpool_driver driver = driver_for_tests("mock");
	zp_spec_clear(&spec);
	ck_assert_int_eq(zp_spec_parse(text, &spec), 0);
	return zp_param_values(&driver, &spec.parts[0], values, limit);
}

START_TEST(values_are_the_defaults_where_nothing_is_given)
{
	struct zpool_value *values;
	const char *limit = "x";
	ck_assert_int_eq(values_of("mock", &values, &limit), 0);
	ck_assert_ptr_null(limit);
	ck_assert_uint_eq(values[0].number, 3);
	ck_assert_str_eq(values[0].text, "3");
	ck_assert_uint_eq(values[0].given, 0);
	ck_assert_uint_eq(values[1].number, 0);
	ck_assert_str_eq(values[2].key, "note");
	ck_assert_ptr_null(values[2].text);
	ck_assert_uint_eq(values[2].number, 0);
	free(values);
}
END_TEST

START_TEST(values_have_the_order_of_the_table)
{
	struct zpool_value *values;
	const char *limit;
	ck_assert_int_eq(values_of("mock:note=%2b,level=9,limit=1M,colour=green", &values, &limit), 0);
	ck_assert_str_eq(limit, "1M");
	ck_assert_uint_eq(values[0].number, 9);
	ck_assert_uint_eq(values[0].given, 1);
	ck_assert_uint_eq(values[1].number, 1);
	ck_assert_str_eq(values[2].text, "+");
	ck_assert_uint_eq(values[2].number, 1);
	free(values);
}
END_TEST

START_TEST(values_of_a_bad_spec_are_null)
{
	struct zpool_value *values = &value;
	const char *limit;
	assert_fails(values_of("mock:level=10", &values, &limit), EINVAL, "\"10\" is not a valid value for \"level\"");
	ck_assert_ptr_null(values);
	assert_fails(values_of("mock:wrong=1", &values, &limit), EINVAL, "no parameter \"wrong\"");
	ck_assert_ptr_null(values);
}
END_TEST

START_TEST(messages_survive_a_lack_of_memory)
{
	const struct zpool_driver driver = driver_for_tests("mock");
	struct zpool_value *values;
	const char *limit;
	memory_fail_at(1);
	int err = zp_param_fail_unknown(&driver, "x");
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -EINVAL);
	assert_contains(zpool_last_error(), "out of memory");
	memory_fail_at(1);
	err = zp_param_parse("mock", &driver.params[0], "x", &value);
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -EINVAL);
	assert_contains(zpool_last_error(), "use another value");
	struct zp_spec_part part = { .type = "mock" };
	memory_fail_at(1);
	err = zp_param_values(&driver, &part, &values, &limit);
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -ENOMEM);
	ck_assert_ptr_null(values);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bool_takes_eight_words_and_no_other,
		number_consists_of_decimal_digits_only,
		number_beyond_64_bits_is_refused,
		number_out_of_bounds_is_refused,
		size_accepts_one_suffix,
		size_that_exceeds_64_bits_by_its_suffix_is_refused,
		enum_takes_its_words_and_lists_them,
		string_of_wrong_length_is_refused,
		unknown_type_leaks_nothing,
		parameter_limit_accepts_any_size,
		find_returns_the_index_or_minus_one,
		unknown_key_lists_keys_defaults_and_meanings,
		driver_without_parameters_has_the_parameter_limit,
		values_are_the_defaults_where_nothing_is_given,
		values_have_the_order_of_the_table,
		values_of_a_bad_spec_are_null,
		messages_survive_a_lack_of_memory,
	};
	return UNIT_RUN("core/param", tests);
}
