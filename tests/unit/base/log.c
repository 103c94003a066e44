/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/patience.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

/* The messages that the handler received. */
static struct {
	unsigned int count;
	enum zpool_log_level level;
	char message[256];
	void *user;
} received;

static void on_message(enum zpool_log_level level, const char *message, void *user)
{
	received.count++;
	received.level = level;
	received.user = user;
	(void)snprintf(received.message, sizeof(received.message), "%s", message);
	errno = EIO; /* the caller of the library must not see this */
}

static void listen(enum zpool_log_level level)
{
	received.count = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message, level, &received), 0);
}

static void stop(void)
{
	ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
}

__attribute__((format(printf, 3, 4))) static void log_with_prefix(enum zpool_log_level level, const char *prefix,
								  const char *format, ...)
{
	va_list args;
	va_start(args, format);
	zp_vlog(level, prefix, format, args);
	va_end(args);
}

START_TEST(handler_gets_level_message_and_user_pointer)
{
	listen(ZPOOL_LOG_DEBUG);
	zp_log(ZPOOL_LOG_WARNING, "%d of %s", 3, "them");
	ck_assert_uint_eq(received.count, 1);
	ck_assert_int_eq(received.level, ZPOOL_LOG_WARNING);
	ck_assert_str_eq(received.message, "3 of them");
	ck_assert_ptr_eq(received.user, &received);
	stop();
}
END_TEST

START_TEST(log_handler_gets_only_its_level_and_more_severe_ones)
{
	for (int wanted = ZPOOL_LOG_ERROR; wanted <= ZPOOL_LOG_DEBUG; wanted++) {
		listen((enum zpool_log_level)wanted);
		for (int level = ZPOOL_LOG_ERROR; level <= ZPOOL_LOG_DEBUG; level++)
			zp_log((enum zpool_log_level)level, "said");
		ck_assert_uint_eq(received.count, (unsigned int)wanted + 1);
		ck_assert_int_eq(received.level, wanted);
	}
	stop();
}
END_TEST

START_TEST(removed_log_handler_gets_no_messages)
{
	listen(ZPOOL_LOG_DEBUG);
	stop();
	zp_log(ZPOOL_LOG_ERROR, "unheard");
	ck_assert_uint_eq(received.count, 0);
}
END_TEST

START_TEST(prefix_precedes_the_message)
{
	listen(ZPOOL_LOG_DEBUG);
	log_with_prefix(ZPOOL_LOG_ERROR, "zbud (a): ", "%s", "torn");
	ck_assert_str_eq(received.message, "zbud (a): torn");
	stop();
}
END_TEST

START_TEST(logging_does_not_change_errno)
{
	listen(ZPOOL_LOG_DEBUG);
	errno = ERANGE;
	zp_log(ZPOOL_LOG_ERROR, "x");
	ck_assert_int_eq(errno, ERANGE);
	stop();
}
END_TEST

static void on_message_and_fail(enum zpool_log_level level, const char *message, void *user)
{
	on_message(level, message, user);
	(void)zp_fail(EIO, "the handler's own");
}

START_TEST(failing_log_handler_does_not_change_the_callers_error)
{
	ck_assert_int_eq(zpool_set_log_handler(on_message_and_fail, ZPOOL_LOG_DEBUG, NULL), 0);
	(void)zp_fail(EIO, "the caller's");
	zp_log(ZPOOL_LOG_ERROR, "x");
	ck_assert_str_eq(zpool_last_error(), "the caller's");
	stop();
}
END_TEST

START_TEST(unknown_log_levels_are_refused_and_the_handler_stays)
{
	listen(ZPOOL_LOG_DEBUG);
	assert_fails(zpool_set_log_handler(NULL, (enum zpool_log_level)4, NULL), EINVAL, "Log level 4");
	assert_fails(zpool_set_log_handler(NULL, (enum zpool_log_level) - 1, NULL), EINVAL, "Log level -1");
	zp_log(ZPOOL_LOG_DEBUG, "still received");
	ck_assert_uint_eq(received.count, 1);
	stop();
}
END_TEST

static int nested_result;
static char nested_text[128];

