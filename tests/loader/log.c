/* SPDX-License-Identifier: MIT
 *
 * The log is silent by default.  Handlers may be replaced while other threads log, and may use the library.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------------
 * The default
 */

static struct fixture_result complain(const char *debug)
{
	const char *const argv[] = { "child", "complain", "good", NULL };
	const char *const environment[] = { fixture_text("ZPOOL_PLUGIN_PATH=%s", fixture_dir()),
					    fixture_text("ZPOOL_DEBUG=%s", debug), NULL };
	struct fixture_result result = fixture_spawn(argv, environment, NULL);
	ck_assert_int_eq(result.status, 0);
	ck_assert_str_eq(result.out, "");
	return result;
}

START_TEST(nothing_is_printed_unless_asked_for)
{
	fixture_install("good");
	ck_assert_str_eq(complain("").err, "");
	ck_assert_str_eq(complain("0").err, "");
}
END_TEST

static bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

START_TEST(the_environment_chooses_what_is_printed)
{
	static const char *const values[] = { "error", "warning", "info", "debug", "1" };
	fixture_install("good");
	for (int i = 0; i < 5; i++) {
		const char *err = complain(values[i]).err;
		ck_assert_msg(has(err, "libzpool: error: zpool_free() was given no pool.\n"), "%s: %s", values[i], err);
		ck_assert_msg(has(err, "libzpool: info: No driver \"nosuch\"") == (i >= 2), "%s: %s", values[i], err);
		ck_assert_msg(has(err, "libzpool: debug: Loading driver \"good\"") == (i >= 3), "%s: %s", values[i],
			      err);
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Handlers
 */

START_TEST(log_handler_gets_the_chosen_levels)
{
	fixture_capture_log(ZPOOL_LOG_ERROR);
	expect_refused("nosuch", ENOENT, "nosuch.so");
	ck_assert_uint_eq(fixture_logged("nosuch"), 0);
	zpool_free(NULL, 1);
	ck_assert_uint_eq(fixture_logged("zpool_free() was given no pool."), 1);
	fixture_capture_log(ZPOOL_LOG_INFO);
	expect_refused("nosuch", ENOENT, "nosuch.so");
	ck_assert_uint_eq(fixture_logged("No driver \"nosuch\""), 1);
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_DEBUG, NULL), 0);
	expect_refused("nosuch", ENOENT, "nosuch.so");
	ck_assert_uint_eq(fixture_logged("No driver \"nosuch\""), 1);
}
END_TEST

static void ignore_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
}

START_TEST(an_unknown_level_is_refused_and_changes_nothing)
{
	fixture_capture_log(ZPOOL_LOG_ERROR);
	expect_error(zpool_set_log_handler(ignore_message, (enum zpool_log_level)4, NULL), EINVAL, "Log level 4");
	expect_error(zpool_set_log_handler(NULL, (enum zpool_log_level) - 1, NULL), EINVAL, "Log level -1");
	zpool_free(NULL, 1);
	ck_assert_uint_eq(fixture_logged("no pool"), 1);
}
END_TEST

static unsigned int handled;
static int replaced;

static void replace_inside(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	handled++;
	replaced = zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	zpool_free(NULL, 1);
}

