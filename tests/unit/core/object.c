/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/registry.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver;
static struct zpool *pool;

/* zpool_free() and zpool_unmap_handle() have no result, so callers learn from the log what was refused. */
static unsigned int logged;
static char log_text[512];

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)user;
	if (level != ZPOOL_LOG_ERROR)
		return;
	logged++;
	(void)snprintf(log_text, sizeof(log_text), "%s", message);
}

static void start_empty(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
}

static void open_pool(const char *spec)
{
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	logged = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message, ZPOOL_LOG_ERROR, NULL), 0);
}

static void start(void)
{
	start_empty();
	open_pool("mock");
}

static void finish(void)
{
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}

static unsigned long store(size_t size)
{
	unsigned long handle = 0;
	ck_assert_int_eq(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_uint_ne(handle, 0);
	return handle;
}

static void overrule(enum driver_call call, int64_t answer, const char *message)
{
	knobs.overrule[call] = true;
	knobs.answer[call] = answer;
	knobs.message = message;
}

/* Checks that the last call was refused, logged once, and set the error message. */
static void assert_refused(const char *part)
{
	ck_assert_uint_eq(logged, 1);
	assert_contains(log_text, part);
	ck_assert_str_eq(zpool_last_error(), log_text);
	logged = 0;
}

/* Returns the path of a shipped plugin in the plugin directory of the test. */
static const char *fixture_plugin(const char *type)
{
	static char path[4096];
	(void)snprintf(path, sizeof(path), "%s/%s.so", getenv("ZPOOL_PLUGIN_PATH"), type);
	return path;
}

START_TEST(malloc_refuses_bad_input_and_does_not_write_the_handle)
{
	unsigned long handle = 77;
	start();
	assert_fails(zpool_malloc(NULL, 1, 0, &handle), EINVAL, "no pool");
	assert_fails(zpool_malloc(pool, 1, 0, NULL), EINVAL, "no place to store the handle");
	assert_fails(zpool_malloc(pool, 0, 0, &handle), EINVAL, "0 bytes");
	assert_fails(zpool_malloc(pool, 1, 0x10, &handle), EINVAL, "unknown flags 0x10");
	assert_fails(zpool_malloc(pool, 1, 0x80000001u, &handle), EINVAL, "unknown flags 0x80000000");
	assert_fails(zpool_malloc(pool, DRIVER_MAX_OBJECT + 1, 0, &handle), ENOSPC,
		     "An object of 1025 bytes is too large");
	assert_fails(zpool_malloc(pool, SIZE_MAX, 0, &handle), ENOSPC, "accepts at most 1024");
	assert_fails(zpool_malloc(pool, SIZE_MAX, ZPOOL_GFP_NOWAIT, &handle), ENOSPC, "zpool_max_object_size()");
	ck_assert_uint_eq(handle, 77);
	ck_assert_uint_eq(knobs.calls[CALL_MALLOC], 0);
	finish();
}
END_TEST

/* The library scans the path again after a change, and forgets drivers that it found before. */
START_TEST(refusal_of_a_large_object_names_drivers_that_accept_it)
{
	unsigned long handle;
	start_empty();
	struct zpool_driver large = driver_for_tests("large"), sieve = filter_for_tests("sieve");
	large.max_object_bytes = 5000;
	ck_assert_int_eq(zpool_register_driver(&large), 0);
	ck_assert_int_eq(zpool_register_driver(&sieve), 0);
	open_pool("mock");
	ck_assert_int_eq(zpool_set_plugin_path("/nonexistent"), 0);
	assert_fails(zpool_malloc(pool, 5000, 0, &handle), ENOSPC, "These drivers accept it: large.");
	assert_contains(zpool_last_error(), "An object of 5000 bytes is too large for pool \"mock-");
	assert_contains(zpool_last_error(), "driver \"mock\" accepts at most 1024");
	assert_lacks(zpool_last_error(), "sieve");
	assert_fails(zpool_malloc(pool, 5001, 0, &handle), ENOSPC, "no available driver accepts it. Split it");
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	/* Only the plugin's file is read for this; the plugin is not loaded. */
	if (getenv("ZPOOL_PLUGIN_PATH") && access(fixture_plugin("libc"), R_OK) == 0)
		assert_fails(zpool_malloc(pool, 100000, 0, &handle), ENOSPC, "These drivers accept it: libc.");
	assert_fails(zpool_unload_driver("libc"), ENOENT, "not loaded");
	ck_assert_int_eq(zpool_unregister_driver(&large), 0);
	ck_assert_int_eq(zpool_unregister_driver(&sieve), 0);
	finish();
}
END_TEST

/* What the library could not list is not taken for absent later. */
START_TEST(drivers_are_listed_again_after_a_listing_that_failed)
{
	unsigned long handle;
	start_empty();
	struct zpool_driver large = driver_for_tests("large");
	large.max_object_bytes = 5000;
	ck_assert_int_eq(zpool_register_driver(&large), 0);
	open_pool("mock");
	ck_assert_int_eq(zpool_set_plugin_path("/"), 0);
	unit_leave_descriptors(0);
	int err = zpool_malloc(pool, 5000, 0, &handle);
	unit_leave_descriptors(-1);
	ck_assert_int_eq(err, -ENOSPC);
	assert_contains(zpool_last_error(), "accepts at most 1024 bytes. Split it");
	assert_contains(zpool_last_error(), "cannot be listed now: Too many open files.");
	ck_assert_int_eq(zp_registry_begin_load(), 0);
	assert_fails(zpool_malloc(pool, 5000, 0, &handle), ENOSPC, "cannot be listed now");
	zp_registry_end_load();
	assert_fails(zpool_malloc(pool, 5000, 0, &handle), ENOSPC, "These drivers accept it: large.");
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	ck_assert_int_eq(zpool_unregister_driver(&large), 0);
	finish();
}
END_TEST

START_TEST(malloc_accepts_all_sizes_and_known_flags)
{
	unsigned long handle;
	start();
	(void)store(1);
	(void)store(DRIVER_MAX_OBJECT);
	for (zpool_gfp_t gfp = 0; gfp <= ZPOOL_GFP_ALL; gfp++)
		ck_assert_int_eq(zpool_malloc(pool, 8, gfp, &handle), 0);
	finish();
}
END_TEST

START_TEST(malloc_failures_of_the_driver_get_a_message)
{
	static const struct {
		int64_t answer;
		int err;
		const char *text;
	} cases[] = {
		{ -ENOMEM, ENOMEM, "Free or evict objects" },
		{ -EAGAIN, EAGAIN, "a NOWAIT call does not wait" },
		{ -ENOSPC, ENOSPC, "too large for the pool's driver" },
		{ -EDOM, EDOM, "could not store the object" },
		{ 1, EIO, "could not store the object" },
		{ -5000, EIO, "could not store the object" },
		{ INT32_MIN, EIO, "could not store the object" },
	};
	unsigned long handle = 77;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		overrule(CALL_MALLOC, cases[i].answer, NULL);
		assert_fails(zpool_malloc(pool, 8, 0, &handle), cases[i].err, cases[i].text);
	}
	ck_assert_uint_eq(handle, 77);
	finish();
}
END_TEST

