/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/driver.h"

#include <stdlib.h>

#include "core/param.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, own;
static char why[256];

/* The size of the structure in ABI 1.0. */
#define LEAST_BYTES (offsetof(struct zpool_driver, write) + sizeof(driver.write))

static void adopt(size_t symbol_bytes, const char *expected)
{
	int err = zp_driver_adopt(&driver, symbol_bytes, expected, &own, why, sizeof(why));
	ck_assert_msg(err == 0, "%s", why);
}

static void refuse(size_t symbol_bytes, const char *expected, const char *reason)
{
	memset(&own, 0xff, sizeof(own));
	ck_assert_int_eq(zp_driver_adopt(&driver, symbol_bytes, expected, &own, why, sizeof(why)), -ENOEXEC);
	assert_contains(why, reason);
	/* The refused record is empty, so that clearing it is harmless. */
	ck_assert_ptr_null(own.params);
	ck_assert_ptr_null((void *)(uintptr_t)own.create);
}

static void make_valid_driver(void)
{
	driver = driver_for_tests("mock");
}

START_TEST(valid_driver_is_copied_with_its_own_table)
{
	make_valid_driver();
	adopt(0, NULL);
	ck_assert_str_eq(own.type, "mock");
	ck_assert_ptr_ne(own.params, driver.params);
	ck_assert_uint_eq(own.param_count, 3);
	ck_assert_str_eq(own.params[1].key, "colour");
	ck_assert_uint_eq(own.struct_size, sizeof(own));
	ck_assert(own.shrink == driver.shrink);
	zp_driver_clear(&own);
	ck_assert_ptr_null(own.params);
	ck_assert_uint_eq(own.magic, 0);
}
END_TEST

START_TEST(misaligned_structure_is_refused_without_reading_it)
{
	static _Alignas(16) char bytes[16];
	ck_assert_int_eq(zp_driver_adopt((const struct zpool_driver *)(const void *)(bytes + 1), 0, NULL, &own, why,
					 sizeof(why)),
			 -ENOEXEC);
	assert_contains(why, "misaligned");
}
END_TEST

START_TEST(wrong_fields_of_the_header_are_named)
{
	make_valid_driver();
	driver.magic ^= 1;
	refuse(0, NULL, "magic is 0x5a504f4f4c445257 instead of 0x5a504f4f4c445256");
	make_valid_driver();
	driver.abi_major = 2;
	refuse(0, NULL, "abi_major is 2, but this library supports ABI 1");
	make_valid_driver();
	driver.abi_major = 0;
	refuse(0, NULL, "abi_major is 0");
	make_valid_driver();
	driver.struct_size = (uint32_t)LEAST_BYTES - 1;
	refuse(0, NULL, "struct_size is");
	make_valid_driver();
	driver.struct_size--;
	refuse(0, NULL, "not a multiple of the alignment 8");
	make_valid_driver();
	driver.flags_required = 0x80000004u;
	refuse(0, NULL, "flags_required has bits 0x80000004");
}
END_TEST

START_TEST(symbol_must_be_as_large_as_the_structure_claims)
{
	make_valid_driver();
	refuse(offsetof(struct zpool_driver, type) - 1, NULL, "less than the head of a driver structure");
	refuse(1, NULL, "symbol zpool_driver is 1, less");
	refuse(offsetof(struct zpool_driver, type), NULL, "symbol zpool_driver is only");
	refuse(sizeof(driver) - 1, NULL, "symbol zpool_driver is only");
	adopt(sizeof(driver), NULL);
	zp_driver_clear(&own);
	adopt(sizeof(driver) + 100, NULL);
	zp_driver_clear(&own);
}
END_TEST

START_TEST(smallest_structure_of_the_abi_has_no_optional_callbacks)
{
	make_valid_driver();
	driver.struct_size = (uint32_t)LEAST_BYTES;
	adopt(LEAST_BYTES, NULL);
	ck_assert(own.write == driver.write);
	ck_assert(!own.shrink && !own.verify && !own.fork && !own.set_limit);
	zp_driver_clear(&own);
}
END_TEST

START_TEST(structure_of_a_newer_abi_is_truncated_to_known_members)
{
	static struct {
		struct zpool_driver known;
		char unknown[64];
	} newer;
	newer.known = driver_for_tests("mock");
	newer.known.struct_size = sizeof(newer);
	newer.known.abi_minor = 9;
	memset(newer.unknown, 0xee, sizeof(newer.unknown));
	ck_assert_int_eq(zp_driver_adopt(&newer.known, sizeof(newer), "mock", &own, why, sizeof(why)), 0);
	ck_assert_uint_eq(own.abi_minor, 9);
	ck_assert_uint_eq(own.struct_size, sizeof(own));
	zp_driver_clear(&own);
}
END_TEST

