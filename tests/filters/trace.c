/* SPDX-License-Identifier: MIT
 *
 * A trace that cannot be written harms neither the process nor the pool, and a pool that cannot be created leaves no
 * file.
 */
#include "config.h"

#include "tests/filters/stack.h"
#include "tests/unit/driver-for-tests.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY_CALLS = 6000 }; /* several buffers of 4 KiB */

static char directory[] = "/tmp/zpool-trace-test.XXXXXX";
static char path[64], other_path[64];

static void setup(void)
{
	memcpy(directory + sizeof(directory) - 7, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/run", directory);
	(void)snprintf(other_path, sizeof(other_path), "%s/other", directory);
}

static void teardown(void)
{
	(void)unlink(path);
	(void)unlink(other_path);
	ck_assert_msg(rmdir(directory) == 0, "a file was left in %s", directory);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}

static struct zpool *open_traced(const char *file, const char *keys)
{
	char filter[160];

	(void)snprintf(filter, sizeof(filter), "trace:file=%s,buffer=4096%s", file, keys);
	return stack_open(filter, "zbud", NULL);
}

/* Check writes to a file of its own, which must not be limited, so no assertion may run while the limit is set. */
static struct rlimit limit_files(rlim_t bytes)
{
	struct rlimit before, limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = bytes;
	if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
		before = limit;
	return before;
}

static void lift_limit(const struct rlimit *before)
{
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, before), 0);
}

static void refuse_under(rlim_t limit_bytes, const char *filter, int err, const char *why)
{
	struct rlimit before;
	struct zpool *pool;
	char spec[256];
	int error;

	(void)snprintf(spec, sizeof(spec), "%s+zbud", filter);
	before = limit_files(limit_bytes);
	errno = 0;
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	error = errno;
	lift_limit(&before);
	ck_assert_msg(pool == NULL, "%s was opened", spec);
	ck_assert_msg(error == err, "%s: errno %d, expected %d", spec, error, err);
	ck_assert_msg(strstr(zpool_last_error(), why) != NULL, "%s: %s", spec, zpool_last_error());
}

static void refuse(const char *filter, int err, const char *why)
{
	struct rlimit now;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &now), 0);
	refuse_under(now.rlim_cur, filter, err, why);
}

/* Returns the number of calls that failed. */
static int make_calls(struct zpool *pool, int calls)
{
	unsigned long handle = 0;
	int failed = 0;

	for (int i = 0; i < calls; i += 2) {
		if (zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle) == 0)
			zpool_free(pool, handle);
		else
			failed++;
	}
	return failed;
}

/* Makes calls under a limit on the size of files, and destroys the pool. */
static void call_under(rlim_t limit_bytes, struct zpool *pool, int calls)
{
	struct rlimit before = limit_files(limit_bytes);
	int failed = make_calls(pool, calls);

	zpool_destroy_pool(pool);
	lift_limit(&before);
	ck_assert_int_eq(failed, 0);
}

static void expect_contents(const char *file, const char *contents)
{
	char text[64] = "";
	FILE *stream = fopen(file, "re");

	ck_assert_ptr_nonnull(stream);
	ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, stream), strlen(contents));
	(void)fclose(stream);
	ck_assert_str_eq(text, contents);
}

static void write_contents(const char *file, const char *contents)
{
	FILE *stream = fopen(file, "we");

	ck_assert_ptr_nonnull(stream);
	(void)fputs(contents, stream);
	ck_assert_int_eq(fclose(stream), 0);
}

static void expect_end_of_trace(const char *why)
{
	char text[160];

	(void)snprintf(text, sizeof(text), "The trace ends here because %s cannot be written: %s", path, why);
	ck_assert_msg(stack_logged(text) == 1, "logged: %s", stack_log);
	ck_assert_msg(stack_logged(" missing from the trace") == 1, "logged: %s", stack_log);
}

START_TEST(file_size_limit_ends_only_the_recording)
{
	call_under(10000, open_traced(path, ""), MANY_CALLS);
	expect_end_of_trace("File too large");
}
END_TEST

START_TEST(file_size_limit_at_close_is_reported)
{
	call_under(50, open_traced(path, ""), 20);
	ck_assert_msg(stack_logged("The end of the trace") == 1, "logged: %s", stack_log);
}
END_TEST

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
	caught = number;
}

