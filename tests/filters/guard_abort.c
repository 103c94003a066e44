/* SPDX-License-Identifier: MIT
 *
 * The filter guard with abort=yes: the first error of any kind is logged, and then ends the program.
 */
#include "config.h"

#include "tests/filters/stack.h"

#include <unistd.h>

static struct zpool *pool;

static void free_twice(unsigned long handle)
{
	zpool_free(pool, handle);
	zpool_free(pool, handle);
}

static void map_foreign(unsigned long handle)
{
	(void)zpool_map_handle(pool, handle ^ (~0UL << (4 * sizeof(handle))), ZPOOL_MM_RO);
}

static void unmap_unmapped(unsigned long handle)
{
	zpool_unmap_handle(pool, handle);
}

static void free_mapped(unsigned long handle)
{
	(void)zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	zpool_free(pool, handle);
}

static void leave_mapped(unsigned long handle)
{
	(void)zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	zpool_destroy_pool(pool);
}

static void overrun(unsigned long handle)
{
	char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);

	at[500] = 0;
	zpool_unmap_handle(pool, handle);
}

static const struct {
	void (*act)(unsigned long handle);
	const char *message;
} misuses[] = {
	{ free_twice, "double free of handle 0x" },
	{ map_foreign, "foreign handle: map of handle 0x" },
	{ unmap_unmapped, "which is not mapped." },
	{ free_mapped, "which is mapped; unmap it first." },
	{ leave_mapped, "map balance: 1 object is still mapped at the end of the pool." },
	{ overrun, "overrun: handle 0x" },
};
enum { MISUSES = sizeof(misuses) / sizeof(misuses[0]) };

/* In a child: the pipe to the parent, and what is done there. */
static int told_fd;
static size_t misuse;

static void tell_error(enum zpool_log_level level, const char *message, void *user)
{
	(void)user;
	if (level == ZPOOL_LOG_ERROR)
		(void)!write(told_fd, message, strlen(message));
}

static int commit_misuse(void)
{
	pool = stack_open("guard:abort=yes", stack_drivers[0], NULL);
	if (zpool_set_log_handler(tell_error, ZPOOL_LOG_ERROR, NULL))
		return 1;
	misuses[misuse].act(stack_store(pool, 500));
	return 0;
}

START_TEST(with_abort_the_first_error_is_logged_and_ends_the_program)
{
	char told[1024] = "";
	int ends[2];

	if (!unit_may_fork())
		return;
	ck_assert_int_eq(pipe(ends), 0);
	told_fd = ends[1];
	misuse = (size_t)_i;
	ck_assert_int_eq(unit_in_child(commit_misuse), -1);
	ck_assert_int_eq(close(ends[1]), 0);
	ck_assert_int_ge(read(ends[0], told, sizeof(told) - 1), 0);
	ck_assert_int_eq(close(ends[0]), 0);
	assert_contains(told, misuses[_i].message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard with abort");
	TCase *tcase = tcase_create("abort");

	/* If drivers verified themselves after each call, guard would detect errors earlier than this test expects. */
	if (setenv("ZPOOL_VERIFY", "0", 1))
		return 99;
	tcase_add_loop_test(tcase, with_abort_the_first_error_is_logged_and_ends_the_program, 0, MISUSES);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
