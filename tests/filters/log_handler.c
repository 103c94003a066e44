/* SPDX-License-Identifier: MIT
 *
 * A log handler that uses the pool whose driver logs, through the filters above that driver.
 */
#include "config.h"

#include "tests/filters/stack.h"

enum { OBJECTS = 4000, BYTES = 200, LEFT_SLOTS = 3, PAGE_BYTES = 4096 };

static struct zpool *pool;
static unsigned long handles[OBJECTS], kept;
static unsigned int calls, failures;

static void use_the_pool(enum zpool_log_level level, const char *message, void *user)
{
	unsigned long handle;

	(void)level, (void)user;
	if (!strstr(message, "overwritten back pointers"))
		return;
	calls++;
	if (zpool_map_handle(pool, kept, ZPOOL_MM_RO))
		zpool_unmap_handle(pool, kept);
	else
		failures++;
	if (zpool_malloc(pool, BYTES, ZPOOL_GFP_KERNEL, &handle) == 0)
		zpool_free(pool, handle);
	else
		failures++;
}

/*
 * Returns the slot of an object on its page, which is a zspage that begins with the back pointers of its slots.
 * Overwrites one of them if the object is in slot 0, as a write past the end of the page before would do.
 */
static unsigned int slot_of(unsigned long handle, bool damages)
{
	char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);

	ck_assert_ptr_nonnull(at);
	uintptr_t offset = (uintptr_t)at % PAGE_BYTES;
	uint32_t *back_pointers = (uint32_t *)(void *)(at - offset);
	if (damages && offset < BYTES)
		back_pointers[1] = back_pointers[2];
	zpool_unmap_handle(pool, handle);
	return (unsigned int)offset / BYTES;
}

static const char *const filters[] = { "fault", "trace:file=/dev/null", "trace:file=/dev/null+trace:file=/dev/null" };
enum { FILTERS = sizeof(filters) / sizeof(filters[0]) };

/* Frees compact the pool, and compaction finds the damage, while the filter trace holds its lock. */
START_TEST(log_handler_may_use_a_pool_with_damaged_objects)
{
	uint64_t released;

	calls = failures = 0;
	pool = stack_open(filters[_i], "zsmalloc:chain=1", NULL);
	ck_assert_int_eq(zpool_set_log_handler(use_the_pool, ZPOOL_LOG_ERROR, NULL), 0);
	for (unsigned int i = 0; i < OBJECTS; i++)
		handles[i] = stack_store(pool, BYTES);
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (slot_of(handles[i], true) == 0)
			kept = handles[i];
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (slot_of(handles[i], false) >= LEFT_SLOTS)
			zpool_free(pool, handles[i]);
	ck_assert_uint_gt(stack_stats(pool).compactions, 0);
	ck_assert_int_eq(zpool_trim(pool, &released), 0);
	ck_assert_uint_gt(calls, 0);
	ck_assert_uint_eq(failures, 0);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	zpool_destroy_pool(pool);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log handlers");
	TCase *tcase = tcase_create("damage");

	/* A driver with debug checks would end the process when it finds the damage. */
	(void)setenv("ZPOOL_VERIFY", "0", 1);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, log_handler_may_use_a_pool_with_damaged_objects, 0, FILTERS);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