START_TEST(message_of_the_driver_is_kept)
{
	unsigned long handle = 77;
	start();
	overrule(CALL_MALLOC, -ENOMEM, "shelf 7 is full");
	assert_fails(zpool_malloc(pool, 8, 0, &handle), ENOMEM, "shelf 7 is full");
	overrule(CALL_FREE, -EINVAL, "shelf 8 is empty");
	zpool_free(pool, 1);
	assert_refused("shelf 8 is empty");
	overrule(CALL_MAP, EBUSY, "shelf 9 is dark");
	assert_fails_null(zpool_map_handle(pool, 1, ZPOOL_MM_RW), EBUSY, "shelf 9 is dark");
	finish();
}
END_TEST

START_TEST(message_of_an_earlier_call_is_not_used_for_a_later_one)
{
	unsigned long handle;
	start();
	handle = store(8);
	knobs.host->error(knobs.core, "old news");
	zpool_free(NULL, handle);
	assert_refused("zpool_free() was given no pool");
	knobs.host->error(knobs.core, "old news");
	zpool_free(pool, 0);
	assert_refused("handle 0");
	knobs.host->error(knobs.core, "old news");
	assert_fails_null(zpool_map_handle(pool, 0, ZPOOL_MM_RW), EINVAL, "handle 0");
	finish();
}
END_TEST

START_TEST(free_refuses_what_is_not_live_and_keeps_the_rest)
{
	start();
	unsigned long handle = store(8);
	zpool_free(NULL, handle);
	assert_refused("zpool_free() was given no pool");
	zpool_free(pool, 0);
	assert_refused("zpool_free() was given handle 0 for pool \"mock-");
	zpool_free(pool, handle + 1000000);
	assert_refused("is not live in pool \"mock-");
	zpool_free(pool, handle);
	ck_assert_uint_eq(logged, 0);
	zpool_free(pool, handle);
	assert_refused("it was already freed");
	finish();
}
END_TEST

