/* SPDX-License-Identifier: MIT
 *
 * Maps of user namespaces that come from files, and the map of the process itself.
 */
#include "config.h"

#include "loader/userns.h"

#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zp_userns userns;

/* NULL if the file does not exist */
static void read_texts(const char *map, const char *overflow)
{
	scratch_make();
	if (map)
		scratch_file("uid_map", 0644, map, strlen(map));
	if (overflow)
		scratch_file("overflowuid", 0644, overflow, strlen(overflow));
	zp_userns_read_files(&userns, scratch_path("uid_map"), scratch_path("overflowuid"));
	scratch_remove();
}

START_TEST(full_uid_map_hides_no_user)
{
	read_texts("         0          0 4294967295\n", "65534\n");
	ck_assert(userns.known && userns.complete);
	ck_assert(!zp_userns_hides(&userns, 65534));
	read_texts("0 4 1\n1 0 2\n3 3 1\n4 4 4294967291\n", "65534\n");
	ck_assert(userns.complete);
}
END_TEST

START_TEST(incomplete_uid_map_hides_users_behind_the_overflow_uid)
{
	static const char *const maps[] = { "",
					    "0 1000 1\n",
					    "1000 1000 1\n",
					    "0 0 1\n",
					    "0 0 65536\n",
					    "0 1000 1\n1 100000 65536\n",
					    "0 0 4294967294\n" };
	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		read_texts(maps[i], "65534\n");
		ck_assert(userns.known && !userns.complete);
		ck_assert(zp_userns_hides(&userns, 65534));
		ck_assert(!zp_userns_hides(&userns, 0));
		ck_assert(!zp_userns_hides(&userns, 1000));
	}
}
END_TEST

START_TEST(overflow_uid_is_the_one_that_the_system_uses)
{
	read_texts("0 1000 1\n", "4711\n");
	ck_assert(zp_userns_hides(&userns, 4711));
	ck_assert(!zp_userns_hides(&userns, 65534));
	/* This is true even for root's number. */
	read_texts("0 1000 1\n", "0\n");
	ck_assert(zp_userns_hides(&userns, 0));
	read_texts("0 1000 1\n", NULL);
	ck_assert(zp_userns_hides(&userns, 65534));
	read_texts("0 1000 1\n", "many\n");
	ck_assert(zp_userns_hides(&userns, 65534));
}
END_TEST

START_TEST(lack_of_descriptors_is_reported_separately)
{
	unit_leave_descriptors(0);
	zp_userns_read(&userns);
	unit_leave_descriptors(-1);
	ck_assert(!userns.known && !userns.complete);
	ck_assert_int_eq(userns.err, -EMFILE);
	zp_userns_read(&userns);
	ck_assert_int_eq(userns.err, 0);
}
END_TEST

START_TEST(unreadable_uid_map_is_unknown)
{
	read_texts(NULL, "65534\n");
	ck_assert(!userns.known && !userns.complete);
	ck_assert_int_eq(userns.err, 0);
	ck_assert(zp_userns_hides(&userns, 65534));
	/* Reading a directory returns an error. */
	zp_userns_read_files(&userns, "/", "/");
	ck_assert(!userns.known && !userns.complete);
}
END_TEST

START_TEST(uid_map_of_this_process_is_read)
{
	zp_userns_read(&userns);
	ck_assert(userns.complete || zp_userns_hides(&userns, userns.overflow_uid));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		full_uid_map_hides_no_user,
		incomplete_uid_map_hides_users_behind_the_overflow_uid,
		overflow_uid_is_the_one_that_the_system_uses,
		lack_of_descriptors_is_reported_separately,
		unreadable_uid_map_is_unknown,
		uid_map_of_this_process_is_read,
	};
	return UNIT_RUN("loader/userns", tests);
}
