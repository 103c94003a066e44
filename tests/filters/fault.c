/* SPDX-License-Identifier: MIT
 *
 * The filter fault makes exactly those calls fail that its parameters select.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "zpool-driver.h"

static struct zpool *pool;

static void open_fault(const char *filter, int driver)
{
	pool = stack_open(filter, stack_drivers[driver], NULL);
}

static void close_fault(void)
{
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}

static int try_malloc(void)
{
	unsigned long handle = 0;
	int err = zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle);

	ck_assert((err == 0) == (handle != 0));
	if (!err)
		zpool_free(pool, handle);
	return err;
}

START_TEST(the_nth_malloc_fails)
{
	open_fault("fault:malloc_nth=5", _i);
	for (int i = 1; i <= 20; i++) {
		ck_assert_int_eq(try_malloc(), i == 5 ? -ENOMEM : 0);
		if (i == 5)
			assert_contains(zpool_last_error(), "malloc number 5 fail");
	}
	ck_assert_uint_eq(stack_stats(pool).malloc_failed_memory, 1);
	/* Setting the parameter again restarts the counter. */
	ck_assert_int_eq(zpool_set_param(pool, "fault.malloc_nth", "2"), 0);
	for (int i = 1; i <= 5; i++)
		ck_assert_int_eq(try_malloc(), i == 2 ? -ENOMEM : 0);
	close_fault();
}
END_TEST

START_TEST(the_nth_map_fails)
{
	unsigned long handle;
	char byte = 7;

	open_fault("fault:map_nth=3", _i);
	handle = stack_store(pool, 100);
	ck_assert_int_eq(zpool_obj_write(pool, handle, &byte, 1, 99), 1);
	assert_fails_null(zpool_map_handle(pool, handle, ZPOOL_MM_RO), ENOMEM, "map number 3 fail");
	byte = 0;
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 99), 1);
	ck_assert_int_eq(byte, 7);
	ck_assert_int_eq(zpool_set_param(pool, "map_nth", "1"), 0);
	ck_assert_int_eq(zpool_obj_read(pool, handle, &byte, 1, 99), -ENOMEM);
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RO));
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
	ck_assert_uint_eq(stack_errors, 0);
	close_fault();
}
END_TEST

enum { CALLS = 2000 };

static void note_failures(const char *filter, int driver, char *failed)
{
	open_fault(filter, driver);
	for (int i = 0; i < CALLS; i++)
		failed[i] = try_malloc() != 0;
	close_fault();
}

static int failures(const char *failed)
{
	int count = 0;

	for (int i = 0; i < CALLS; i++)
		count += failed[i];
	return count;
}

START_TEST(a_share_fails_the_same_way_with_the_same_seed)
{
	static char first[CALLS], second[CALLS], other[CALLS];

	note_failures("fault:malloc_share=100,seed=7", _i, first);
	note_failures("fault:malloc_share=100,seed=7", _i, second);
	note_failures("fault:malloc_share=100,seed=8", _i, other);
	ck_assert_mem_eq(first, second, CALLS);
	ck_assert_mem_ne(first, other, CALLS);
	/*
	 * The expected number is 200 with a standard deviation of 13; the seeds are fixed, so the result is always the
	 * same.
	 */
	ck_assert_int_gt(failures(first), 130);
	ck_assert_int_lt(failures(first), 270);
}
END_TEST

START_TEST(share_of_all_selects_every_call_and_share_of_zero_none)
{
	static char failed[CALLS];

	note_failures("fault:malloc_share=1000", _i, failed);
	ck_assert_int_eq(failures(failed), CALLS);
	note_failures("fault", _i, failed);
	ck_assert_int_eq(failures(failed), 0);
}
END_TEST

static unsigned int asked;

static int evict_and_free(struct zpool *of, unsigned long handle)
{
	asked++;
	zpool_free(of, handle);
	return 0;
}

static const struct zpool_ops evicting = { .evict = evict_and_free };

