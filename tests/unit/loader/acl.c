/* SPDX-License-Identifier: MIT
 *
 * Access control lists as bytes, valid and damaged. tests/unit/loader/trust.c sets real ones.
 */
#include "config.h"

#include "loader/acl.h"

#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

enum { OWNER = 0x01, USER = 0x02, OWNING_GROUP = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20 };

static unsigned char list[8192];
static size_t list_bytes;
static struct zp_acl_writer writer;

static void start(void)
{
	memset(list, 0, sizeof(list));
	list[0] = 2;
	list_bytes = 4;
}

static void add(unsigned int tag, unsigned int perm, uint32_t id)
{
	unsigned char *at = list + list_bytes;
	at[0] = (unsigned char)tag;
	at[2] = (unsigned char)perm;
	for (int i = 0; i < 4; i++)
		at[4 + i] = (unsigned char)(id >> (8 * i));
	list_bytes += 8;
}

static int parse_list(uid_t trusted)
{
	writer = (struct zp_acl_writer){ 0 };
	return zp_acl_parse(list, list_bytes, trusted, &writer);
}

START_TEST(owner_group_and_others_are_no_named_users)
{
	start();
	ck_assert_int_eq(parse_list(1000), 0);
	add(OWNER, 7, UINT32_MAX);
	add(OWNING_GROUP, 7, UINT32_MAX);
	add(MASK, 7, UINT32_MAX);
	add(OTHER, 7, UINT32_MAX);
	ck_assert_int_eq(parse_list(1000), 0);
}
END_TEST

START_TEST(named_user_with_write_permission_is_found)
{
	start();
	add(USER, 5, 77);
	add(USER, 2, 0x01020304);
	add(MASK, 2, UINT32_MAX);
	ck_assert_int_eq(parse_list(1000), 1);
	ck_assert(!writer.is_group);
	ck_assert_uint_eq(writer.id, 0x01020304);
	ck_assert_int_eq(parse_list(0x01020304), 0);
}
END_TEST

START_TEST(user_zero_is_trusted_and_group_zero_is_not)
{
	start();
	add(USER, 7, 0);
	ck_assert_int_eq(parse_list(1000), 0);
	add(GROUP, 7, 0);
	ck_assert_int_eq(parse_list(1000), 1);
	ck_assert(writer.is_group);
}
END_TEST

START_TEST(group_with_the_number_of_a_trusted_user_is_not_trusted)
{
	start();
	add(GROUP, 6, 1000);
	ck_assert_int_eq(parse_list(1000), 1);
	ck_assert(writer.is_group);
	ck_assert_uint_eq(writer.id, 1000);
}
END_TEST

START_TEST(acl_mask_restricts_permissions_in_any_position)
{
	start();
	add(MASK, 5, UINT32_MAX);
	add(USER, 7, 77);
	ck_assert_int_eq(parse_list(1000), 0);
	start();
	add(USER, 7, 77);
	add(MASK, 5, UINT32_MAX);
	ck_assert_int_eq(parse_list(1000), 0);
	/* A list without a mask is not valid; if one existed, its entries would count. */
	start();
	add(USER, 7, 77);
	ck_assert_int_eq(parse_list(1000), 1);
}
END_TEST

START_TEST(damaged_lists_are_errors)
{
	start();
	add(USER, 7, 77);
	for (size_t bytes = 0; bytes < list_bytes; bytes++) {
		/* The block has exactly this size, so that a sanitizer detects a read beyond it. */
		unsigned char *copy = malloc(bytes + !bytes);
		memcpy(copy, list, bytes);
		ck_assert_int_eq(zp_acl_parse(copy, bytes, 1000, &writer), bytes == 4 ? 0 : -EINVAL);
		free(copy);
	}
	list[0] = 3;
	ck_assert_int_eq(parse_list(1000), -EINVAL);
}
END_TEST

START_TEST(file_without_an_acl_has_no_other_writer)
{
	scratch_make();
	scratch_file("x", 0666, "x", 1);
	ck_assert_int_eq(zp_acl_find_writer(scratch_path("x"), 1000, &writer), 0);
	ck_assert_int_eq(zp_acl_find_writer("/proc/self/status", 1000, &writer), 0);
	ck_assert_int_eq(zp_acl_find_writer(scratch_path("none"), 1000, &writer), -ENOENT);
	scratch_remove();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		owner_group_and_others_are_no_named_users,      named_user_with_write_permission_is_found,
		user_zero_is_trusted_and_group_zero_is_not,     group_with_the_number_of_a_trusted_user_is_not_trusted,
		acl_mask_restricts_permissions_in_any_position, damaged_lists_are_errors,
		file_without_an_acl_has_no_other_writer,
	};
	return UNIT_RUN("loader/acl", tests);
}
