/* SPDX-License-Identifier: MIT
 *
 * The filter guard detects each mistake of a caller, on every shipped driver, once and by its name.
 */
#include "config.h"

#include "tests/filters/stack.h"

#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>

static struct zpool *pool;

static void open_guard(const char *filter, int driver)
{
	pool = stack_open(filter, stack_drivers[driver], NULL);
}

/* Checks the number of errors in the statistics and in the log, and that the log has this text. */
static void expect_errors(unsigned int errors, const char *part)
{
	ck_assert_uint_eq(stack_stats(pool).errors, errors);
	ck_assert_msg(stack_errors == errors, "%u errors were logged, expected %u:\n%s", stack_errors, errors,
		      stack_log);
	if (part)
		assert_contains(stack_log, part);
}

static void close_guard(unsigned int errors)
{
	zpool_destroy_pool(pool);
	ck_assert_msg(stack_errors == errors, "%u errors were logged, expected %u:\n%s", stack_errors, errors,
		      stack_log);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}

/* Sizes around those to which drivers round up. */
static const size_t sizes[] = { 1, 7, 8, 31, 100, 1000, 2047, 3000 };
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

START_TEST(correct_use_is_silent)
{
	unsigned long handles[SIZES];

	open_guard("guard", _i);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++)
			handles[i] = stack_store(pool, sizes[i]);
		for (size_t i = 0; i < SIZES; i++) {
			const unsigned char *at = zpool_map_handle(pool, handles[i], ZPOOL_MM_RO);

			ck_assert_ptr_nonnull(at);
			ck_assert_uint_eq(at[0], 0x55);
			ck_assert_uint_eq(at[sizes[i] - 1], 0x55);
			ck_assert_int_eq(zpool_obj_size(pool, handles[i]), (int64_t)sizes[i]);
			zpool_unmap_handle(pool, handles[i]);
			zpool_free(pool, handles[i]);
		}
	}
	expect_errors(0, NULL);
	close_guard(0);
	ck_assert_str_eq(stack_log, "");
}
END_TEST

START_TEST(a_double_free_is_found)
{
	unsigned long handle;

	open_guard("guard", _i);
	handle = stack_store(pool, 500);
	zpool_free(pool, handle);
	zpool_free(pool, handle);
	expect_errors(1, "double free");
	assert_contains(zpool_last_error(), "double free");
	ck_assert_uint_eq(stack_stats(pool).refused_handles, 1);
	close_guard(1);
}
END_TEST

START_TEST(a_stale_handle_is_found)
{
	unsigned long stale, handle;

	open_guard("guard", _i);
	stale = stack_store(pool, 500);
	zpool_free(pool, stale);
	handle = stack_store(pool, 500);
	ck_assert_ptr_null(zpool_map_handle(pool, stale, ZPOOL_MM_RO));
	assert_contains(zpool_last_error(), "stale handle: map");
	ck_assert_int_eq(zpool_obj_size(pool, stale), -EINVAL);
	zpool_unmap_handle(pool, stale);
	assert_contains(stack_log, "stale handle: unmap");
	ck_assert_uint_eq(stack_stats(pool).errors, 3);
	zpool_free(pool, handle);
	close_guard(1);
}
END_TEST

START_TEST(a_foreign_handle_is_found)
{
	unsigned long handle;
	struct zpool *other;

	open_guard("guard", _i);
	other = stack_open("guard", stack_drivers[_i], NULL);
	handle = stack_store(other, 500);
	zpool_free(pool, handle);
	expect_errors(1, "foreign handle: free");
	ck_assert_int_eq(zpool_obj_size(other, handle), 500);
	zpool_free(other, handle);
	zpool_destroy_pool(other);
	close_guard(1);
}
END_TEST

