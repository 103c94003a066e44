/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/pool.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter;

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
}

/* Fails if a pool is left behind. */
static void finish(void)
{
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}

static struct zpool *open_with(const struct zpool_open_args *args, size_t size)
{
	struct zpool *pool = zpool_open("mock", args, size);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	return pool;
}

START_TEST(create_without_a_type_returns_null)
{
	assert_fails_null(zpool_create_pool(NULL, 0, NULL), EINVAL, "No spec was given");
	assert_fails_null(zpool_open(NULL, NULL, 0), EINVAL, "No spec was given");
	assert_fails_null(zpool_create_pool("", 0, NULL), EINVAL, "is missing a driver's name");
}
END_TEST

START_TEST(create_with_a_malformed_spec_returns_null)
{
	start();
	assert_fails_null(zpool_create_pool("../evil", 0, NULL), EINVAL, "is not a valid driver name");
	assert_fails_null(zpool_create_pool("mock:", 0, NULL), EINVAL, "does not have the form key=value");
	assert_fails_null(zpool_create_pool("mock:wrong=1", 0, NULL), EINVAL, "no parameter \"wrong\"");
	assert_fails_null(zpool_create_pool("mock:level=0", 0, NULL), EINVAL, "not a valid value for \"level\"");
	assert_fails_null(zpool_create_pool("mock:limit=x", 0, NULL), EINVAL, "not a valid value for \"limit\"");
	finish();
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	start();
	assert_fails_null(zpool_create_pool("mock", 0x10, NULL), EINVAL, "unknown flags 0x10");
	args.gfp = 0x80000001u;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "unknown flags 0x80000000");
	ck_assert_uint_eq(knobs.calls[CALL_CREATE], 0);
	struct zpool *pool = zpool_create_pool("mock", ZPOOL_GFP_ALL, NULL);
	ck_assert_ptr_nonnull(pool);
	ck_assert_uint_eq(knobs.args.gfp, ZPOOL_GFP_ALL);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(driver_gets_the_callers_arguments)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	start();
	args.gfp = ZPOOL_GFP_ZERO;
	args.node = 3;
	args.name = "shelf";
	struct zpool *pool = zpool_open("mock:level=5,limit=1M,note=%2c", &args, sizeof(args));
	ck_assert_ptr_nonnull(pool);
	ck_assert_uint_eq(knobs.args.struct_size, sizeof(knobs.args));
	ck_assert_uint_eq(knobs.args.value_size, sizeof(struct zpool_value));
	ck_assert_str_eq(knobs.name, "shelf");
	ck_assert_uint_eq(knobs.args.gfp, ZPOOL_GFP_ZERO);
	ck_assert_int_eq(knobs.args.node, 3);
	ck_assert_uint_eq(knobs.args.limit_bytes, 1 << 20);
	ck_assert_ptr_null((void *)(uintptr_t)knobs.args.evict);
	ck_assert_ptr_null(knobs.args.page_source);
	ck_assert_uint_eq(knobs.args.value_count, 3);
	ck_assert_uint_eq(knobs.values[0].number, 5);
	ck_assert_str_eq(knobs.value_texts[1], "red");
	ck_assert_str_eq(knobs.value_texts[2], ",");
	ck_assert_ptr_null(knobs.args.lower_spec);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(arguments_of_size_zero_are_refused)
{
	const struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	start();
	assert_fails_null(zpool_open("mock", &args, 0), EINVAL, "arguments of size 0");
	finish();
}
END_TEST