static void on_message_and_meddle(enum zpool_log_level level, const char *message, void *user)
{
	on_message(level, message, user);
	zp_log(ZPOOL_LOG_ERROR, "from inside");
	nested_result = zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	(void)snprintf(nested_text, sizeof(nested_text), "%s", zpool_last_error());
}

START_TEST(handler_that_logs_is_not_called_again)
{
	received.count = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message_and_meddle, ZPOOL_LOG_DEBUG, NULL), 0);
	zp_log(ZPOOL_LOG_ERROR, "outer");
	ck_assert_uint_eq(received.count, 1);
	ck_assert_str_eq(received.message, "outer");
	stop();
}
END_TEST

START_TEST(log_handler_cannot_replace_the_handler)
{
	ck_assert_int_eq(zpool_set_log_handler(on_message_and_meddle, ZPOOL_LOG_DEBUG, NULL), 0);
	zp_log(ZPOOL_LOG_ERROR, "outer");
	ck_assert_int_eq(nested_result, -EDEADLK);
	assert_contains(nested_text, "cannot replace the log handler");
	stop();
}
END_TEST

START_TEST(log_without_memory_is_reported_to_the_handler)
{
	for (unsigned int nth = 1; nth <= 2; nth++) {
		listen(ZPOOL_LOG_DEBUG);
		memory_fail_at(nth);
		zp_log(ZPOOL_LOG_ERROR, "lost %d", 1);
		ck_assert(memory_stop());
		ck_assert_uint_eq(received.count, 1);
		assert_contains(received.message, "Out of memory");
	}
	stop();
}
END_TEST

static pthread_barrier_t handler_runs, handler_may_end;
static _Atomic bool handler_ended;

static void on_message_slowly(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	pthread_barrier_wait(&handler_runs);
	pthread_barrier_wait(&handler_may_end);
	handler_ended = true;
}

static void *log_something(void *user)
{
	zp_log(ZPOOL_LOG_ERROR, "slow");
	return user;
}

static void *replace_handler(void *user)
{
	bool *ended = user;
	(void)zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	*ended = handler_ended;
	return NULL;
}

START_TEST(replaced_log_handler_has_returned)
{
	pthread_t logger, replacer;
	bool ended = false;
	pthread_barrier_init(&handler_runs, NULL, 2);
	pthread_barrier_init(&handler_may_end, NULL, 2);
	handler_ended = false;
	ck_assert_int_eq(zpool_set_log_handler(on_message_slowly, ZPOOL_LOG_DEBUG, NULL), 0);
	ck_assert_int_eq(pthread_create(&logger, NULL, log_something, NULL), 0);
	pthread_barrier_wait(&handler_runs);
	ck_assert_int_eq(pthread_create(&replacer, NULL, replace_handler, &ended), 0);
	pthread_barrier_wait(&handler_may_end);
	pthread_join(logger, NULL);
	pthread_join(replacer, NULL);
	ck_assert(ended);
}
END_TEST

enum { SHORT_PATIENCE_MS = 50, LONG_PATIENCE_MS = 60 * 1000 };

static void *replace_handler_and_fail(void *text)
{
	nested_result = zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	(void)snprintf(text, sizeof(nested_text), "%s", zpool_last_error());
	return NULL;
}

static void on_message_and_wait(enum zpool_log_level level, const char *message, void *fn)
{
	pthread_t thread;
	void *(*start)(void *) = *(void *(**)(void *))fn;

	on_message(level, message, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, start, nested_text), 0);
	pthread_join(thread, NULL);
}

START_TEST(log_handler_that_waits_for_its_replacement_does_not_deadlock)
{
	void *(*fn)(void *) = replace_handler_and_fail;

	received.count = 0;
	zp_set_patience(SHORT_PATIENCE_MS);
	ck_assert_int_eq(zpool_set_log_handler(on_message_and_wait, ZPOOL_LOG_DEBUG, &fn), 0);
	zp_log(ZPOOL_LOG_ERROR, "outer");
	ck_assert_int_eq(nested_result, -EDEADLK);
	assert_contains(nested_text, "may be waiting for this thread");
	zp_log(ZPOOL_LOG_ERROR, "outer again");
	ck_assert_uint_eq(received.count, 2);
	zp_set_patience(LONG_PATIENCE_MS);
	stop();
}
END_TEST

