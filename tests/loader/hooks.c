/* SPDX-License-Identifier: MIT
 *
 * The core calls drivers when threads end, and passes on their error messages and log messages.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "mocks/mock_driver.h"

/* ------------------------------------------------------------------------------------------------------------------
 * A thread that stores an object and ends when the test posts its semaphore
 */

struct worker {
	pthread_t thread;
	struct zpool *pool;
	sem_t stored, end;
	int err;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	unsigned long handle;
	worker->err = zpool_malloc(worker->pool, 10, 0, &handle);
	sem_post(&worker->stored);
	while (sem_wait(&worker->end) != 0)
		;
	return NULL;
}

static void worker_start(struct worker *worker, struct zpool *pool)
{
	worker->pool = pool;
	ck_assert_int_eq(sem_init(&worker->stored, 0, 0), 0);
	ck_assert_int_eq(sem_init(&worker->end, 0, 0), 0);
	ck_assert_int_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
	while (sem_wait(&worker->stored) != 0)
		;
	ck_assert_int_eq(worker->err, 0);
}

static void worker_end(struct worker *worker)
{
	sem_post(&worker->end);
	ck_assert_int_eq(pthread_join(worker->thread, NULL), 0);
}

static struct zpool *open_exit_hook(void)
{
	/* Overwriting a mapped file would crash the process. */
	if (!fixture_is_mapped("/exit_hook.so"))
		fixture_install("exit_hook");
	struct zpool *pool = zpool_create_pool("exit_hook", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	return pool;
}

static unsigned int exits(void)
{
	return fixture_events("exit_hook", "thread exit");
}

/* ------------------------------------------------------------------------------------------------------------------
 * The end of threads
 */

START_TEST(a_hook_runs_when_its_thread_ends)
{
	struct worker first, second;
	struct zpool *pool = open_exit_hook();
	worker_start(&first, pool);
	worker_start(&second, pool);
	ck_assert_uint_eq(exits(), 0);
	worker_end(&first);
	ck_assert_uint_eq(exits(), 1);
	worker_end(&second);
	ck_assert_uint_eq(exits(), 2);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(destroy_cancels_the_hooks_of_running_threads)
{
	struct worker worker;
	struct zpool *first = open_exit_hook(), *second = open_exit_hook();
	unsigned long handle;
	worker_start(&worker, first);
	ck_assert_int_eq(zpool_malloc(first, 10, 0, &handle), 0);
	ck_assert_int_eq(zpool_malloc(second, 10, 0, &handle), 0);
	zpool_destroy_pool(first);
	worker_end(&worker);
	ck_assert_uint_eq(exits(), 0);
	zpool_destroy_pool(second);
}
END_TEST

START_TEST(a_thread_may_outlive_the_drivers_code)
{
	struct worker worker;
	struct zpool *pool = open_exit_hook();
	worker_start(&worker, pool);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unload_driver("exit_hook"), 0);
	ck_assert(!fixture_is_mapped("/exit_hook.so"));
	worker_end(&worker);
	ck_assert_uint_eq(exits(), 0);
}
END_TEST

static sem_t hook_entered, hook_may_end;
static _Atomic bool in_hook, destroyed_in_hook;

static void hold_hook(const char *type, const char *what)
{
	(void)type;
	if (strcmp(what, "destroy") == 0)
		destroyed_in_hook = in_hook;
	if (strcmp(what, "thread exit") != 0)
		return;
	in_hook = true;
	sem_post(&hook_entered);
	while (sem_wait(&hook_may_end) != 0)
		;
	in_hook = false;
}

static void *destroy(void *pool)
{
	zpool_destroy_pool(pool);
	return NULL;
}

START_TEST(destroy_waits_for_a_hook_that_runs)
{
	struct worker worker;
	pthread_t destroyer;
	struct zpool *pool = open_exit_hook();
	ck_assert_int_eq(sem_init(&hook_entered, 0, 0), 0);
	ck_assert_int_eq(sem_init(&hook_may_end, 0, 0), 0);
	destroyed_in_hook = false;
	fixture_on_event(hold_hook);

	worker_start(&worker, pool);
	sem_post(&worker.end);
	while (sem_wait(&hook_entered) != 0)
		;
	ck_assert_int_eq(pthread_create(&destroyer, NULL, destroy, pool), 0);
	/* A wrong implementation fails within this time; a correct one passes regardless of it. */
	usleep(20000);
	sem_post(&hook_may_end);
	ck_assert_int_eq(pthread_join(destroyer, NULL), 0);
	ck_assert_int_eq(pthread_join(worker.thread, NULL), 0);
	ck_assert_uint_eq(fixture_events("exit_hook", "destroy"), 1);
	ck_assert(!destroyed_in_hook);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Error messages and log messages of drivers
 */

static struct zpool *open_chatty(void)
{
	static const struct zpool_open_args args = { .node = -1, .name = "talk" };
	fixture_install("chatty");
	struct zpool *pool = zpool_open("chatty", &args, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	return pool;
}

START_TEST(message_of_a_driver_is_the_last_error)
{
	unsigned long handle;
	struct zpool *pool = open_chatty();
	expect_error(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "The chatty mock has no room for 1 byte.");
	expect_error(zpool_malloc(pool, 2, 0, &handle), ENOMEM, "The pool has no memory for the object");
	expect_error(zpool_malloc(pool, 1, 0, &handle), ENOMEM, "The chatty mock");
	zpool_free(pool, 0);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "handle 0"));
	zpool_destroy_pool(pool);
}
END_TEST

static int set_limit_fails(void *pool, uint64_t limit_bytes)
{
	(void)pool;
	return limit_bytes ? -EIO : 0;
}

static int malloc_with_words(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = context;
	pool->host->error(pool->core, "No words are called for.");
	return mock_malloc(context, size, gfp, handle);
}

static const struct zpool_driver wordy_driver = {
	MOCK_HEAD("wordy"),
	.create = mock_create,
	.destroy = mock_destroy,
	.malloc = malloc_with_words,
	.free = mock_free,
	.total_size = mock_total_size,
	.map = mock_map,
	.unmap = mock_unmap,
	.set_limit = set_limit_fails,
};

START_TEST(message_set_by_a_successful_call_is_not_used_later)
{
	unsigned long handle;
	ck_assert_int_eq(zpool_register_driver(&wordy_driver), 0);
	struct zpool *pool = zpool_create_pool("wordy", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
	expect_error(zpool_set_limit(pool, 1), EIO, "zpool_set_limit()", "\"wordy\" failed");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&wordy_driver), 0);
}
END_TEST