START_TEST(null_arguments_of_any_size_mean_defaults)
{
	start();
	struct zpool *pool = open_with(NULL, 1000);
	ck_assert_int_eq(knobs.args.node, -1);
	ck_assert_uint_eq(knobs.args.gfp, 0);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(missing_members_of_arguments_have_defaults)
{
	struct zpool_open_args args;
	memset(&args, 0xee, sizeof(args));
	args.gfp = ZPOOL_GFP_ZERO;
	start();
	struct zpool *pool = open_with(&args, offsetof(struct zpool_open_args, node));
	ck_assert_uint_eq(knobs.args.gfp, ZPOOL_GFP_ZERO);
	ck_assert_int_eq(knobs.args.node, -1);
	ck_assert_ptr_null(knobs.args.page_source);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(unknown_members_of_arguments_must_be_zero)
{
	struct {
		struct zpool_open_args known;
		unsigned char unknown[24];
	} args = { .known = ZPOOL_OPEN_ARGS_INIT };
	start();
	zpool_destroy_pool(open_with(&args.known, sizeof(args)));
	for (size_t i = 0; i < sizeof(args.unknown); i++) {
		args.unknown[i] = 1;
		assert_fails_null(zpool_open("mock", &args.known, sizeof(args)), E2BIG,
				  "from a newer version of zpool.h");
		args.unknown[i] = 0;
	}
	args.unknown[23] = 1;
	zpool_destroy_pool(open_with(&args.known, sizeof(args) - 1));
	finish();
}
END_TEST

START_TEST(node_must_be_any_or_a_valid_linux_node)
{
	static const int good[] = { -1, 0, 1023 }, bad[] = { -2, 1024, INT_MIN, INT_MAX };
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	start();
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		args.node = good[i];
		zpool_destroy_pool(open_with(&args, sizeof(args)));
		ck_assert_int_eq(knobs.args.node, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		args.node = bad[i];
		assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "give a number from 0 to 1023");
	}
	finish();
}
END_TEST

/* The arguments and the cancellation state of the last call to the page source. */
static void *asked_context;
static unsigned int source_calls;

static void note_source_call(void *context)
{
	int state = -1;
	asked_context = context;
	source_calls++;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	ck_assert_int_eq(state, PTHREAD_CANCEL_DISABLE);
}

static void *reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	note_source_call(context);
	ck_assert_uint_eq(bytes, 8192);
	ck_assert_uint_eq(align_bytes, 4096);
	ck_assert_int_eq(node, 3);
	return &asked_context;
}

static int commit(void *context, void *address, size_t bytes)
{
	note_source_call(context);
	ck_assert_ptr_eq(address, &asked_context);
	ck_assert_uint_eq(bytes, 4096);
	return -ENOMEM;
}

static void release(void *context, void *address, size_t bytes)
{
	(void)commit(context, address, bytes);
}

START_TEST(page_source_of_the_host_is_called_without_cancellation)
{
	struct zpool_page_source source = { .struct_size = sizeof(source),
					    .context = &source,
					    .reserve = reserve,
					    .commit = commit,
					    .decommit = commit,
					    .release = release };
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.page_source = &source;
	start();
	struct zpool *pool = open_with(&args, sizeof(args));
	const struct zpool_page_source *handed = knobs.args.page_source;
	ck_assert_uint_eq(handed->struct_size, sizeof(*handed));
	ck_assert_ptr_eq(handed->reserve(handed->context, 8192, 4096, 3), &asked_context);
	ck_assert_int_eq(handed->commit(handed->context, &asked_context, 4096), -ENOMEM);
	ck_assert_int_eq(handed->decommit(handed->context, &asked_context, 4096), -ENOMEM);
	handed->release(handed->context, &asked_context, 4096);
	ck_assert_uint_eq(source_calls, 4);
	ck_assert_ptr_eq(asked_context, &source);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

static int commit_error;

static int fail_commit(void *context, void *address, size_t bytes)
{
	(void)context, (void)address, (void)bytes;
	return commit_error;
}

/* Drivers pass on what commit returns, and other errnos of zpool_malloc() mean something else. */
START_TEST(every_failed_commit_of_a_page_source_means_no_memory)
{
	static const int errors[] = { -ENOMEM, -ENOSPC, -EAGAIN, -EINVAL, -EIO, -EOPNOTSUPP, -1000000, 1 };
	struct zpool_page_source source = { .struct_size = sizeof(source),
					    .reserve = reserve,
					    .commit = fail_commit,
					    .decommit = commit,
					    .release = release };
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.page_source = &source;
	start();
	struct zpool *pool = open_with(&args, sizeof(args));
	const struct zpool_page_source *handed = knobs.args.page_source;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		commit_error = errors[i];
		ck_assert_int_eq(handed->commit(handed->context, &asked_context, 4096), -ENOMEM);
	}
	commit_error = 0;
	ck_assert_int_eq(handed->commit(handed->context, &asked_context, 4096), 0);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(page_source_is_checked)
{
	const struct zpool_page_source good = { .struct_size = sizeof(good),
						.reserve = reserve,
						.commit = commit,
						.decommit = commit,
						.release = release };
	struct zpool_page_source source = good;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.page_source = &source;
	start();
	zpool_destroy_pool(open_with(&args, sizeof(args)));
	ck_assert_ptr_nonnull(knobs.args.page_source);
	source.struct_size = sizeof(source) - 1;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "struct_size");
	source.struct_size = 0;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "struct_size 0");
	source = good;
	source.flags = 4;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "flags 0x4");
	source = good;
	source.reserve = NULL;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "lacks one of its functions reserve");
	source = good;
	source.commit = NULL;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "lacks one of its functions reserve");
	source = good;
	source.decommit = NULL;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "lacks one of its functions reserve");
	source = good;
	source.release = NULL;
	assert_fails_null(zpool_open("mock", &args, sizeof(args)), EINVAL, "lacks one of its functions reserve");
	source = good;
	source.struct_size += 64;
	zpool_destroy_pool(open_with(&args, sizeof(args)));
	finish();
}
END_TEST