START_TEST(unknown_ignorable_flags_are_ignored)
{
	make_valid_driver();
	driver.flags_ignorable = 0xfffffff0u;
	adopt(0, NULL);
	ck_assert_uint_eq(zp_driver_caps(&own) & (ZPOOL_CAP_MOVABLE | ZPOOL_CAP_SLEEP_MAPPED | ZPOOL_CAP_NOWAIT), 0);
	zp_driver_clear(&own);
}
END_TEST

START_TEST(type_must_be_valid_and_the_expected_one)
{
	static const char *const types[] = { NULL,    "",      "Mock",   "mo-ck",
					     "mo ck", "9mock", "mock\n", "a23456789012345678901234567890123" };
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		make_valid_driver();
		driver.type = types[i];
		refuse(0, NULL, "type is not a driver's name");
	}
	make_valid_driver();
	refuse(0, "other", "type is \"mock\", but the driver was looked up as \"other\"");
	driver.type = "a2345678901234567890123456789012";
	adopt(0, NULL);
	zp_driver_clear(&own);
}
END_TEST

START_TEST(missing_version_and_description_read_as_empty)
{
	make_valid_driver();
	driver.version = driver.description = NULL;
	adopt(0, NULL);
	ck_assert_str_eq(own.version, "");
	ck_assert_str_eq(own.description, "");
	zp_driver_clear(&own);
}
END_TEST

START_TEST(missing_mandatory_callback_is_named)
{
	make_valid_driver();
	driver.create = NULL;
	refuse(0, NULL, "mandatory callback create is NULL");
	make_valid_driver();
	driver.destroy = NULL;
	refuse(0, NULL, "mandatory callback destroy is NULL");
	make_valid_driver();
	driver.malloc = NULL;
	refuse(0, NULL, "mandatory callback malloc is NULL");
	make_valid_driver();
	driver.free = NULL;
	refuse(0, NULL, "mandatory callback free is NULL");
	make_valid_driver();
	driver.total_size = NULL;
	refuse(0, NULL, "mandatory callback total_size is NULL");
}
END_TEST

START_TEST(driver_needs_map_and_unmap_or_read_and_write)
{
	make_valid_driver();
	driver.map = NULL;
	driver.unmap = NULL;
	adopt(0, NULL);
	zp_driver_clear(&own);
	driver.read = NULL;
	refuse(0, NULL, "neither both of map and unmap nor both of read and write");
	make_valid_driver();
	driver.read = NULL;
	driver.write = NULL;
	adopt(0, NULL);
	zp_driver_clear(&own);
	driver.unmap = NULL;
	refuse(0, NULL, "neither both of map and unmap");
	make_valid_driver();
	driver.map = NULL;
	refuse(0, NULL, "only one of map and unmap");
	make_valid_driver();
	driver.unmap = NULL;
	refuse(0, NULL, "only one of map and unmap");
}
END_TEST

START_TEST(invalid_sizes_are_refused)
{
	static const size_t bad[] = { 0, 1, 4, 7, 9, 12, 24, (size_t)-1 };
	make_valid_driver();
	driver.max_object_bytes = 0;
	refuse(0, NULL, "max_object_bytes is 0");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		make_valid_driver();
		driver.alignment_bytes = bad[i];
		refuse(0, NULL, "not a power of two of at least 8");
	}
	make_valid_driver();
	driver.alignment_bytes = 4096;
	driver.max_object_bytes = (size_t)-1;
	adopt(0, NULL);
	zp_driver_clear(&own);
}
END_TEST

START_TEST(table_of_parameters_must_exist_and_have_a_valid_size)
{
	make_valid_driver();
	driver.params = NULL;
	refuse(0, NULL, "its table of 3 parameters is NULL");
	driver.param_count = 0;
	driver.param_size = 0;
	adopt(0, NULL);
	ck_assert_ptr_null(own.params);
	zp_driver_clear(&own);
	make_valid_driver();
	driver.param_count = 257;
	refuse(0, NULL, "its table of 257 parameters is too long");
	make_valid_driver();
	static const uint32_t sizes[] = { 0, 8, sizeof(struct zpool_param) - 8, sizeof(struct zpool_param) + 4, 4104 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		driver.param_size = sizes[i];
		refuse(0, NULL, "param_size is");
	}
}
END_TEST

START_TEST(parameters_of_a_newer_abi_are_truncated_to_known_members)
{
	static struct {
		struct zpool_param known;
		uint64_t unknown[2];
	} table[2];
	for (int i = 0; i < 2; i++) {
		table[i].known = (struct zpool_param){
			.key = i ? "second" : "first", .help = "h", .max = 5, .type = ZPOOL_PARAM_UINT
		};
		table[i].unknown[0] = table[i].unknown[1] = UINT64_MAX;
	}
	make_valid_driver();
	driver.params = &table[0].known;
	driver.param_size = sizeof(table[0]);
	driver.param_count = 2;
	adopt(0, NULL);
	ck_assert_str_eq(own.params[0].key, "first");
	ck_assert_str_eq(own.params[1].key, "second");
	ck_assert_uint_eq(own.params[1].max, 5);
	ck_assert_uint_eq(own.param_size, sizeof(struct zpool_param));
	zp_driver_clear(&own);
}
END_TEST