/* The byte after the object is written, for each size, and the unmap that follows detects it. */
START_TEST(an_overrun_by_one_byte_is_found)
{
	open_guard("guard", _i);
	for (size_t i = 0; i < SIZES; i++) {
		unsigned long handle = stack_store(pool, sizes[i]);
		char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
		char expected[100];

		at[sizes[i]] = 0;
		zpool_unmap_handle(pool, handle);
		(void)snprintf(expected, sizeof(expected), "of %zu byte%s, was written 1 to 1 byte past its end",
			       sizes[i], sizes[i] == 1 ? "" : "s");
		expect_errors((unsigned int)i + 1, expected);
		zpool_free(pool, handle);
	}
	ck_assert_uint_eq(stack_logged("overrun: "), SIZES);
	close_guard(SIZES);
}
END_TEST

START_TEST(an_underrun_is_found)
{
	static const ptrdiff_t depths[] = { 1, 8, 16 };

	open_guard("guard", _i);
	for (unsigned int i = 0; i < 3; i++) {
		unsigned long handle = stack_store(pool, 200);
		char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
		char expected[100];

		at[-depths[i]] ^= 1;
		zpool_unmap_handle(pool, handle);
		(void)snprintf(expected, sizeof(expected), "was written up to %td byte%s before its start", depths[i],
			       depths[i] == 1 ? "" : "s");
		expect_errors(i + 1, expected);
		zpool_free(pool, handle);
	}
	ck_assert_uint_eq(stack_logged("underrun: "), 3);
	close_guard(3);
}
END_TEST

START_TEST(an_overrun_through_a_mapping_for_reading_is_found_at_free)
{
	unsigned long handle;
	char *at;

	open_guard("guard", _i);
	handle = stack_store(pool, 300);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	at[300] = 1;
	zpool_unmap_handle(pool, handle);
	expect_errors(0, NULL);
	zpool_free(pool, handle);
	expect_errors(1, "detected in zpool_free()");
	close_guard(1);
}
END_TEST

/* The address remains mapped in all shipped drivers, so the write itself is not detected. */
START_TEST(a_use_after_unmap_is_found_at_the_next_check)
{
	unsigned long handles[3];
	char *at[3];

	open_guard("guard", _i);
	for (int i = 0; i < 3; i++) {
		handles[i] = stack_store(pool, 900);
		at[i] = zpool_map_handle(pool, handles[i], ZPOOL_MM_RW);
		zpool_unmap_handle(pool, handles[i]);
	}
	for (int i = 0; i < 3; i++)
		at[i][i * 449] ^= 1;
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handles[0], ZPOOL_MM_RO));
	expect_errors(1, "use after unmap: ");
	assert_contains(stack_log, "detected in zpool_map_handle()");
	zpool_unmap_handle(pool, handles[0]);
	zpool_free(pool, handles[0]);
	expect_errors(1, NULL);
	zpool_free(pool, handles[1]);
	expect_errors(2, "detected in zpool_free()");
	close_guard(3);
	assert_contains(stack_log, "detected in zpool_destroy_pool()");
}
END_TEST

START_TEST(every_damaged_object_is_found_when_the_pool_is_destroyed)
{
	enum { OBJECTS = 3 };

	open_guard("guard:leaks=no", _i);
	for (int i = 0; i < OBJECTS; i++) {
		unsigned long handle = stack_store(pool, 300);
		char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RO);

		at[300] = 1;
		zpool_unmap_handle(pool, handle);
	}
	expect_errors(0, NULL);
	close_guard(OBJECTS);
	ck_assert_uint_eq(stack_logged("detected in zpool_destroy_pool()"), OBJECTS);
}
END_TEST

/* The checksum processes an object in steps of 64 bytes, and the rest at its end in a different way. */
START_TEST(damage_to_any_byte_of_an_object_is_detected)
{
	static const size_t lengths[] = { 1, 7, 63, 64, 65, 79, 127, 128, 129, 200 };
	unsigned int errors = 0;

	open_guard("guard", _i);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		unsigned long handle = stack_store(pool, lengths[i]);

		for (size_t byte = 0; byte < lengths[i]; byte++) {
			char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);

			zpool_unmap_handle(pool, handle);
			at[byte] ^= (char)0x80;
			ck_assert_ptr_eq(zpool_map_handle(pool, handle, ZPOOL_MM_RO), at);
			ck_assert_uint_eq(stack_stats(pool).errors, ++errors);
			zpool_unmap_handle(pool, handle);
		}
		zpool_free(pool, handle);
	}
	close_guard(errors);
}
END_TEST

