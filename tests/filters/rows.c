/* SPDX-License-Identifier: MIT
 *
 * Stacks of filters: guard, fault and trace in every order, on every shipped driver, each doing what it does alone; and
 * a recorded pool in a forked child.
 */
#include "config.h"

#include "tests/filters/stack.h"

#include <unistd.h>

static char trace_path[] = "/tmp/zpool-rows-test.XXXXXX";

static void setup(void)
{
	int fd;

	memcpy(trace_path + sizeof(trace_path) - 7, "XXXXXX", 6);
	fd = mkstemp(trace_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void)
{
	unlink(trace_path);
}

enum { GUARD, FAULT, TRACE, FILTERS };

static const unsigned char orders[][FILTERS] = {
	{ GUARD, FAULT, TRACE }, { GUARD, TRACE, FAULT }, { FAULT, GUARD, TRACE },
	{ FAULT, TRACE, GUARD }, { TRACE, GUARD, FAULT }, { TRACE, FAULT, GUARD },
};
enum { ORDERS = sizeof(orders) / sizeof(orders[0]) };

static struct zpool *open_row(const unsigned char *order, const char *driver, const struct zpool_ops *ops)
{
	char parts[FILTERS][64], row[200];

	(void)snprintf(parts[GUARD], sizeof(parts[GUARD]), "guard");
	(void)snprintf(parts[FAULT], sizeof(parts[FAULT]), "fault:malloc_nth=3");
	(void)snprintf(parts[TRACE], sizeof(parts[TRACE]), "trace:file=%s,overwrite=yes", trace_path);
	(void)snprintf(row, sizeof(row), "%s+%s+%s", parts[order[0]], parts[order[1]], parts[order[2]]);
	return stack_open(row, driver, ops);
}

/*
 * A trace is complete if its last block is the end block: 16 bytes of header, which begins with "END\n", and 32 bytes
 * of payload.
 */
static void expect_whole_trace(void)
{
	FILE *file = fopen(trace_path, "rbe");
	char tail[48] = "";

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fseek(file, -48, SEEK_END), 0);
	ck_assert_uint_eq(fread(tail, 1, sizeof(tail), file), sizeof(tail));
	(void)fclose(file);
	ck_assert_msg(memcmp(tail, "END\n", 4) == 0, "the trace does not end with its end block");
}

static unsigned long evicted[64];
static unsigned int evictions;

static int evict_and_free(struct zpool *of, unsigned long handle)
{
	ck_assert_uint_lt(evictions, 64);
	evicted[evictions++] = handle;
	zpool_free(of, handle);
	return 0;
}

static const struct zpool_ops evicting = { .evict = evict_and_free };

static void expect_evictions(struct zpool *pool, const unsigned long *handles, unsigned int count)
{
	evictions = 0;
	if (!zpool_evictable(pool))
		return;
	ck_assert_int_eq(zpool_shrink(pool, UINT32_MAX, NULL), -EINVAL);
	ck_assert_uint_eq(evictions, count);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int found = 0;

		for (unsigned int k = 0; k < count; k++)
			found += evicted[k] == handles[i];
		ck_assert_uint_eq(found, 1);
	}
	ck_assert_uint_eq(stack_stats(pool).objects, 0);
}

START_TEST(every_layer_of_a_stack_works_as_it_does_alone)
{
	const unsigned char *order = orders[_i / STACK_DRIVERS];
	struct zpool *pool = open_row(order, stack_drivers[_i % STACK_DRIVERS], &evicting);
	unsigned long handles[20], stale, handle = 77;
	char *at;

	handles[0] = stack_store(pool, 300);
	stale = stack_store(pool, 500);
	ck_assert_int_eq(zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle), -ENOMEM);
	ck_assert_uint_eq(handle, 77);
	for (int i = 1; i < 20; i++)
		handles[i] = stack_store(pool, 100 + 90 * (size_t)i);
	at = zpool_map_handle(pool, stale, ZPOOL_MM_RW);
	ck_assert_ptr_nonnull(at);
	at[500] ^= 1;
	zpool_unmap_handle(pool, stale);
	ck_assert_uint_eq(stack_logged("overrun: "), 1);
	zpool_free(pool, stale);
	zpool_free(pool, stale);
	ck_assert_ptr_null(zpool_map_handle(pool, stale, ZPOOL_MM_RO));
	ck_assert_uint_eq(stack_stats(pool).refused_handles, 2);
	/* fault has handles of its own, so it refuses this one before a guard below it sees the call. */
	if (order[0] == GUARD || (order[0] == TRACE && order[1] == GUARD))
		ck_assert_uint_eq(stack_logged("double free"), 1);
	ck_assert_uint_eq(stack_stats(pool).objects, 20);
	for (int i = 0; i < 20; i++) {
		at = zpool_map_handle(pool, handles[i], ZPOOL_MM_RO);
		ck_assert_ptr_nonnull(at);
		ck_assert_int_eq(at[0], 0x55);
		zpool_unmap_handle(pool, handles[i]);
	}
	expect_evictions(pool, handles, 20);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	expect_whole_trace();
}
END_TEST

static struct zpool *inherited;

static int use_and_end(void)
{
	unsigned long handle = 0;

	for (int i = 0; i < 100; i++)
		if (zpool_malloc(inherited, 100, ZPOOL_GFP_KERNEL, &handle) != 0)
			return 1;
	zpool_free(inherited, handle);
	zpool_destroy_pool(inherited);
	return stack_errors == 0 ? 0 : 2;
}

/* The child's calls are missing from its parent's trace, which is not an error. */
START_TEST(a_child_is_not_recorded_and_logs_nothing)
{
	char filter[64];

	if (!unit_may_fork())
		return;
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes", trace_path);
	inherited = stack_open(filter, stack_drivers[_i], NULL);
	(void)stack_store(inherited, 200);
	ck_assert_int_eq(unit_in_child(use_and_end), 0);
	(void)stack_store(inherited, 200);
	ck_assert_uint_eq(stack_stats(inherited).objects, 2);
	zpool_destroy_pool(inherited);
	ck_assert_msg(stack_errors == 0, "%s", stack_log);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	expect_whole_trace();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rows");
	TCase *tcase = tcase_create("rows");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, every_layer_of_a_stack_works_as_it_does_alone, 0, ORDERS * STACK_DRIVERS);
	tcase_add_loop_test(tcase, a_child_is_not_recorded_and_logs_nothing, 0, STACK_DRIVERS);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
