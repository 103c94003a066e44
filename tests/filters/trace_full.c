/* SPDX-License-Identifier: MIT
 *
 * What the filter trace does when its block of records is full, its table of objects cannot grow, or its FIFO is full.
 * The filter is linked in, so that its allocations can be made to fail.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tools/trace-file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

extern const struct zpool_driver trace_LTX_zpool_driver;

static char path[] = "/tmp/zpool-trace-full.XXXXXX";
static struct zpool *pool;

static void setup(void)
{
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(zpool_register_driver(&trace_LTX_zpool_driver), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(zpool_unregister_driver(&trace_LTX_zpool_driver), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}

static void open_traced(const char *driver)
{
	char filter[160];

	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes,buffer=4K", path);
	pool = stack_open(filter, driver, NULL);
}

static void close_and_expect(uint64_t calls, uint64_t objects, uint64_t lost)
{
	char text[TRACE_TEXT] = "";
	struct trace_file file;

	zpool_destroy_pool(pool);
	ck_assert_msg(trace_file_read(&file, path, text) == 0, "%s", text);
	ck_assert(!file.cut_off);
	ck_assert_uint_eq(file.totals.calls, calls);
	ck_assert_uint_eq(file.totals.objects, objects);
	ck_assert_uint_eq(file.totals.lost, lost);
	trace_file_free(&file);
}

/* Such calls do not write to the file, and fail when their block is full. */
START_TEST(call_that_may_wait_writes_the_block_that_others_filled)
{
	enum { OBJECTS_MAX = 2000 };
	struct zpool_driver driver = driver_for_tests("plain");
	unsigned long handles[OBJECTS_MAX];
	int objects = 0;

	driver_knobs_reset();
	driver.flags_ignorable |= ZPOOL_DRIVER_NOWAIT;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	open_traced("plain");
	while (zpool_malloc(pool, 40, ZPOOL_GFP_NOWAIT, &handles[objects]) == 0)
		ck_assert_int_lt(++objects, OBJECTS_MAX);
	ck_assert_uint_eq(stack_stats(pool).malloc_failed_again, 1);
	ck_assert_int_eq(zpool_malloc(pool, 40, ZPOOL_GFP_KERNEL, &handles[objects++]), 0);
	ck_assert_int_eq(zpool_malloc(pool, 40, ZPOOL_GFP_NOWAIT, &handles[objects++]), 0);
	close_and_expect((uint64_t)objects, (uint64_t)objects, 0);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}
END_TEST

START_TEST(objects_that_the_table_does_not_hold_are_counted_as_missing)
{
	enum { OBJECTS = 1000, RECORDED = 1023 / 8 * 7 };
	unsigned long handles[OBJECTS];
	bool failed = false;

	/* No other allocation of these calls is one of this program: libc is a plugin. */
	open_traced("libc");
	for (int i = 0; i < OBJECTS; i++) {
		memory_fail_at(1);
		int err = zpool_malloc(pool, 40, ZPOOL_GFP_KERNEL, &handles[i]);
		failed = memory_stop();
		ck_assert_int_eq(err, 0);
	}
	ck_assert(failed);
	for (int i = 0; i < OBJECTS; i++)
		zpool_free(pool, handles[i]);
	/* The frees of the other objects are recorded as calls for an unknown object. */
	close_and_expect(RECORDED + OBJECTS, RECORDED, OBJECTS - RECORDED);
	ck_assert_uint_eq(stack_logged(" missing from the trace"), 1);
}
END_TEST

static atomic_uint alarms;

static void count_alarm(int number)
{
	(void)number;
	atomic_fetch_add(&alarms, 1);
}

/* Reads nothing until the writer was interrupted several times. */
static void *read_late(void *reader)
{
	enum { INTERRUPTIONS = 10 };
	static char bytes[1 << 16];
	const int fd = *(const int *)reader;

	while (atomic_load(&alarms) < INTERRUPTIONS)
		usleep(1000);
	(void)fcntl(fd, F_SETFL, 0);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		continue;
	return NULL;
}

START_TEST(signals_do_not_end_the_wait_for_a_reader)
{
	enum { TRACED_CALLS = 100000 }; /* several times what a FIFO holds */
	const struct sigaction action = { .sa_handler = count_alarm };
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { { 0, 0 }, { 0, 0 } };
	unsigned long handle;
	pthread_t thread;
	sigset_t alarm_only;
	int reader;

	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	open_traced("libc");
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(sigemptyset(&alarm_only), 0);
	ck_assert_int_eq(sigaddset(&alarm_only, SIGALRM), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &alarm_only, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_late, &reader), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (int i = 0; i < TRACED_CALLS; i += 2) {
		ck_assert_int_eq(zpool_malloc(pool, 40, ZPOOL_GFP_KERNEL, &handle), 0);
		zpool_free(pool, handle);
	}
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(close(reader), 0);
	ck_assert_msg(stack_errors == 0, "logged: %s", stack_log);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace that is full");
	TCase *tcase = tcase_create("full");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, call_that_may_wait_writes_the_block_that_others_filled);
	tcase_add_test(tcase, objects_that_the_table_does_not_hold_are_counted_as_missing);
	tcase_add_test(tcase, signals_do_not_end_the_wait_for_a_reader);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