START_TEST(unbalanced_maps_are_found)
{
	unsigned long handle;

	open_guard("guard", _i);
	handle = stack_store(pool, 100);
	zpool_unmap_handle(pool, handle);
	expect_errors(1, "which is not mapped");
	ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RO));
	zpool_free(pool, handle);
	expect_errors(2, "which is mapped; unmap it first");
	zpool_destroy_pool(pool);
	assert_contains(stack_log, "map balance: 1 object is still mapped");
	assert_contains(stack_log, "3 errors were found");
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}
END_TEST

/* The report names the code that stored the objects, and combines objects that were stored by the same code. */
START_TEST(a_leak_report_names_the_caller)
{
	unsigned long handle;
	char expected[64];
	const char *line;

	open_guard("guard", _i);
	for (int i = 0; i < 5; i++)
		(void)stack_store(pool, 100);
	ck_assert_int_eq(zpool_malloc(pool, 77, ZPOOL_GFP_KERNEL, &handle), 0);
	close_guard(0);
	assert_contains(stack_log, "leak: 6 objects of 577 bytes are left");
	(void)snprintf(expected, sizeof(expected), "such as handle 0x%lx, stored by ", handle);
	line = strstr(stack_log, expected);
	ck_assert_msg(line != NULL, "no line has \"%s\":\n%s", expected, stack_log);
	ck_assert_uint_ge(stack_logged(", stored by "), 2);
	/* The report must name the program and not the library. */
	line += strlen(expected);
	ck_assert_msg(memchr(line, '[', strcspn(line, "\n")) != NULL, "the report has no address:\n%s", stack_log);
	ck_assert_msg(strstr(line, "guard(") != NULL && strstr(line, "guard(") < line + strcspn(line, "\n"),
		      "the report does not name the program:\n%s", stack_log);
}
END_TEST

/* Every use of the macro is a place of its own in the program. */
#define LEAK zpool_malloc(pool, 10, ZPOOL_GFP_KERNEL, &handle)
#define LEAK_5 (LEAK || LEAK || LEAK || LEAK || LEAK)
#define LEAK_25 (LEAK_5 || LEAK_5 || LEAK_5 || LEAK_5 || LEAK_5)

START_TEST(leaks_of_more_places_than_are_named_are_counted)
{
	unsigned long handle;

	open_guard("guard", _i);
	ck_assert(!LEAK_25 && !LEAK_25 && !LEAK_25);
	close_guard(0);
	assert_contains(stack_log, "leak: 75 objects of 750 bytes are left");
	ck_assert_uint_eq(stack_logged("leak: 1 object of 10 bytes, such as handle "), 20);
	assert_contains(stack_log, "leak: 55 objects of 550 bytes, stored by code that is not named above.");
}
END_TEST

START_TEST(leaks_are_not_reported_if_disabled)
{
	open_guard("guard:leaks=no", _i);
	(void)stack_store(pool, 100);
	close_guard(0);
	ck_assert_str_eq(stack_log, "");
}
END_TEST

START_TEST(freed_objects_are_poisoned)
{
	unsigned long handle;
	unsigned char *at;

	/* The test needs a driver whose memory stays readable and which does not write to free memory. */
	pool = stack_open("guard", "zbud", NULL);
	(void)stack_store(pool, 1000);
	handle = stack_store(pool, 1000);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(at[i], 0x6b);
	close_guard(0);
}
END_TEST