/* In a child: logs, replaces the handler, and logs again. */
static int use_log(void)
{
	zp_log(ZPOOL_LOG_ERROR, "in the child");
	if (received.count != 1 || zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL) != 0)
		return 1;
	zp_log(ZPOOL_LOG_ERROR, "unheard");
	if (zpool_set_log_handler(on_message, ZPOOL_LOG_ERROR, NULL) != 0)
		return 2;
	zp_log(ZPOOL_LOG_ERROR, "received");
	return received.count == 2 ? 0 : 3;
}

static void unlock_in_parent(void)
{
	zp_log_unlock(false);
}

static void unlock_in_child(void)
{
	zp_log_unlock(true);
}

static void arm_fork(void)
{
	static bool armed;
	if (!armed)
		ck_assert_int_eq(pthread_atfork(zp_log_lock, unlock_in_parent, unlock_in_child), 0);
	armed = true;
}

/* In a child that was forked while a handler ran in another thread. */
static int replace_and_log(void)
{
	received.count = 0;
	if (zpool_set_log_handler(on_message, ZPOOL_LOG_ERROR, NULL) != 0)
		return 1;
	zp_log(ZPOOL_LOG_ERROR, "received");
	return received.count == 1 ? 0 : 2;
}

static void *fork_and_log(void *text)
{
	nested_result = unit_in_child(replace_and_log);
	return text;
}

/*
 * A handler waits for a thread that forks if it calls a function of the library that needs a lock, because fork() holds
 * them all. If the fork waited for the handler, neither would continue before the time limit, which this test exceeds.
 */
START_TEST(fork_does_not_wait_for_a_handler)
{
	void *(*fn)(void *) = fork_and_log;

	if (!unit_may_fork())
		return;
	arm_fork();
	received.count = 0;
	ck_assert_int_eq(zpool_set_log_handler(on_message_and_wait, ZPOOL_LOG_DEBUG, &fn), 0);
	zp_log(ZPOOL_LOG_ERROR, "outer");
	ck_assert_int_eq(nested_result, 0);
	stop();
	zp_log(ZPOOL_LOG_ERROR, "unheard");
	ck_assert_uint_eq(received.count, 1);
}
END_TEST

START_TEST(log_works_in_a_forked_child)
{
	if (!unit_may_fork())
		return;
	arm_fork();
	listen(ZPOOL_LOG_DEBUG);
	ck_assert_int_eq(unit_in_child(use_log), 0);
	zp_log(ZPOOL_LOG_ERROR, "in the parent");
	ck_assert_uint_eq(received.count, 1);
	stop();
}
END_TEST

/* This handler forks, like one that starts a mailer; the child returns from it like the parent. */
static void on_message_and_fork(enum zpool_log_level level, const char *message, void *user)
{
	on_message(level, message, user);
	if (received.count == 1)
		*(int *)user = fork();
}

static int log_through_forking_handler(void)
{
	int child = -1;
	received.count = 0;
	(void)zpool_set_log_handler(on_message_and_fork, ZPOOL_LOG_DEBUG, &child);
	zp_log(ZPOOL_LOG_ERROR, "outer");
	if (child != 0) {
		int status = -1;
		return child < 0 || waitpid(child, &status, 0) != child || status != 0;
	}
	alarm(30);
	(void)zpool_set_log_handler(on_message, ZPOOL_LOG_DEBUG, NULL);
	zp_log(ZPOOL_LOG_ERROR, "grandchild");
	_exit(received.count == 2 ? 0 : 1);
}

START_TEST(handler_may_fork)
{
	if (!unit_may_fork())
		return;
	arm_fork();
	ck_assert_int_eq(unit_in_child(log_through_forking_handler), 0);
}
END_TEST

/*
 * When the program is started again, it logs at every level as the environment asks for, then with a handler, and then
 * without one.
 */
