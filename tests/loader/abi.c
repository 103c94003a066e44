/* SPDX-License-Identifier: MIT
 *
 * Old and new drivers, callers and cores work together: a reader of a structure copies the smaller of two sizes over
 * zeroes.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "mocks/mock_driver.h"

static int ignore_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)stats, (void)size, (void)user;
	return 0;
}

static int ignore_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool, (void)handle, (void)size, (void)user;
	return 0;
}

static int evict(struct zpool *pool, unsigned long handle)
{
	zpool_free(pool, handle);
	return 0;
}

/* Stores an object and reads it back. */
static unsigned long use(struct zpool *pool)
{
	unsigned long handle = 0;
	ck_assert_int_eq(zpool_malloc(pool, 5, 0, &handle), 0);
	char *bytes = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, "12345", 5);
	zpool_unmap_handle(pool, handle);
	bytes = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	ck_assert_int_eq(memcmp(bytes, "12345", 5), 0);
	zpool_unmap_handle(pool, handle);
	return handle;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Drivers
 */

START_TEST(older_driver_works_without_newer_callbacks)
{
	static const struct zpool_ops ops = { evict };
	struct zpool_stats stats;
	uint64_t released = 1;
	char byte;

	fixture_install("older");
	struct zpool *pool = zpool_create_pool("older", 0, &ops);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	unsigned long handle = use(pool);
	ck_assert_uint_eq(zpool_get_total_size(pool), MOCK_PAGE_BYTES);

	ck_assert(!zpool_evictable(pool));
	expect_error(zpool_shrink(pool, 1, NULL), EINVAL, "does not support eviction");
	expect_error(zpool_compact(pool, 0, 0, &released), EOPNOTSUPP, "\"older\" does not support this call");
	ck_assert_uint_eq(released, 0);
	expect_error(zpool_trim(pool, NULL), EOPNOTSUPP, "\"older\" does not support this call");
	expect_error(zpool_get_stats(pool, &stats, sizeof(stats)), EOPNOTSUPP, "\"older\" does not support this call");
	expect_error(zpool_each_class(pool, ignore_class, NULL), EOPNOTSUPP, "\"older\" does not support this call");
	expect_error(zpool_each_object(pool, ignore_object, NULL), EOPNOTSUPP, "\"older\" does not support this call");
	expect_error(zpool_obj_size(pool, handle), EOPNOTSUPP, "does not support this call");
	expect_error(zpool_obj_read(pool, handle, &byte, 1, 0), EOPNOTSUPP, "does not support this call");
	expect_error(zpool_obj_write(pool, handle, &byte, 1, 0), EOPNOTSUPP, "does not support this call");

	/* The driver has no set_limit, so the core enforces the limit. */
	ck_assert_int_eq(zpool_set_limit(pool, MOCK_PAGE_BYTES), 0);
	expect_error(zpool_malloc(pool, 5, 0, &handle), ENOMEM, "limit");
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(newer_driver_works_without_its_new_callbacks)
{
	fixture_install("newer");
	struct zpool *pool = zpool_create_pool("newer", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	unsigned long handle = use(pool);
	ck_assert_int_eq(zpool_obj_size(pool, handle), 5);
	ck_assert(zpool_can_sleep_mapped(pool));
	ck_assert(!zpool_malloc_support_movable(pool));
	zpool_destroy_pool(pool);
	/* The driver noticed that the host table is older than the one it was compiled with. */
	ck_assert_uint_eq(fixture_events("newer", "old host"), 1);
}
END_TEST

static int list_param(const struct zpool_param *param, size_t size, void *user)
{
	ck_assert_uint_eq(size, sizeof(*param));
	strcat(strcat(strcat(strcat(user, param->key), "="), param->default_value), " ");
	return 0;
}

START_TEST(larger_parameter_entries_of_a_newer_driver_are_understood)
{
	char list[100] = "";
	fixture_install("newer");
	ck_assert_int_eq(zpool_each_param("newer", list_param, list), 0);
	ck_assert_str_eq(list, "first=1 second=2 limit=0 ");
	expect_works("newer:second=7");
	expect_refused("newer:second=10", EINVAL, "\"second\"", "from 0 to 9");
	expect_refused("newer:unit=apples", EINVAL, "no parameter \"unit\"");
}
END_TEST

static int check_newer(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	ck_assert_str_eq(info->type, "newer");
	ck_assert_uint_eq(info->abi_minor, ZPOOL_ABI_MINOR + (info->loaded ? 7 : 0));
	ck_assert_ptr_null(info->fault);
	return 1;
}

START_TEST(newer_minor_abi_is_reported_and_accepted)
{
	fixture_install("newer");
	ck_assert_int_eq(zpool_each_driver(check_newer, NULL), 1);
	expect_works("newer");
	ck_assert_int_eq(zpool_each_driver(check_newer, NULL), 1);
}
END_TEST

/* One driver reads and writes but does not map, and one only reads; the core does not emulate what is missing. */
START_TEST(driver_without_map_copies)
{
	unsigned long handle;
	char byte = 'x';
	fixture_install("copying");
	struct zpool *pool = zpool_create_pool("copying", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 3, 0, &handle), 0);
	errno = 0;
	ck_assert_ptr_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	ck_assert_int_eq(errno, EOPNOTSUPP);
	zpool_unmap_handle(pool, handle);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "does not support this call"));
	ck_assert_int_eq(zpool_obj_write(pool, handle, "abc", 3, 0), 3);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 2), 1);
	ck_assert_int_eq(byte, 'c');
	expect_error(zpool_obj_write(pool, handle, "abcd", 4, 0), EINVAL, "zpool_obj_write()");
	expect_error(zpool_obj_read(pool, handle, &byte, 1, 3), EINVAL, "zpool_obj_read()");
	expect_error(zpool_obj_read(pool, 60, &byte, 1, 0), EINVAL, "not live");
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(write_to_an_object_of_unknown_size_is_refused)
{
	static char large[4096];
	unsigned long handle;
	char byte = 'x';
	fixture_install("read_only_copy");
	struct zpool *pool = zpool_create_pool("read_only_copy", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 8, 0, &handle), 0);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 7), 1);
	ck_assert_int_eq(byte, 0);
	expect_error(zpool_obj_read(pool, handle, &byte, 1, 8), EINVAL, "zpool_obj_read()");
	expect_error(zpool_obj_write(pool, handle, large, sizeof(large), 0), EOPNOTSUPP, "does not support this call");
	expect_error(zpool_obj_write(pool, handle, large, 1, 0), EOPNOTSUPP, "does not support this call");
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Callers
 */