START_TEST(without_checksums_a_use_after_unmap_goes_unseen)
{
	unsigned long handle;
	char *at;

	open_guard("guard:checksum=no,poison=no", _i);
	handle = stack_store(pool, 1000);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	zpool_unmap_handle(pool, handle);
	at[5] ^= 1;
	zpool_free(pool, handle);
	close_guard(0);
}
END_TEST

START_TEST(wider_zones_detect_more_distant_overruns)
{
	unsigned long handle;
	char *at;

	open_guard("guard:redzone=200", _i);
	handle = stack_store(pool, 1000);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	at[1000 + 199] = 0;
	at[-200] = 0;
	zpool_unmap_handle(pool, handle);
	expect_errors(2, "was written 200 to 200 bytes past its end");
	assert_contains(stack_log, "up to 200 bytes before");
	zpool_free(pool, handle);
	close_guard(2);
}
END_TEST

static int evict_and_free(struct zpool *of, unsigned long handle)
{
	zpool_free(of, handle);
	return 0;
}

static const struct zpool_ops evicting = { .evict = evict_and_free };

/* This also works if an underrun has overwritten the handle that guard stores before the object. */
START_TEST(evictions_pass_handles_of_guard)
{
	unsigned int pages = 0;

	pool = stack_open("guard", stack_drivers[_i], &evicting);
	if (!zpool_evictable(pool)) {
		close_guard(0);
		return;
	}
	for (int i = 0; i < 300; i++) {
		unsigned long handle = stack_store(pool, 1000);

		if (i % 100 == 0) {
			char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RO);

			memset(at - 16, 0, 16);
			zpool_unmap_handle(pool, handle);
		}
	}
	ck_assert_int_eq(zpool_shrink(pool, UINT32_MAX, &pages), -EINVAL);
	ck_assert_uint_gt(pages, 0);
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
	expect_errors(3, "underrun: ");
	close_guard(3);
}
END_TEST

START_TEST(spec_may_have_several_filters)
{
	unsigned long handle;
	char *at;

	open_guard("guard+fault+guard", _i);
	handle = stack_store(pool, 500);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	at[500] = 0;
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	/* The inner guard reports nothing, because the overrun bytes are part of its own object. */
	expect_errors(1, "overrun: ");
	close_guard(1);
}
END_TEST