START_TEST(name_is_copied_or_generated_from_type_and_number)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	char name[] = "mine";
	start();
	args.name = name;
	struct zpool *named = open_with(&args, sizeof(args));
	name[0] = 'X';
	ck_assert_str_eq(zpool_get_name(named), "mine");
	struct zpool *first = zpool_create_pool("mock", 0, NULL), *second = zpool_create_pool("sieve+mock", 0, NULL);
	unsigned int a = 0, b = 0;
	ck_assert_int_eq(sscanf(zpool_get_name(first), "mock-%u", &a), 1);
	ck_assert_int_eq(sscanf(zpool_get_name(second), "mock-%u", &b), 1);
	ck_assert_uint_eq(b, a + 1);
	zpool_destroy_pool(named);
	zpool_destroy_pool(first);
	zpool_destroy_pool(second);
	finish();
}
END_TEST

START_TEST(numbers_of_names_are_decimal)
{
	struct zpool *pool = NULL;
	char expected[32];
	unsigned int first = 0;
	start();
	for (unsigned int i = 0; i < 120; i++) {
		pool = zpool_create_pool("mock", 0, NULL);
		if (i == 0)
			ck_assert_int_eq(sscanf(zpool_get_name(pool), "mock-%u", &first), 1);
		(void)snprintf(expected, sizeof(expected), "mock-%u", first + i);
		ck_assert_str_eq(zpool_get_name(pool), expected);
		zpool_destroy_pool(pool);
	}
	finish();
}
END_TEST

static struct zpool *evicted_pool;
static unsigned long evicted_handle;
static void *evicted_user;

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	evicted_pool = pool;
	evicted_handle = handle;
	evicted_user = user;
	return 17;
}

static int evict_kernel_style(struct zpool *pool, unsigned long handle)
{
	evicted_user = NULL;
	return evict(pool, handle, NULL) + 1;
}

START_TEST(evict_passes_pool_and_user_pointer_to_the_owner)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	start();
	args.evict = evict;
	args.user = &args;
	struct zpool *pool = open_with(&args, sizeof(args));
	ck_assert_int_eq(knobs.args.evict(knobs.args.evict_context, 99), 17);
	ck_assert_ptr_eq(evicted_pool, pool);
	ck_assert_uint_eq(evicted_handle, 99);
	ck_assert_ptr_eq(evicted_user, &args);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(ops_are_read_during_the_call_only)
{
	struct zpool_ops ops = { evict_kernel_style };
	start();
	struct zpool *pool = zpool_create_pool("mock", 0, &ops);
	ck_assert_ptr_nonnull(pool);
	ops.evict = NULL;
	ck_assert_int_eq(knobs.args.evict(knobs.args.evict_context, 98), 18);
	ck_assert_ptr_eq(evicted_pool, pool);
	ck_assert(zpool_evictable(pool));
	zpool_destroy_pool(pool);
	pool = zpool_create_pool("mock", 0, &ops);
	ck_assert_ptr_nonnull(pool);
	ck_assert(!zpool_evictable(pool));
	ck_assert_ptr_null((void *)(uintptr_t)knobs.args.evict);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(limit_below_the_empty_size_is_refused)
{
	start();
	assert_fails_null(zpool_create_pool("mock:limit=4095", 0, NULL), ENOMEM, "A limit of 4095 bytes is too low");
	assert_contains(zpool_last_error(), "holds 4096");
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	struct zpool *pool = zpool_create_pool("mock:limit=4096", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
	assert_fails_null(zpool_create_pool("mock:limit=1", 0, NULL), ENOMEM, "A limit of 1 byte is too low");
	pool = zpool_create_pool("mock:limit=0", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(create_that_the_driver_refuses_returns_null)
{
	start();
	knobs.overrule[CALL_CREATE] = true;
	knobs.answer[CALL_CREATE] = -ENODEV;
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENODEV,
			  "Driver \"mock\" could not create a pool: No such device");
	knobs.overrule[CALL_CREATE] = true;
	knobs.message = "the shelf is missing";
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENODEV, "the shelf is missing");
	knobs.message = NULL;
	knobs.overrule[CALL_CREATE] = true;
	knobs.answer[CALL_CREATE] = 1;
	assert_fails_null(zpool_create_pool("mock", 0, NULL), EIO, "could not create a pool");
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 0);
	finish();
}
END_TEST

START_TEST(invalid_pool_is_an_error_of_the_driver)
{
	static const size_t alignments[] = { 0, 4, 12 };
	start();
	knobs.without_pool = true;
	assert_fails_null(zpool_create_pool("mock", 0, NULL), EIO, "created a pool with no pool");
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 0);
	knobs.without_pool = false;
	knobs.change_created = true;
	knobs.created_alignment = 8;
	assert_fails_null(zpool_create_pool("mock", 0, NULL), EIO, "largest object of 0 bytes");
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	knobs.created_max = 10;
	for (size_t i = 0; i < sizeof(alignments) / sizeof(*alignments); i++) {
		knobs.created_alignment = alignments[i];
		assert_fails_null(zpool_create_pool("mock", 0, NULL), EIO, "an alignment that is not a power of two");
		ck_assert_uint_eq(knobs.calls[CALL_DESTROY], i + 2);
	}
	finish();
}
END_TEST