START_TEST(log_messages_of_a_driver_have_its_name)
{
	unsigned long handle;
	struct zpool *pool = open_chatty();
	fixture_capture_log(ZPOOL_LOG_DEBUG);
	ck_assert_int_eq(zpool_malloc(pool, 4, 0, &handle), 0);
	ck_assert_uint_eq(fixture_logged("chatty (talk): an error of 1\n"), 1);
	ck_assert_uint_eq(fixture_logged("chatty (talk): a warning\n"), 1);
	ck_assert_uint_eq(fixture_logged("chatty (talk): some info\n"), 1);
	ck_assert_uint_eq(fixture_logged("chatty (talk): some detail\n"), 1);
	ck_assert_uint_eq(fixture_logged("chatty (talk): an unknown level\n"), 1);

	fixture_capture_log(ZPOOL_LOG_WARNING);
	ck_assert_int_eq(zpool_malloc(pool, 4, 0, &handle), 0);
	ck_assert_uint_eq(fixture_logged("chatty (talk): "), 3);
	ck_assert_uint_eq(fixture_logged("some info"), 0);
	zpool_destroy_pool(pool);
}
END_TEST

static void fail_in_handler(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	zpool_free(NULL, 1);
	errno = EDOM;
}

START_TEST(failing_call_in_a_log_handler_does_not_change_the_last_error)
{
	unsigned long handle;
	struct zpool *pool = open_chatty();
	ck_assert_int_eq(zpool_set_log_handler(fail_in_handler, ZPOOL_LOG_DEBUG, NULL), 0);
	expect_error(zpool_malloc(pool, 5, 0, &handle), ENOMEM, "The chatty mock gave up before it logged.");
	zpool_free(pool, 60);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "0x3c is not live"));
	expect_refused("nosuch", ENOENT, "nosuch.so");
	zpool_destroy_pool(pool);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("hooks");
	tcase_add_test(tests, a_hook_runs_when_its_thread_ends);
	tcase_add_test(tests, destroy_cancels_the_hooks_of_running_threads);
	tcase_add_test(tests, a_thread_may_outlive_the_drivers_code);
	tcase_add_test(tests, destroy_waits_for_a_hook_that_runs);
	tcase_add_test(tests, message_of_a_driver_is_the_last_error);
	tcase_add_test(tests, message_set_by_a_successful_call_is_not_used_later);
	tcase_add_test(tests, log_messages_of_a_driver_have_its_name);
	tcase_add_test(tests, failing_call_in_a_log_handler_does_not_change_the_last_error);
	return fixture_run("hooks", tests);
}