START_TEST(a_filter_alone_is_refused)
{
	assert_fails_null(zpool_create_pool("guard", ZPOOL_GFP_KERNEL, NULL), EINVAL,
			  "\"guard\" is a filter and needs a driver below it");
	assert_fails_null(zpool_create_pool("fault", ZPOOL_GFP_KERNEL, NULL), EINVAL,
			  "\"fault\" is a filter and needs a driver below it");
	assert_fails_null(zpool_create_pool("zbud+guard", ZPOOL_GFP_KERNEL, NULL), EINVAL, "zbud");
	assert_fails_null(zpool_create_pool("guard:redzone=8+zbud", ZPOOL_GFP_KERNEL, NULL), EINVAL, "redzone");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Callbacks that do not return
 */

enum { LOST_OBJECTS = 200 };

static jmp_buf way_out;
static unsigned int jumps;

static int evict_and_jump(struct zpool *of, unsigned long handle)
{
	(void)of, (void)handle;
	jumps++;
	longjmp(way_out, 1);
}

static int evict_and_exit(struct zpool *of, unsigned long handle)
{
	(void)of, (void)handle;
	pthread_exit(NULL);
}

/* This callback calls other functions and returns. */
static int evict_with_calls(struct zpool *of, unsigned long handle)
{
	unsigned long other = stack_store(of, 500);

	zpool_free(of, other);
	return evict_and_free(of, handle);
}

/* Returns false if the driver does not evict. */
static bool open_full(int driver, const struct zpool_ops *ops)
{
	pool = stack_open("guard", stack_drivers[driver], ops);
	if (!zpool_evictable(pool)) {
		zpool_destroy_pool(pool);
		return false;
	}
	for (int i = 0; i < LOST_OBJECTS; i++)
		(void)stack_store(pool, 700);
	return true;
}

static void jump_out_of_shrink(void)
{
	if (setjmp(way_out) == 0)
		(void)zpool_shrink(pool, 1, NULL);
}

START_TEST(callback_that_jumps_out_is_reported_by_the_next_call)
{
	static const struct zpool_ops ops = { .evict = evict_and_jump };

	if (!open_full(_i, &ops))
		return;
	jumps = 0;
	jump_out_of_shrink();
	ck_assert_uint_eq(stack_errors, 0);
	(void)stack_store(pool, 700);
	expect_errors(1, "lost eviction");
	(void)stack_store(pool, 700);
	expect_errors(1, "lost eviction");
	/* The driver may have nothing left to evict except the objects whose eviction was lost. */
	for (int i = 0; i < 3; i++)
		jump_out_of_shrink();
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(stack_logged("a later call of the same thread") + stack_logged("zpool_destroy_pool()"),
			  jumps);
	ck_assert_uint_eq(stack_logged("lost eviction"), jumps);
}
END_TEST

static void *shrink_once(void *unused)
{
	(void)zpool_shrink(pool, 1, NULL);
	return unused;
}

START_TEST(callback_that_ends_its_thread_is_reported_when_the_thread_ends)
{
	static const struct zpool_ops ops = { .evict = evict_and_exit };
	pthread_t thread;

	if (!open_full(_i, &ops))
		return;
	ck_assert_int_eq(pthread_create(&thread, NULL, shrink_once, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)stack_store(pool, 700);
	ck_assert_uint_eq(stack_errors, 0);
	zpool_destroy_pool(pool);
	ck_assert_uint_eq(stack_logged("lost eviction"), 1);
}
END_TEST

START_TEST(callbacks_that_return_are_not_reported)
{
	static const struct zpool_ops ops = { .evict = evict_with_calls };
	pthread_t thread;

	if (!open_full(_i, &ops))
		return;
	for (int i = 0; i < 10; i++)
		(void)zpool_shrink(pool, 2, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, shrink_once, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	zpool_destroy_pool(pool);
	ck_assert_msg(stack_errors == 0, "%s", stack_log);
}
END_TEST

int main(void)
{
	const TTest *const on_each[] = {
		correct_use_is_silent,
		a_double_free_is_found,
		a_stale_handle_is_found,
		a_foreign_handle_is_found,
		an_overrun_by_one_byte_is_found,
		an_underrun_is_found,
		an_overrun_through_a_mapping_for_reading_is_found_at_free,
		a_use_after_unmap_is_found_at_the_next_check,
		every_damaged_object_is_found_when_the_pool_is_destroyed,
		damage_to_any_byte_of_an_object_is_detected,
		unbalanced_maps_are_found,
		a_leak_report_names_the_caller,
		leaks_of_more_places_than_are_named_are_counted,
		leaks_are_not_reported_if_disabled,
		without_checksums_a_use_after_unmap_goes_unseen,
		wider_zones_detect_more_distant_overruns,
		evictions_pass_handles_of_guard,
		spec_may_have_several_filters,
		callback_that_jumps_out_is_reported_by_the_next_call,
		callback_that_ends_its_thread_is_reported_when_the_thread_ends,
		callbacks_that_return_are_not_reported,
	};
	const TTest *const once[] = {
		freed_objects_are_poisoned,
		a_filter_alone_is_refused,
	};
	Suite *suite = suite_create("guard");
	TCase *tcase = tcase_create("guard");

	/* If drivers verified themselves after each call, guard would detect errors earlier than these tests expect. */
	if (setenv("ZPOOL_VERIFY", "0", 1))
		return 99;
	for (size_t i = 0; i < sizeof(on_each) / sizeof(on_each[0]); i++)
		tcase_add_loop_test(tcase, on_each[i], 0, STACK_DRIVERS);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		tcase_add_test(tcase, once[i]);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