static int evict_with_user(struct zpool *pool, unsigned long handle, void *user)
{
	++*(unsigned int *)user;
	zpool_free(pool, handle);
	return 0;
}

/* The caller's header ends after the name, so the core must not read the memory that follows. */
START_TEST(smaller_arguments_are_completed_with_defaults)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	fixture_install("good");
	args.name = "older caller";
	args.evict = evict_with_user;
	args.page_source = (const void *)(uintptr_t)8;
	struct zpool *pool = zpool_open("good", &args, offsetof(struct zpool_open_args, evict));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_str_eq(zpool_get_name(pool), "older caller");
	ck_assert(!zpool_evictable(pool));
	zpool_destroy_pool(pool);

	pool = zpool_open("good", &args, sizeof(args.gfp));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_str_ne(zpool_get_name(pool), "older caller");
	zpool_destroy_pool(pool);
}
END_TEST

struct newer_args {
	struct zpool_open_args known;
	uint64_t priority;
	const char *colour;
};

START_TEST(larger_arguments_are_accepted_if_unknown_members_are_zero)
{
	unsigned int evictions = 0;
	unsigned long handle;
	fixture_install("good");
	struct newer_args args = { .known = ZPOOL_OPEN_ARGS_INIT };
	args.known.evict = evict_with_user;
	args.known.user = &evictions;
	struct zpool *pool = zpool_open("good", &args.known, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	ck_assert_int_eq(zpool_shrink(pool, 1, NULL), 0);
	ck_assert_uint_eq(evictions, 1);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(larger_arguments_are_refused_if_unknown_members_are_set)
{
	struct newer_args args = { .known = ZPOOL_OPEN_ARGS_INIT, .colour = "red" };
	fixture_install("good");
	errno = 0;
	ck_assert_ptr_null(zpool_open("good", &args.known, sizeof(args)));
	ck_assert_int_eq(errno, E2BIG);
	static const char *const texts[] = { "from a newer version of zpool.h", NULL };
	expect_message(texts);
	ck_assert_ptr_null(zpool_open("good", &args.known, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_uint_eq(fixture_events(NULL, NULL), 0);
}
END_TEST

START_TEST(null_arguments_mean_defaults)
{
	fixture_install("good");
	struct zpool *pool = zpool_open("good", NULL, 0);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert(!zpool_evictable(pool));
	ck_assert_int_eq(strncmp(zpool_get_name(pool), "good", 4), 0);
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Structures filled for a caller
 */

static int stats(void *pool, struct zpool_stats *to, size_t size)
{
	(void)pool;
	memset(to, 0x11, size);
	return 0;
}

static const struct zpool_driver counting_driver = { MOCK_HEAD("counting"), MOCK_CALLBACKS, .stats = stats };

START_TEST(statistics_fill_only_the_callers_structure)
{
	struct {
		struct zpool_stats known;
		uint64_t newer[4];
	} large;
	unsigned char small[24];

	ck_assert_int_eq(zpool_register_driver(&counting_driver), 0);
	struct zpool *pool = zpool_create_pool("counting", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	memset(small, 0xee, sizeof(small));
	ck_assert_int_eq(zpool_get_stats(pool, (struct zpool_stats *)(void *)small, 16), 0);
	for (size_t i = 0; i < sizeof(small); i++)
		ck_assert_uint_eq(small[i], i < 16 ? 0x11 : 0xee);

	memset(&large, 0xee, sizeof(large));
	ck_assert_int_eq(zpool_get_stats(pool, &large.known, sizeof(large)), 0);
	ck_assert_uint_eq(large.known.refused_handles, UINT64_C(0x1111111111111111));
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(large.newer[i], 0);
	expect_error(zpool_get_stats(pool, &large.known, 0), EINVAL, "no buffer");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&counting_driver), 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("abi");
	tcase_add_test(tests, older_driver_works_without_newer_callbacks);
	tcase_add_test(tests, newer_driver_works_without_its_new_callbacks);
	tcase_add_test(tests, larger_parameter_entries_of_a_newer_driver_are_understood);
	tcase_add_test(tests, newer_minor_abi_is_reported_and_accepted);
	tcase_add_test(tests, driver_without_map_copies);
	tcase_add_test(tests, write_to_an_object_of_unknown_size_is_refused);
	tcase_add_test(tests, smaller_arguments_are_completed_with_defaults);
	tcase_add_test(tests, larger_arguments_are_accepted_if_unknown_members_are_zero);
	tcase_add_test(tests, larger_arguments_are_refused_if_unknown_members_are_set);
	tcase_add_test(tests, null_arguments_mean_defaults);
	tcase_add_test(tests, statistics_fill_only_the_callers_structure);
	return fixture_run("abi", tests);
}