START_TEST(free_of_a_mapped_object_is_refused)
{
	start();
	unsigned long handle = store(8);
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	zpool_free(pool, handle);
	assert_refused("is mapped; unmap it first");
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

START_TEST(unusual_failures_of_free_name_the_errno)
{
	start();
	overrule(CALL_FREE, -EDOM, NULL);
	zpool_free(pool, 1);
	assert_refused("failed with Numerical argument out of domain");
	overrule(CALL_FREE, 3, NULL);
	zpool_free(pool, 1);
	assert_refused("failed with Input/output error");
	finish();
}
END_TEST

START_TEST(map_returns_a_zeroed_and_writable_object)
{
	start();
	unsigned long handle = store(16);
	char *address = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	ck_assert_ptr_nonnull(address);
	memcpy(address, "hello", 6);
	zpool_unmap_handle(pool, handle);
	ck_assert_str_eq(zpool_map_handle(pool, handle, ZPOOL_MM_RO), "hello");
	zpool_unmap_handle(pool, handle);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

START_TEST(map_refuses_bad_input)
{
	start();
	unsigned long handle = store(16);
	assert_fails_null(zpool_map_handle(NULL, handle, ZPOOL_MM_RW), EINVAL, "no pool");
	assert_fails_null(zpool_map_handle(pool, 0, ZPOOL_MM_RW), EINVAL, "handle 0");
	assert_fails_null(zpool_map_handle(pool, handle, (enum zpool_mapmode)3), EINVAL, "3 is not a valid");
	assert_fails_null(zpool_map_handle(pool, handle, (enum zpool_mapmode) - 1), EINVAL, "-1 is not a valid");
	ck_assert_uint_eq(knobs.calls[CALL_MAP], 0);
	zpool_free(pool, handle);
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EINVAL, "is not live");
	finish();
}
END_TEST

START_TEST(map_beyond_the_maximum_is_busy)
{
	start();
	unsigned long handle = store(16);
	for (int i = 0; i < DRIVER_MAX_MAPS; i++)
		ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EBUSY, "as many times as a handle can be");
	for (int i = 0; i < DRIVER_MAX_MAPS; i++)
		zpool_unmap_handle(pool, handle);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

START_TEST(map_that_fails_with_an_invalid_errno_is_einval)
{
	static const int odd[] = { 0, -1, ENOENT, 99999, EAGAIN };
	start();
	unsigned long handle = store(16);
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		overrule(CALL_MAP, odd[i], NULL);
		assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EINVAL, "is not live");
	}
	overrule(CALL_MAP, ENOMEM, NULL);
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), ENOMEM, "failed with Cannot allocate memory");
	overrule(CALL_MAP, EIO, NULL);
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EIO, "failed with");
	finish();
}
END_TEST

START_TEST(unmap_refuses_what_is_not_mapped)
{
	start();
	unsigned long handle = store(16);
	zpool_unmap_handle(NULL, handle);
	assert_refused("zpool_unmap_handle() was given no pool");
	zpool_unmap_handle(pool, 0);
	assert_refused("handle 0");
	zpool_unmap_handle(pool, handle);
	assert_refused("or is not mapped");
	finish();
}
END_TEST

START_TEST(obj_size_works_or_is_refused)
{
	start();
	unsigned long handle = store(16);
	ck_assert_int_eq(zpool_obj_size(pool, handle), 16);
	assert_fails(zpool_obj_size(NULL, handle), EINVAL, "zpool_obj_size() was given no pool");
	assert_fails(zpool_obj_size(pool, 0), EINVAL, "handle 0");
	assert_fails(zpool_obj_size(pool, handle + 1000000), EINVAL, "is not live");
	overrule(CALL_OBJ_SIZE, -EDOM, NULL);
	assert_fails(zpool_obj_size(pool, handle), EDOM, "failed with");
	overrule(CALL_OBJ_SIZE, INT64_MIN, NULL);
	assert_fails(zpool_obj_size(pool, handle), EIO, "failed with");
	overrule(CALL_OBJ_SIZE, -(INT64_C(1) << 32), NULL);
	assert_fails(zpool_obj_size(pool, handle), EIO, "failed with");
	finish();
}
END_TEST