static void refuse_param(struct zpool_param param, const char *reason)
{
	static struct zpool_param table[2];
	table[0] = (struct zpool_param){ .key = "good", .help = "h", .max = 5, .type = ZPOOL_PARAM_UINT };
	table[1] = param;
	make_valid_driver();
	driver.params = table;
	driver.param_count = 2;
	refuse(0, NULL, reason);
}

START_TEST(invalid_parameters_of_a_driver_are_refused)
{
	const struct zpool_param good = { .key = "k", .help = "h", .max = 5, .type = ZPOOL_PARAM_UINT };
	struct zpool_param param = good;
	static const char *const keys[] = { NULL, "", "K", "k-l", "k.l", "_k", "a23456789012345678901234567890123" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		param.key = keys[i];
		refuse_param(param, "a parameter's key is not");
	}
	param.key = "limit";
	refuse_param(param, "a parameter \"limit\"");
	param = good;
	param.help = NULL;
	refuse_param(param, "parameter \"k\" has no help");
	param = good;
	param.type = 0;
	refuse_param(param, "parameter \"k\" is of type 0");
	param.type = ZPOOL_PARAM_STRING + 1;
	refuse_param(param, "parameter \"k\" is of type 6");
	static const char *const none[] = { NULL };
	param = good;
	param.type = ZPOOL_PARAM_ENUM;
	refuse_param(param, "parameter \"k\" has an empty list of choices");
	param.choices = none;
	refuse_param(param, "parameter \"k\" has an empty list of choices");
	param = good;
	param.key = "good";
	refuse_param(param, "it has two parameters named \"good\"");
	param = good;
	param.default_value = "6";
	refuse_param(param, "the default of parameter \"k\" is not a valid value");
}
END_TEST

START_TEST(capabilities_follow_from_callbacks_and_flags)
{
	make_valid_driver();
	ck_assert_uint_eq(zp_driver_caps(&driver), ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP | ZPOOL_CAP_COMPACT |
							   ZPOOL_CAP_STATS | ZPOOL_CAP_CLASSES | ZPOOL_CAP_OBJECTS |
							   ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_TRIM | ZPOOL_CAP_FORK);
	driver = (struct zpool_driver){ .flags_ignorable = ZPOOL_DRIVER_MOVABLE };
	ck_assert_uint_eq(zp_driver_caps(&driver), ZPOOL_CAP_MOVABLE);
	driver = (struct zpool_driver){ .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED };
	ck_assert_uint_eq(zp_driver_caps(&driver), ZPOOL_CAP_SLEEP_MAPPED);
	driver = (struct zpool_driver){ .flags_ignorable = ZPOOL_DRIVER_NOWAIT };
	ck_assert_uint_eq(zp_driver_caps(&driver), ZPOOL_CAP_NOWAIT);
	driver = (struct zpool_driver){ .flags_required = ZPOOL_DRIVER_FILTER };
	ck_assert_uint_eq(zp_driver_caps(&driver), ZPOOL_CAP_FILTER);
	driver = (struct zpool_driver){ .flags_required = ZPOOL_DRIVER_RESIDENT };
	ck_assert_uint_eq(zp_driver_caps(&driver), 0);
}
END_TEST

START_TEST(lack_of_memory_is_not_reported_as_a_fault_of_the_driver)
{
	make_valid_driver();
	memory_fail_at(1);
	int err = zp_driver_adopt(&driver, 0, NULL, &own, why, sizeof(why));
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -ENOMEM);
	ck_assert_ptr_null(own.params);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		valid_driver_is_copied_with_its_own_table,
		misaligned_structure_is_refused_without_reading_it,
		wrong_fields_of_the_header_are_named,
		symbol_must_be_as_large_as_the_structure_claims,
		smallest_structure_of_the_abi_has_no_optional_callbacks,
		structure_of_a_newer_abi_is_truncated_to_known_members,
		unknown_ignorable_flags_are_ignored,
		type_must_be_valid_and_the_expected_one,
		missing_version_and_description_read_as_empty,
		missing_mandatory_callback_is_named,
		driver_needs_map_and_unmap_or_read_and_write,
		invalid_sizes_are_refused,
		table_of_parameters_must_exist_and_have_a_valid_size,
		parameters_of_a_newer_abi_are_truncated_to_known_members,
		invalid_parameters_of_a_driver_are_refused,
		capabilities_follow_from_callbacks_and_flags,
		lack_of_memory_is_not_reported_as_a_fault_of_the_driver,
	};
	return UNIT_RUN("core/driver", tests);
}