START_TEST(create_may_change_largest_object_and_alignment)
{
	unsigned long handle;
	start();
	knobs.change_created = true;
	knobs.created_max = 10;
	knobs.created_alignment = 64;
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	ck_assert_uint_eq(zpool_max_object_size(pool), 10);
	ck_assert_uint_eq(zpool_alignment(pool), 64);
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	ck_assert_int_eq(zpool_malloc(pool, 11, 0, &handle), -ENOSPC);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(destroy_frees_live_and_mapped_objects)
{
	unsigned long handle;
	start();
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(knobs.calls[CALL_DESTROY], 1);
	zpool_destroy_pool(NULL);
	finish();
}
END_TEST

START_TEST(hot_members_are_in_one_cache_line)
{
	start();
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	ck_assert_uint_eq((uintptr_t)pool % 64, 0);
	ck_assert_uint_lt(offsetof(struct zpool, inherited), 64);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(every_failing_allocation_is_reported_and_leaves_nothing)
{
	start();
	unsigned int failures = 0;
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		errno = 0;
		struct zpool *pool = zpool_create_pool("sieve:depth=2+mock:level=4,limit=1M", 0, NULL);
		int err = errno;
		bool failed = memory_stop();
		if (pool) {
			zpool_destroy_pool(pool);
			if (!failed)
				break;
			continue;
		}
		failures++;
		ck_assert_int_eq(err, ENOMEM);
		ck_assert_str_ne(zpool_last_error(), "");
	}
	ck_assert_uint_ge(failures, 7);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		create_without_a_type_returns_null,
		create_with_a_malformed_spec_returns_null,
		unknown_flags_are_refused,
		driver_gets_the_callers_arguments,
		arguments_of_size_zero_are_refused,
		null_arguments_of_any_size_mean_defaults,
		missing_members_of_arguments_have_defaults,
		unknown_members_of_arguments_must_be_zero,
		node_must_be_any_or_a_valid_linux_node,
		page_source_is_checked,
		page_source_of_the_host_is_called_without_cancellation,
		every_failed_commit_of_a_page_source_means_no_memory,
		name_is_copied_or_generated_from_type_and_number,
		numbers_of_names_are_decimal,
		evict_passes_pool_and_user_pointer_to_the_owner,
		ops_are_read_during_the_call_only,
		limit_below_the_empty_size_is_refused,
		create_that_the_driver_refuses_returns_null,
		invalid_pool_is_an_error_of_the_driver,
		create_may_change_largest_object_and_alignment,
		destroy_frees_live_and_mapped_objects,
		hot_members_are_in_one_cache_line,
		every_failing_allocation_is_reported_and_leaves_nothing,
	};
	return UNIT_RUN("core/open", tests);
}