static int log_at_every_level(void)
{
	zp_log(ZPOOL_LOG_ERROR, "e");
	zp_log(ZPOOL_LOG_WARNING, "w");
	zp_log(ZPOOL_LOG_INFO, "i");
	zp_log(ZPOOL_LOG_DEBUG, "d");
	(void)zpool_set_log_handler(on_message, ZPOOL_LOG_ERROR, NULL);
	zp_log(ZPOOL_LOG_ERROR, "for the handler");
	(void)zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	zp_log(ZPOOL_LOG_ERROR, "again");
	return received.count == 1 ? 0 : 1;
}

#define E "libzpool: error: e\n"
#define W "libzpool: warning: w\n"
#define I "libzpool: info: i\n"
#define D "libzpool: debug: d\n"
#define AGAIN "libzpool: error: again\n"

START_TEST(environment_chooses_which_messages_are_printed)
{
	static const struct {
		const char *variable, *expected;
	} cases[] = {
		{ "ZPOOL_DEBUG=", "" },
		{ "ZPOOL_DEBUG=0", "" },
		{ "ZPOOL_DEBUG=error", E AGAIN },
		{ "ZPOOL_DEBUG=warning", E W AGAIN },
		{ "ZPOOL_DEBUG=info", E W I AGAIN },
		{ "ZPOOL_DEBUG=debug", E W I D AGAIN },
		{ "ZPOOL_DEBUG=1", E W I D AGAIN },
	};
	char text[512];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_int_eq(unit_run_self("log", cases[i].variable, text, sizeof(text)), 0);
		ck_assert_str_eq(text, cases[i].expected);
	}
}
END_TEST

/* Runs in a separate program. Returns 0 if the log could not be written, and no signal was raised or is pending. */
static int log_to(int fd)
{
	sigset_t pending;

	if (dup2(fd, STDERR_FILENO) < 0)
		return 1;
	zp_log(ZPOOL_LOG_ERROR, "lost");
	return sigpending(&pending) == 0 && !sigismember(&pending, SIGPIPE) && !sigismember(&pending, SIGXFSZ) ? 0 : 2;
}

static int log_to_closed_pipe(void)
{
	int ends[2];

	if (pipe(ends) != 0 || close(ends[0]) != 0)
		return 1;
	return log_to(ends[1]);
}

static int log_to_full_file(void)
{
	FILE *file = tmpfile();
	struct rlimit limit;
	int status;

	if (!file || getrlimit(RLIMIT_FSIZE, &limit))
		return 1;
	rlim_t most = limit.rlim_cur;
	limit.rlim_cur = 0;
	status = setrlimit(RLIMIT_FSIZE, &limit) ? 1 : log_to(fileno(file));
	/* A build that measures coverage writes files at exit. */
	limit.rlim_cur = most;
	return setrlimit(RLIMIT_FSIZE, &limit) ? 1 : status;
}

START_TEST(closed_standard_error_does_not_end_the_program)
{
	char text[512];

	ck_assert_int_eq(unit_run_self("pipe", "ZPOOL_DEBUG=1", text, sizeof(text)), 0);
	ck_assert_int_eq(unit_run_self("file", "ZPOOL_DEBUG=1", text, sizeof(text)), 0);
}
END_TEST

int main(int argc, char **argv)
{
	const TTest *const tests[] = {
		handler_gets_level_message_and_user_pointer,
		log_handler_gets_only_its_level_and_more_severe_ones,
		removed_log_handler_gets_no_messages,
		prefix_precedes_the_message,
		logging_does_not_change_errno,
		failing_log_handler_does_not_change_the_callers_error,
		unknown_log_levels_are_refused_and_the_handler_stays,
		handler_that_logs_is_not_called_again,
		log_handler_cannot_replace_the_handler,
		log_without_memory_is_reported_to_the_handler,
		replaced_log_handler_has_returned,
		log_works_in_a_forked_child,
		handler_may_fork,
		log_handler_that_waits_for_its_replacement_does_not_deadlock,
		fork_does_not_wait_for_a_handler,
		environment_chooses_which_messages_are_printed,
		closed_standard_error_does_not_end_the_program,
	};

	if (argc < 2)
		return UNIT_RUN("base/log", tests);
	if (strcmp(argv[1], "pipe") == 0)
		return log_to_closed_pipe();
	return strcmp(argv[1], "file") == 0 ? log_to_full_file() : log_at_every_level();
}