/* All functions that read and write refuse the same arguments. */
static void check_copies(unsigned long handle)
{
	char buf[64] = "unread";
	ck_assert_int_eq(zpool_obj_write(pool, handle, "0123456789abcdef", 16, 0), 16);
	ck_assert_int_eq(zpool_obj_write(pool, handle, "XY", 2, 14), 2);
	ck_assert_int_eq(zpool_obj_read(pool, handle, buf, 16, 0), 16);
	ck_assert_mem_eq(buf, "0123456789abcdXY", 16);
	ck_assert_int_eq(zpool_obj_read(pool, handle, buf, 1, 15), 1);
	ck_assert_int_eq(buf[0], 'Y');
	buf[0] = '0';
	assert_fails(zpool_obj_read(NULL, handle, buf, 1, 0), EINVAL, "zpool_obj_read() was given no pool");
	assert_fails(zpool_obj_read(pool, 0, buf, 1, 0), EINVAL, "handle 0");
	assert_fails(zpool_obj_read(pool, handle, NULL, 1, 0), EINVAL, "no buffer");
	assert_fails(zpool_obj_read(pool, handle, buf, 0, 0), EINVAL, "0 bytes");
	assert_fails(zpool_obj_read(pool, handle, buf, SIZE_MAX, 0), EINVAL, "bytes");
	assert_fails(zpool_obj_write(NULL, handle, buf, 1, 0), EINVAL, "zpool_obj_write() was given no pool");
	assert_fails(zpool_obj_write(pool, 0, buf, 1, 0), EINVAL, "handle 0");
	assert_fails(zpool_obj_write(pool, handle, NULL, 1, 0), EINVAL, "no buffer");
	assert_fails(zpool_obj_write(pool, handle, buf, 0, 0), EINVAL, "0 bytes");
	static const struct {
		size_t len, offset;
	} outside[] = { { 17, 0 }, { 1, 16 }, { 2, 15 }, { 16, 1 }, { 1, SIZE_MAX }, { 16, SIZE_MAX - 7 } };
	for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
		ck_assert_int_eq(zpool_obj_read(pool, handle, buf, outside[i].len, outside[i].offset), -EINVAL);
		ck_assert_int_eq(zpool_obj_write(pool, handle, buf, outside[i].len, outside[i].offset), -EINVAL);
	}
	ck_assert_mem_eq(buf, "0123456789abcdXY", 16);
	assert_fails(zpool_obj_read(pool, handle + 1000000, buf, 1, 0), EINVAL, "is not live");
	assert_fails(zpool_obj_write(pool, handle + 1000000, buf, 1, 0), EINVAL, "is not live");
}

START_TEST(copies_by_the_driver_stay_inside_the_object)
{
	start();
	check_copies(store(16));
	ck_assert_uint_gt(knobs.calls[CALL_READ], 0);
	ck_assert_uint_eq(knobs.calls[CALL_MAP], 0);
	finish();
}
END_TEST

START_TEST(copies_through_a_map_stay_inside_the_object)
{
	start_empty();
	driver.read = NULL;
	driver.write = NULL;
	open_pool("mock");
	unsigned long handle = store(16);
	check_copies(handle);
	ck_assert_uint_eq(knobs.calls[CALL_UNMAP], knobs.calls[CALL_MAP]);
	zpool_free(pool, handle);
	ck_assert_uint_eq(logged, 0);
	finish();
}
END_TEST

START_TEST(copies_are_not_checked_if_the_driver_knows_no_sizes)
{
	start_empty();
	driver.obj_size = NULL;
	open_pool("mock");
	check_copies(store(16));
	finish();
}
END_TEST

START_TEST(driver_that_cannot_map_says_so)
{
	start_empty();
	driver.map = NULL;
	driver.unmap = NULL;
	open_pool("mock");
	unsigned long handle = store(16);
	check_copies(handle);
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EOPNOTSUPP, "driver does not support this call");
	zpool_unmap_handle(pool, handle);
	assert_refused("driver does not support this call");
	finish();
}
END_TEST

START_TEST(map_without_sizes_cannot_copy)
{
	char buf[8];
	start_empty();
	driver.read = NULL;
	driver.write = NULL;
	driver.obj_size = NULL;
	open_pool("mock");
	unsigned long handle = store(16);
	assert_fails(zpool_obj_size(pool, handle), EOPNOTSUPP, "driver does not support this call");
	assert_fails(zpool_obj_read(pool, handle, buf, 1, 0), EOPNOTSUPP, "zpool_obj_read()");
	assert_fails(zpool_obj_write(pool, handle, buf, 1, 0), EOPNOTSUPP, "zpool_obj_write()");
	finish();
}
END_TEST

