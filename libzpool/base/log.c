/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/callback.h"
#include "base/env.h"
#include "base/error.h"
#include "base/patience.h"
#include "base/text.h"
#include "support/cancel.h"
#include "support/signals.h"

typedef void zp_log_handler(enum zpool_log_level level, const char *message, void *user);

enum { NOTHING = -1 };

static const char *const level_names[] = { "error", "warning", "info", "debug" };

/* A lock that prefers readers would keep zpool_set_log_handler() waiting forever while threads log without a pause. */
#ifdef PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
#define LOG_LOCK_INITIALIZER PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP
#else
#define LOG_LOCK_INITIALIZER PTHREAD_RWLOCK_INITIALIZER
#endif

/*
 * Held for reading while a handler runs, and for writing while it is replaced, so that replacing a handler waits until
 * the old one has returned. While a handler runs, its thread logs nothing else (inside_handler). A handler may wait for
 * a thread that replaces the handler, so waiting for the write lock has a time limit.
 */
static pthread_rwlock_t log_lock = LOG_LOCK_INITIALIZER;

/*
 * Guards the changing of handler and handler_user, and is held for nothing else. fork() takes it so that the child
 * finds both as they belong together. fork() does not take log_lock, because it would wait for a handler while it holds
 * other locks of the library, and the handler may be in a call that needs one of them. This is the innermost of all
 * locks.
 */
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
static zp_log_handler *handler;
static void *handler_user;

/* Messages of this level and above are unwanted. It is read without the lock, so that unwanted messages are cheap. */
static _Atomic int threshold = NOTHING;
static pthread_once_t environment_once = PTHREAD_ONCE_INIT;
static int environment_threshold = NOTHING;

static _Thread_local bool inside_handler __attribute__((tls_model("initial-exec")));

static void log_to_stderr(enum zpool_log_level level, const char *message, void *user)
{
	struct zp_write_signals signals;

	(void)user;
	/* Standard error may be a pipe whose reader is gone, or a file at its size limit. */
	zp_write_signals_block(&signals);
	(void)dprintf(STDERR_FILENO, "libzpool: %s: %s\n", level_names[level], message);
	zp_write_signals_restore(&signals);
}

static void read_environment(void)
{
	const char *wanted = zp_secure_getenv("ZPOOL_DEBUG");
	if (!wanted || !*wanted || strcmp(wanted, "0") == 0)
		return;
	/* Any other value, such as 1, means all messages. */
	environment_threshold = ZPOOL_LOG_DEBUG;
	for (int level = ZPOOL_LOG_ERROR; level < ZPOOL_LOG_DEBUG; level++)
		if (strcmp(wanted, level_names[level]) == 0)
			environment_threshold = level;
	handler = log_to_stderr;
	atomic_store(&threshold, environment_threshold);
}

static void call_handler(enum zpool_log_level level, const char *message)
{
	ZP_CALLBACK_HERE;
	handler(level, message, handler_user);
}

static void log_deliver(enum zpool_log_level level, const char *message)
{
	struct zp_error error;
	inside_handler = true;
	pthread_rwlock_rdlock(&log_lock);
	if (handler && (int)level <= atomic_load(&threshold)) {
		zp_error_set_aside(&error);
		call_handler(level, message);
		zp_error_put_back(&error);
	}
	pthread_rwlock_unlock(&log_lock);
	inside_handler = false;
}

void zp_vlog(enum zpool_log_level level, const char *prefix, const char *format, va_list args)
{
	(void)pthread_once(&environment_once, read_environment);
	if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed) || inside_handler)
		return;

	ZP_CANCEL_DISABLED_HERE;
	/* Logging must not change the caller's errno. */
	int saved_errno = errno;
	char *text = NULL, *message = NULL;
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	if (!text || asprintf(&message, "%s%s", prefix, text) < 0)
		message = NULL;
	if (message)
		message = zp_text_escape(message);
	log_deliver(level, message ? message : "Out of memory while composing a log message.");
	free(text);
	free(message);
	errno = saved_errno;
}

void zp_log(enum zpool_log_level level, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	zp_vlog(level, "", format, args);
	va_end(args);
}

int zpool_set_log_handler(void (*fn)(enum zpool_log_level level, const char *message, void *user),
			  enum zpool_log_level level, void *user)
{
	ZP_CANCEL_DISABLED_HERE;
	if ((int)level < ZPOOL_LOG_ERROR || level > ZPOOL_LOG_DEBUG)
		return zp_fail(EINVAL, "Log level %d is not a valid enum zpool_log_level.", (int)level);
	if (inside_handler)
		return zp_fail(
			EDEADLK,
			"A log handler cannot replace the log handler; call zpool_set_log_handler() outside of it.");
	(void)pthread_once(&environment_once, read_environment);
	const struct timespec until = zp_patience_deadline();
	if (pthread_rwlock_timedwrlock(&log_lock, &until) != 0)
		return zp_fail(
			EDEADLK,
			"The log handler has been running in another thread for %u seconds and may be waiting for this thread; it was not replaced.",
			zp_patience_s());
	pthread_mutex_lock(&handler_lock);
	handler = fn ? fn : log_to_stderr;
	handler_user = fn ? user : NULL;
	atomic_store(&threshold, fn ? (int)level : environment_threshold);
	pthread_mutex_unlock(&handler_lock);
	pthread_rwlock_unlock(&log_lock);
	return 0;
}

void zp_log_lock(void)
{
	pthread_mutex_lock(&handler_lock);
}

void zp_log_unlock(bool child)
{
	if (child) {
		/* Threads that had the lock for reading or waited for it do not exist in the child. */
		log_lock = (pthread_rwlock_t)LOG_LOCK_INITIALIZER;
		if (inside_handler)
			pthread_rwlock_rdlock(&log_lock);
	}
	pthread_mutex_unlock(&handler_lock);
}
