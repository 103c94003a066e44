/* SPDX-License-Identifier: MIT
 *
 * checks.c - names for results, and watching the library's messages
 */
#include "case.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char mark[512];

/* The log handler may be called from any thread. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int log_errors;

const char *ct_error_name(int64_t result)
{
	static const struct {
		int error;
		const char *name;
	} names[] = { { EINVAL, "-EINVAL" }, { ENOMEM, "-ENOMEM" }, { ENOSPC, "-ENOSPC" },
		      { EAGAIN, "-EAGAIN" }, { EBUSY, "-EBUSY" },   { EOPNOTSUPP, "-EOPNOTSUPP" },
		      { ENOENT, "-ENOENT" }, { EPERM, "-EPERM" },   { EDEADLK, "-EDEADLK" },
		      { E2BIG, "-E2BIG" },   { EEXIST, "-EEXIST" }, { ENOEXEC, "-ENOEXEC" } };
	static _Thread_local char numbers[2][32];
	static _Thread_local unsigned int turn;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (result == -names[i].error)
			return names[i].name;
	/* Two buffers, because a message may contain two results. */
	turn = !turn;
	snprintf(numbers[turn], sizeof(numbers[turn]), "%lld", (long long)result);
	return numbers[turn];
}

void ct_message_mark(void)
{
	zpool_unload_driver("NO DRIVER IS CALLED THIS");
	snprintf(mark, sizeof(mark), "%s", zpool_last_error());
}

void ct_message_expect(const char *file, int line, const char *call)
{
	const char *message = zpool_last_error();
	size_t length = message ? strlen(message) : 0;

	if (length == 0 || strncmp(message, mark, sizeof(mark) - 1) == 0)
		ct_fail(file, line, "%s was refused, but zpool_last_error() does not say so", call);
	if (message[length - 1] != '.')
		ct_fail(file, line, "after %s, zpool_last_error() is not a complete sentence: \"%s\"", call, message);
}

static void log_handler(enum zpool_log_level level, const char *message, void *user)
{
	(void)user;
	if (level != ZPOOL_LOG_ERROR || !message || message[0] == '\0')
		return;
	pthread_mutex_lock(&log_lock);
	log_errors++;
	pthread_mutex_unlock(&log_lock);
}

void ct_log_open(void)
{
	log_errors = 0;
	CT_MUST(zpool_set_log_handler(log_handler, ZPOOL_LOG_ERROR, NULL));
}

unsigned int ct_log_errors(void)
{
	unsigned int errors;

	pthread_mutex_lock(&log_lock);
	errors = log_errors;
	pthread_mutex_unlock(&log_lock);
	return errors;
}

void ct_log_close(void)
{
	CT_MUST(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL));
}