/* The filter's failed write must neither call the program's signal handler nor consume its pending signal. */
START_TEST(signals_of_the_program_are_unchanged)
{
	const int numbers[] = { SIGXFSZ, SIGPIPE };
	struct sigaction action = { .sa_handler = catch_signal };
	sigset_t set, mask, now;

	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(sigaction(numbers[i], &action, NULL), 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	call_under(10000, open_traced(path, ""), MANY_CALLS);
	ck_assert_int_eq(caught, 0);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(sigismember(&now, numbers[i]), sigismember(&mask, numbers[i]));

	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, &mask), 0);
	ck_assert_int_eq(pthread_kill(pthread_self(), SIGXFSZ), 0);
	call_under(10000, open_traced(path, ",overwrite=yes"), MANY_CALLS);
	ck_assert_int_eq(sigpending(&now), 0);
	ck_assert_int_eq(sigismember(&now, SIGXFSZ), 1);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &mask, NULL), 0);
	ck_assert_int_eq(caught, SIGXFSZ);
}
END_TEST

START_TEST(reader_that_closes_the_fifo_ends_only_the_recording)
{
	struct zpool *pool;
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(reader, 0);
	pool = open_traced(path, "");
	close(reader);
	(void)make_calls(pool, MANY_CALLS);
	zpool_destroy_pool(pool);
	expect_end_of_trace("the process that was reading it has closed it");
}
END_TEST

static void *read_all(void *user)
{
	static char bytes[1 << 16];
	size_t *count = user;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	while (fd >= 0 && (got = read(fd, bytes, sizeof(bytes))) > 0)
		*count += (size_t)got;
	close(fd);
	return NULL;
}

/*
 * The trace may be written to a FIFO, for example for a program that compresses it; the FIFO is not overwritten by a
 * file.
 */
START_TEST(fifo_gets_the_whole_trace)
{
	size_t count = 0;
	pthread_t thread;
	struct zpool *pool;
	int reader;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	pool = open_traced(path, "");
	ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &count), 0);
	(void)make_calls(pool, 4 * MANY_CALLS);
	zpool_destroy_pool(pool);
	close(reader);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_gt(count, 4 * MANY_CALLS);
	ck_assert_msg(stack_errors == 0, "logged: %s", stack_log);
}
END_TEST

START_TEST(program_without_standard_input_can_record)
{
	struct stat status;
	struct zpool *pool;

	ck_assert_int_eq(close(STDIN_FILENO), 0);
	pool = open_traced(path, "");
	(void)make_calls(pool, 4 * MANY_CALLS);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_gt(status.st_size, 4 * MANY_CALLS);
}
END_TEST