START_TEST(evictions_fail_without_asking_the_owner)
{
	unsigned int pages = 7;

	asked = 0;
	pool = stack_open("fault:evict_share=1000", stack_drivers[_i], &evicting);
	for (int i = 0; i < 100; i++)
		(void)stack_store(pool, 1000);
	if (zpool_evictable(pool)) {
		ck_assert_int_eq(zpool_shrink(pool, 3, &pages), -EAGAIN);
		ck_assert_uint_eq(asked, 0);
		ck_assert_uint_eq(pages, 0);
		ck_assert_uint_eq(stack_stats(pool).objects, 100);
		ck_assert_int_eq(zpool_set_param(pool, "evict_share", "0"), 0);
		ck_assert_int_eq(zpool_shrink(pool, 3, &pages), 0);
		ck_assert_uint_gt(asked, 0);
	}
	close_fault();
}
END_TEST

/* A layer above the failing one must undo what it had begun. */
START_TEST(guard_on_top_of_fault_stays_consistent)
{
	open_fault("guard+fault:malloc_share=300,map_share=300", _i);
	for (int i = 0; i < CALLS; i++) {
		unsigned long handle = 0;
		char *at;

		if (zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle) != 0)
			continue;
		at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
		if (at) {
			memset(at, 0x55, 100);
			zpool_unmap_handle(pool, handle);
		}
		zpool_free(pool, handle);
	}
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
	ck_assert_uint_eq(stack_stats(pool).mapped_handles, 0);
	ck_assert_uint_eq(stack_stats(pool).errors, 0);
	close_fault();
	ck_assert_str_eq(stack_log, "");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Fault on drivers that cannot report an object's size: one object of 8 bytes, followed by other bytes
 */

enum { SINGLE_BYTES = 8, SINGLE_HANDLE = 5 };

struct single_pool {
	char bytes[SINGLE_BYTES];
	char behind[SINGLE_BYTES];
};

static int single_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, sizeof(struct single_pool));
	return out->pool ? 0 : -ENOMEM;
}

static int single_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	(void)pool_, (void)size, (void)gfp;
	*handle = SINGLE_HANDLE;
	return 0;
}

static int single_free(void *pool_, unsigned long handle)
{
	(void)pool_;
	return handle == SINGLE_HANDLE ? 0 : -EINVAL;
}

static uint64_t single_total_size(void *pool_)
{
	(void)pool_;
	return sizeof(struct single_pool);
}

static bool single_holds(unsigned long handle, size_t len, size_t offset)
{
	return handle == SINGLE_HANDLE && offset <= SINGLE_BYTES && len <= SINGLE_BYTES - offset;
}

static int64_t single_read(void *pool_, unsigned long handle, void *buf, size_t len, size_t offset)
{
	if (!single_holds(handle, len, offset))
		return -EINVAL;
	memcpy(buf, (char *)pool_ + offset, len);
	return (int64_t)len;
}

static int64_t single_write(void *pool_, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	if (!single_holds(handle, len, offset))
		return -EINVAL;
	memcpy((char *)pool_ + offset, buf, len);
	return (int64_t)len;
}

static void *single_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	(void)handle, (void)mode;
	return pool_;
}

static int single_unmap(void *pool_, unsigned long handle)
{
	(void)pool_, (void)handle;
	return 0;
}

#define SINGLE(name)                                                                                                   \
	.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .struct_size = sizeof(struct zpool_driver),         \
	.param_size = sizeof(struct zpool_param), .type = (name), .max_object_bytes = SINGLE_BYTES,                    \
	.alignment_bytes = 8, .create = single_create, .destroy = free, .malloc = single_malloc, .free = single_free,  \
	.total_size = single_total_size

static const struct zpool_driver copying_driver = { SINGLE("copying"), .read = single_read, .write = single_write };
static const struct zpool_driver mapping_driver = { SINGLE("mapping"), .map = single_map, .unmap = single_unmap };

