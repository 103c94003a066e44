/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/run.h"

/* Reads the members from zpool.h: each line "uint64_t NAME;" of the structure. */
START_TEST(table_has_every_member_in_the_order_of_the_header)
{
	char path[4096], line[256], name[64];
	const char *srcdir = getenv("srcdir");
	unsigned int count = 0;
	bool inside = false;

	(void)snprintf(path, sizeof(path), "%s/libzpool/zpool.h", srcdir ? srcdir : ".");
	FILE *header = fopen(path, "r");
	ck_assert_msg(header != NULL, "%s cannot be read", path);
	while (fgets(line, sizeof(line), header)) {
		if (strncmp(line, "struct zpool_stats {", 20) == 0)
			inside = true;
		else if (inside && line[0] == '}')
			break;
		else if (inside && sscanf(line, " uint64_t %63[a-z_];", name) == 1) {
			const struct zpool_stats_member *member = zpool_stats_member(count);
			ck_assert_msg(member != NULL, "member %s is not in the table", name);
			ck_assert_str_eq(member->name, name);
			ck_assert_uint_eq(member->offset, count * sizeof(uint64_t));
			count++;
		}
	}
	(void)fclose(header);
	ck_assert_uint_eq(count * sizeof(uint64_t), sizeof(struct zpool_stats));
	ck_assert_ptr_null(zpool_stats_member(count));
	ck_assert_ptr_null(zpool_stats_member(UINT32_MAX));
}
END_TEST

START_TEST(members_have_distinct_labels_and_the_unit_of_their_name)
{
	const struct zpool_stats_member *member, *other;

	for (unsigned int i = 0; (member = zpool_stats_member(i)) != NULL; i++) {
		bool bytes = strstr(member->name, "_bytes") != NULL;
		ck_assert_uint_eq(member->unit, bytes ? ZPOOL_UNIT_BYTES : ZPOOL_UNIT_COUNT);
		ck_assert_uint_gt(strlen(member->label), 0);
		for (unsigned int j = 0; j < i; j++) {
			other = zpool_stats_member(j);
			ck_assert_str_ne(member->label, other->label);
		}
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		table_has_every_member_in_the_order_of_the_header,
		members_have_distinct_labels_and_the_unit_of_their_name,
	};
	return UNIT_RUN("core/stats", tests);
}