START_TEST(log_handler_cannot_replace_itself_and_its_messages_are_dropped)
{
	handled = 0;
	replaced = 0;
	ck_assert_int_eq(zpool_set_log_handler(replace_inside, ZPOOL_LOG_ERROR, NULL), 0);
	zpool_free(NULL, 1);
	ck_assert_uint_eq(handled, 1);
	ck_assert_int_eq(replaced, -EDEADLK);
	zpool_free(NULL, 1);
	ck_assert_uint_eq(handled, 2);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Handlers that are replaced while other threads log
 */

enum { LOGGERS = 4, REPLACEMENTS = 50 };

struct listener {
	_Atomic bool listening;
	_Atomic unsigned int heard;
	_Atomic unsigned int heard_too_late;
};

static void listen_to(enum zpool_log_level level, const char *message, void *user)
{
	struct listener *listener = user;
	(void)level, (void)message;
	listener->heard++;
	/* Another thread may replace this handler meanwhile, but must wait until the handler returns. */
	for (volatile int i = 0; i < 2000; i++)
		;
	if (!listener->listening)
		listener->heard_too_late++;
}

static _Atomic bool ended;

static void *log_without_end(void *arg)
{
	(void)arg;
	while (!ended)
		zpool_free(NULL, 1);
	return NULL;
}

START_TEST(replaced_log_handler_is_not_called_after_the_call_returns)
{
	static struct listener listeners[2];
	pthread_t threads[LOGGERS];
	memset(listeners, 0, sizeof(listeners));
	ended = false;
	listeners[0].listening = true;
	ck_assert_int_eq(zpool_set_log_handler(listen_to, ZPOOL_LOG_ERROR, &listeners[0]), 0);
	for (size_t i = 0; i < LOGGERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_without_end, NULL), 0);
	for (int i = 1; i <= REPLACEMENTS; i++) {
		struct listener *next = &listeners[i % 2], *previous = &listeners[(i + 1) % 2];
		next->listening = true;
		ck_assert_int_eq(zpool_set_log_handler(listen_to, ZPOOL_LOG_ERROR, next), 0);
		previous->listening = false;
		/* The new handler must get a message before it is replaced. */
		for (unsigned int heard = next->heard; next->heard == heard;)
			(void)sched_yield();
	}
	ended = true;
	for (size_t i = 0; i < LOGGERS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_uint_eq(listeners[0].heard_too_late + listeners[1].heard_too_late, 0);
	ck_assert_uint_ge(listeners[0].heard + listeners[1].heard, REPLACEMENTS);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Handlers that use the library
 */

static int ignore_driver(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	return 0;
}

static struct {
	unsigned int calls;
	int own, live, disable, each, rescan;
} used;

static int create_errno(const char *type)
{
	errno = 0;
	struct zpool *pool = zpool_create_pool(type, 0, NULL);
	int err = pool ? 0 : errno;
	zpool_destroy_pool(pool);
	return err;
}

static void use_library(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)user;
	if (!strstr(message, "Loading driver \"good\""))
		return;
	used.calls++;
	used.own = create_errno("good");
	used.live = create_errno("other");
	used.disable = zpool_loading_disable();
	used.each = zpool_each_driver(ignore_driver, NULL);
	used.rescan = zpool_rescan();
}

/* The load that logs the message would wait for the handler, and the handler for the load. */
START_TEST(log_handler_called_during_a_load_cannot_load)
{
	memset(&used, 0, sizeof(used));
	fixture_install("good");
	fixture_install("other");
	expect_works("other");
	ck_assert_int_eq(zpool_set_log_handler(use_library, ZPOOL_LOG_DEBUG, NULL), 0);
	expect_works("good");
	ck_assert_uint_eq(used.calls, 1);
	ck_assert_int_eq(used.own, EDEADLK);
	ck_assert_int_eq(used.live, 0);
	ck_assert_int_eq(used.disable, -EDEADLK);
	ck_assert_int_eq(used.each, -EDEADLK);
	ck_assert_int_eq(used.rescan, -EDEADLK);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("log");
	tcase_add_test(tests, nothing_is_printed_unless_asked_for);
	tcase_add_test(tests, the_environment_chooses_what_is_printed);
	tcase_add_test(tests, log_handler_gets_the_chosen_levels);
	tcase_add_test(tests, an_unknown_level_is_refused_and_changes_nothing);
	tcase_add_test(tests, log_handler_cannot_replace_itself_and_its_messages_are_dropped);
	tcase_add_test(tests, replaced_log_handler_is_not_called_after_the_call_returns);
	tcase_add_test(tests, log_handler_called_during_a_load_cannot_load);
	return fixture_run("log", tests);
}