START_TEST(driver_without_map_works_behind_a_filter)
{
	unsigned long handle;
	char bytes[SINGLE_BYTES] = "";

	ck_assert_int_eq(zpool_register_driver(&copying_driver), 0);
	pool = stack_open("fault", "copying", NULL);
	ck_assert_int_eq(zpool_malloc(pool, SINGLE_BYTES, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_int_eq(zpool_obj_write(pool, handle, "abcd", 4, 4), 4);
	ck_assert_int_eq(zpool_obj_read(pool, handle, bytes, 3, 5), 3);
	ck_assert_str_eq(bytes, "bcd");
	ck_assert_int_eq(zpool_obj_write(pool, handle, "abcd", 4, 5), -EINVAL);
	ck_assert_int_eq(zpool_obj_read(pool, handle, bytes, 1, SINGLE_BYTES), -EINVAL);
	ck_assert_int_eq(zpool_obj_size(pool, handle), -EOPNOTSUPP);
	close_fault();
	ck_assert_int_eq(zpool_unregister_driver(&copying_driver), 0);
}
END_TEST

static int never_evict(struct zpool *of, unsigned long handle)
{
	(void)of, (void)handle;
	return -EAGAIN;
}

static int count_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats, (void)stats_size;
	++*(unsigned int *)user;
	return 0;
}

START_TEST(calls_that_a_driver_lacks_are_not_supported_behind_a_filter)
{
	const struct zpool_ops ops = { never_evict };
	unsigned long handle;
	unsigned int classes = 0, reclaimed;
	uint64_t released;
	struct zpool_stats stats;

	ck_assert_int_eq(zpool_register_driver(&copying_driver), 0);
	pool = stack_open("fault", "copying", &ops);
	ck_assert_int_eq(zpool_malloc(pool, SINGLE_BYTES, ZPOOL_GFP_KERNEL, &handle), 0);
	errno = 0;
	ck_assert_ptr_null(zpool_map_handle(pool, handle, ZPOOL_MM_RO));
	ck_assert_int_eq(errno, EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "copying"));
	zpool_unmap_handle(pool, handle);
	ck_assert_uint_eq(stack_logged("zpool_unmap_handle()"), 1);
	ck_assert_int_eq(zpool_shrink(pool, 1, &reclaimed), -EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "driver does not support eviction"));
	ck_assert_int_eq(zpool_compact(pool, UINT64_MAX, UINT64_MAX, &released), -EOPNOTSUPP);
	ck_assert_int_eq(zpool_trim(pool, &released), -EOPNOTSUPP);
	ck_assert_int_eq(zpool_each_class(pool, count_class, &classes), -EOPNOTSUPP);
	ck_assert_uint_eq(classes, 0);
	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), -EOPNOTSUPP);
	close_fault();
	ck_assert_int_eq(zpool_unregister_driver(&copying_driver), 0);
}
END_TEST

START_TEST(object_of_unknown_size_is_not_copied)
{
	unsigned long handle;
	char bytes[2 * SINGLE_BYTES] = "";

	ck_assert_int_eq(zpool_register_driver(&mapping_driver), 0);
	pool = stack_open("fault", "mapping", NULL);
	ck_assert_int_eq(zpool_malloc(pool, SINGLE_BYTES, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_int_eq(zpool_obj_write(pool, handle, bytes, sizeof(bytes), 0), -EOPNOTSUPP);
	ck_assert_int_eq(zpool_obj_read(pool, handle, bytes, sizeof(bytes), 0), -EOPNOTSUPP);
	close_fault();
	ck_assert_int_eq(zpool_unregister_driver(&mapping_driver), 0);
}
END_TEST

int main(void)
{
	const TTest *const on_each[] = {
		the_nth_malloc_fails,
		the_nth_map_fails,
		a_share_fails_the_same_way_with_the_same_seed,
		share_of_all_selects_every_call_and_share_of_zero_none,
		evictions_fail_without_asking_the_owner,
		guard_on_top_of_fault_stays_consistent,
	};
	Suite *suite = suite_create("fault");
	TCase *tcase = tcase_create("fault");

	for (size_t i = 0; i < sizeof(on_each) / sizeof(on_each[0]); i++)
		tcase_add_loop_test(tcase, on_each[i], 0, STACK_DRIVERS);
	tcase_add_test(tcase, driver_without_map_works_behind_a_filter);
	tcase_add_test(tcase, calls_that_a_driver_lacks_are_not_supported_behind_a_filter);
	tcase_add_test(tcase, object_of_unknown_size_is_not_copied);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