/* If a driver has only one of read and write, the other one uses the map, and must check the range itself. */
START_TEST(driver_with_only_read_or_write_copies_through_a_checked_map)
{
	char buf[64] = "";
	start_empty();
	driver.obj_size = NULL;
	driver.write = NULL;
	open_pool("mock");
	unsigned long handle = store(16);
	ck_assert_int_eq(zpool_obj_read(pool, handle, buf, 16, 0), 16);
	assert_fails(zpool_obj_write(pool, handle, buf, 64, 0), EOPNOTSUPP, "driver does not support this call");
	ck_assert_uint_eq(knobs.calls[CALL_MAP], 0);
	finish();

	start_empty();
	driver.obj_size = NULL;
	driver.read = NULL;
	open_pool("mock");
	handle = store(16);
	ck_assert_int_eq(zpool_obj_write(pool, handle, buf, 16, 0), 16);
	assert_fails(zpool_obj_read(pool, handle, buf, 64, 0), EOPNOTSUPP, "driver does not support this call");
	ck_assert_uint_eq(knobs.calls[CALL_MAP], 0);
	finish();
}
END_TEST

START_TEST(invalid_results_of_copies_become_errors)
{
	static const struct {
		int64_t answer;
		int err;
	} cases[] = { { -EDOM, EDOM },    { 9, EIO },     { INT64_MAX, EIO },
		      { INT64_MIN, EIO }, { -5000, EIO }, { -(INT64_C(1) << 32), EIO } };
	char buf[8];
	start();
	unsigned long handle = store(16);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		overrule(CALL_READ, cases[i].answer, NULL);
		assert_fails(zpool_obj_read(pool, handle, buf, 8, 0), cases[i].err, "failed with");
		overrule(CALL_WRITE, cases[i].answer, NULL);
		assert_fails(zpool_obj_write(pool, handle, buf, 8, 0), cases[i].err, "failed with");
	}
	overrule(CALL_READ, -EIO, "sector 3");
	assert_fails(zpool_obj_read(pool, handle, buf, 8, 0), EIO, "sector 3");
	finish();
}
END_TEST

START_TEST(copies_through_a_map_that_fails_are_refused)
{
	char buf[8];
	start_empty();
	driver.read = NULL;
	driver.write = NULL;
	open_pool("mock");
	unsigned long handle = store(16);
	overrule(CALL_MAP, EBUSY, NULL);
	assert_fails(zpool_obj_read(pool, handle, buf, 8, 0), EBUSY, "as many times as a handle can be");
	overrule(CALL_MAP, EBUSY, NULL);
	assert_fails(zpool_obj_write(pool, handle, buf, 8, 0), EBUSY, "as many times as a handle can be");
	overrule(CALL_MAP, 0, NULL);
	assert_fails(zpool_obj_read(pool, handle, buf, 8, 0), EINVAL, "is not live");
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		malloc_refuses_bad_input_and_does_not_write_the_handle,
		refusal_of_a_large_object_names_drivers_that_accept_it,
		drivers_are_listed_again_after_a_listing_that_failed,
		malloc_accepts_all_sizes_and_known_flags,
		malloc_failures_of_the_driver_get_a_message,
		message_of_the_driver_is_kept,
		message_of_an_earlier_call_is_not_used_for_a_later_one,
		free_refuses_what_is_not_live_and_keeps_the_rest,
		free_of_a_mapped_object_is_refused,
		unusual_failures_of_free_name_the_errno,
		map_returns_a_zeroed_and_writable_object,
		map_refuses_bad_input,
		map_beyond_the_maximum_is_busy,
		map_that_fails_with_an_invalid_errno_is_einval,
		unmap_refuses_what_is_not_mapped,
		obj_size_works_or_is_refused,
		copies_by_the_driver_stay_inside_the_object,
		copies_through_a_map_stay_inside_the_object,
		copies_are_not_checked_if_the_driver_knows_no_sizes,
		driver_that_cannot_map_says_so,
		map_without_sizes_cannot_copy,
		driver_with_only_read_or_write_copies_through_a_checked_map,
		invalid_results_of_copies_become_errors,
		copies_through_a_map_that_fails_are_refused,
	};
	return UNIT_RUN("core/object", tests);
}