START_TEST(files_that_cannot_be_a_trace_are_refused_at_once)
{
	struct zpool *pool;
	char filter[160];

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes", path);
	refuse(filter, ENXIO, "a FIFO that no process reads");
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes", directory);
	refuse(filter, EISDIR, "Is a directory");
	if (access("/dev/full", W_OK) == 0) {
		refuse("trace:file=/dev/full", ENOSPC, "No space left");
		ck_assert_int_eq(access("/dev/full", F_OK), 0);
	}
	pool = open_traced("/dev/null", "");
	(void)make_calls(pool, MANY_CALLS);
	zpool_destroy_pool(pool);
	ck_assert_msg(stack_errors == 0, "logged: %s", stack_log);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Pools that cannot be created
 */

START_TEST(failed_create_leaves_no_file)
{
	char filter[256];

	(void)snprintf(filter, sizeof(filter), "trace:file=%s", path);
	refuse_under(10, filter, EFBIG, "File too large");
	ck_assert_int_ne(access(path, F_OK), 0);
	/* The driver works, but the empty pool already exceeds the limit. */
	(void)snprintf(filter, sizeof(filter), "guard+trace:file=%s,limit=1", path);
	refuse(filter, ENOMEM, "limit");
	ck_assert_int_ne(access(path, F_OK), 0);
	/* The inner trace has created its file when the outer one fails. */
	write_contents(other_path, "precious");
	(void)snprintf(filter, sizeof(filter), "trace:file=%s+trace:file=%s", other_path, path);
	refuse(filter, EEXIST, "already exists");
	ck_assert_int_ne(access(path, F_OK), 0);
	expect_contents(other_path, "precious");
	/* The failures must not affect a later pool. */
	zpool_destroy_pool(open_traced(path, ""));
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(failed_create_keeps_an_existing_file)
{
	char filter[160];

	write_contents(path, "precious");
	(void)snprintf(filter, sizeof(filter), "trace:file=%s", path);
	refuse(filter, EEXIST, "already exists");
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes", path);
	refuse_under(0, filter, EFBIG, "File too large");
	expect_contents(path, "precious");
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes,limit=1", path);
	refuse(filter, ENOMEM, "limit");
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

static uint64_t bytes_of(const char *file)
{
	struct stat status;

	ck_assert_int_eq(stat(file, &status), 0);
	return (uint64_t)status.st_size;
}

/* A second pool would truncate the file, and the first one would leave a hole at its beginning. */
START_TEST(file_that_a_live_pool_writes_is_refused)
{
	struct zpool *pool, *alone;
	char filter[160];
	uint64_t bytes;

	pool = open_traced(path, ",overwrite=yes");
	(void)snprintf(filter, sizeof(filter), "trace:overwrite=yes,file=%s", path);
	ck_assert_int_eq(make_calls(pool, CALLS), 0);
	bytes = bytes_of(path);
	refuse(filter, EBUSY, "another pool");
	ck_assert_uint_eq(bytes_of(path), bytes);
	/* The same under another name. */
	ck_assert_int_eq(link(path, other_path), 0);
	(void)snprintf(filter, sizeof(filter), "trace:overwrite=yes,file=%s", other_path);
	refuse(filter, EBUSY, "another pool");
	ck_assert_int_eq(make_calls(pool, CALLS), 0);
	zpool_destroy_pool(pool);
	ck_assert_uint_gt(bytes_of(path), bytes);
	/* Afterwards the file may be overwritten.  Several pools may write to what is not a regular file. */
	zpool_destroy_pool(open_traced(path, ",overwrite=yes"));
	pool = open_traced("/dev/null", "");
	alone = open_traced("/dev/null", "");
	zpool_destroy_pool(alone);
	zpool_destroy_pool(pool);
}
END_TEST

static struct zpool *inherited;

static int destroy_inherited(void)
{
	zpool_destroy_pool(inherited);
	return 0;
}

/* A child shares the open file, and the lock on it, until it has closed it. */
START_TEST(file_belongs_to_the_parent_whatever_a_child_does)
{
	char filter[160], byte;
	int status, ends[2];

	if (!unit_may_fork())
		return;
	ck_assert_int_eq(pipe(ends), 0);
	inherited = open_traced(path, "");
	ck_assert_int_eq(unit_in_child(destroy_inherited), 0);
	(void)snprintf(filter, sizeof(filter), "trace:overwrite=yes,file=%s", path);
	refuse(filter, EBUSY, "another pool");
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
	}
	(void)close(ends[0]);
	zpool_destroy_pool(inherited);
	zpool_destroy_pool(open_traced(path, ",overwrite=yes"));
	(void)close(ends[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(symbolic_link_to_nothing_makes_its_target)
{
	char filter[160];

	ck_assert_int_eq(symlink(other_path, path), 0);
	(void)snprintf(filter, sizeof(filter), "trace:file=%s,overwrite=yes,limit=1", path);
	refuse(filter, ENOMEM, "limit");
	ck_assert_int_ne(access(other_path, F_OK), 0);
	zpool_destroy_pool(open_traced(path, ",overwrite=yes"));
	ck_assert_int_eq(access(other_path, F_OK), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Locks
 */

static struct zpool *logged_pool;

static void use_the_pool(enum zpool_log_level level, const char *message, void *user)
{
	unsigned long handle = 0;

	(void)user;
	if (level != ZPOOL_LOG_ERROR || !strstr(message, "The trace ends here"))
		return;
	if (zpool_malloc(logged_pool, 100, ZPOOL_GFP_KERNEL, &handle) == 0)
		zpool_free(logged_pool, handle);
	caught++;
}

START_TEST(log_handler_may_use_the_pool)
{
	caught = 0;
	logged_pool = open_traced(path, "");
	ck_assert_int_eq(zpool_set_log_handler(use_the_pool, ZPOOL_LOG_ERROR, NULL), 0);
	call_under(10000, logged_pool, MANY_CALLS);
	ck_assert_int_eq(caught, 1);
}
END_TEST

static void *write_while_cancelled(void *user)
{
	(void)pthread_cancel(pthread_self());
	(void)make_calls(user, MANY_CALLS);
	caught = 1;
	pthread_testcancel();
	return NULL;
}

START_TEST(thread_is_not_cancelled_while_it_writes)
{
	struct zpool *pool = open_traced(path, "");
	pthread_t thread;
	void *result;

	caught = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, write_while_cancelled, pool), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, PTHREAD_CANCELED);
	ck_assert_int_eq(caught, 1);
	(void)make_calls(pool, 10);
	zpool_destroy_pool(pool);
}
END_TEST

static struct zpool_driver keeper;
static uint64_t held_bytes;
static uint64_t (*size_in_use)(void *driver_pool);

/* Like a driver that keeps the memory of freed objects for later ones. */
static uint64_t size_with_free_slots(void *driver_pool)
{
	uint64_t bytes = size_in_use(driver_pool);

	if (bytes > held_bytes)
		held_bytes = bytes;
	return held_bytes;
}

START_TEST(freed_space_is_used_again_below_a_lowered_limit)
{
	unsigned long handle;
	struct zpool *pool;

	driver_knobs_reset();
	knobs.leaves_limit_to_core = true;
	keeper = driver_for_tests("keeper");
	size_in_use = keeper.total_size;
	keeper.total_size = size_with_free_slots;
	keeper.set_limit = NULL;
	keeper.trim = NULL;
	held_bytes = 0;
	ck_assert_int_eq(zpool_register_driver(&keeper), 0);
	pool = stack_open("trace:file=/dev/null", "keeper", NULL);
	handle = stack_store(pool, 48);
	ck_assert_int_eq(zpool_set_limit(pool, zpool_get_total_size(pool) - 16), 0);
	zpool_free(pool, handle);
	(void)stack_store(pool, 48);
	ck_assert_int_eq(zpool_malloc(pool, 48, ZPOOL_GFP_KERNEL, &handle), -ENOMEM);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&keeper), 0);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * An object that the driver evicts before its malloc has returned, as a thread that shrinks the pool meanwhile does
 */

static struct zpool_driver evicting_driver;
static int (*evict_below)(void *context, unsigned long handle);
static void *evict_context;
static int early_result;
static unsigned int asked;

static int create_and_note(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_driver driver = driver_for_tests("evicting");

	evict_below = args->evict;
	evict_context = args->evict_context;
	return driver.create(args, out);
}

static int malloc_and_evict(void *driver_pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zpool_driver driver = driver_for_tests("evicting");
	int err = driver.malloc(driver_pool, size, gfp, handle);

	if (!err)
		early_result = evict_below(evict_context, *handle);
	return err;
}

static int count_and_keep(struct zpool *of, unsigned long handle)
{
	(void)of, (void)handle;
	asked++;
	return -EAGAIN;
}

START_TEST(object_is_not_evicted_before_it_is_recorded)
{
	static const struct zpool_ops ops = { .evict = count_and_keep };
	char filter[160];
	unsigned long handle;

	driver_knobs_reset();
	evicting_driver = driver_for_tests("evicting");
	evicting_driver.create = create_and_note;
	evicting_driver.malloc = malloc_and_evict;
	ck_assert_int_eq(zpool_register_driver(&evicting_driver), 0);
	(void)snprintf(filter, sizeof(filter), "trace:file=%s", path);
	struct zpool *pool = stack_open(filter, "evicting", &ops);
	ck_assert_int_eq(zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_int_eq(early_result, -EBUSY);
	ck_assert_uint_eq(asked, 0);
	ck_assert_int_eq(evict_below(evict_context, handle), -EAGAIN);
	ck_assert_uint_eq(asked, 1);
	/* No malloc is under way, so the owner knows best what this handle is. */
	ck_assert_int_eq(evict_below(evict_context, handle ^ 1), -EAGAIN);
	ck_assert_uint_eq(asked, 2);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&evicting_driver), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tcase = tcase_create("files");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, file_size_limit_ends_only_the_recording);
	tcase_add_test(tcase, file_size_limit_at_close_is_reported);
	tcase_add_test(tcase, signals_of_the_program_are_unchanged);
	tcase_add_test(tcase, reader_that_closes_the_fifo_ends_only_the_recording);
	tcase_add_test(tcase, fifo_gets_the_whole_trace);
	tcase_add_test(tcase, program_without_standard_input_can_record);
	tcase_add_test(tcase, files_that_cannot_be_a_trace_are_refused_at_once);
	tcase_add_test(tcase, failed_create_leaves_no_file);
	tcase_add_test(tcase, failed_create_keeps_an_existing_file);
	tcase_add_test(tcase, file_that_a_live_pool_writes_is_refused);
	tcase_add_test(tcase, file_belongs_to_the_parent_whatever_a_child_does);
	tcase_add_test(tcase, symbolic_link_to_nothing_makes_its_target);
	tcase_add_test(tcase, log_handler_may_use_the_pool);
	tcase_add_test(tcase, thread_is_not_cancelled_while_it_writes);
	tcase_add_test(tcase, freed_space_is_used_again_below_a_lowered_limit);
	tcase_add_test(tcase, object_is_not_evicted_before_it_is_recorded);
	tcase_set_timeout(tcase, 30);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
