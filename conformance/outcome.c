/* SPDX-License-Identifier: MIT
 *
 * outcome.c - how a case ends, and the checks that can end it
 *
 * The first failure wins: its thread claims the result and writes the text.  If the case has its own process, that
 * process then ends.  Otherwise the case's main thread jumps back to the runner, and other threads exit and are joined.
 */
#include "case.h"
#include "outcome.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ct_context ct;

static struct ct_result *outcome_result;
static jmp_buf outcome_return;
static pthread_t outcome_thread;
static pid_t outcome_process;

_Noreturn void ct_outcome_leave(void)
{
	fflush(NULL);
	if (ct.isolate || getpid() != outcome_process)
		_exit(1);
	if (!pthread_equal(pthread_self(), outcome_thread))
		pthread_exit(NULL);
	longjmp(outcome_return, 1);
}

void ct_result_clear(struct ct_result *result)
{
	memset(result, 0, sizeof(*result));
	atomic_store(&result->outcome, CT_RUNNING);
}

void ct_result_fail(struct ct_result *result, const char *format, ...)
{
	size_t used = strlen(result->text);
	va_list args;

	used += (size_t)snprintf(result->text + used, sizeof(result->text) - used, "%s", used ? "; " : "");
	va_start(args, format);
	if (used < sizeof(result->text))
		vsnprintf(result->text + used, sizeof(result->text) - used, format, args);
	va_end(args);
	atomic_store(&result->outcome, CT_FAILED);
}

_Thread_local unsigned int ct_steps;

/* The counter of steps.  It is chosen once in each process, because a case may forbid system calls later. */
static _Atomic(uint64_t) *outcome_steps;

void ct_steps_report(void)
{
	if (outcome_steps)
		atomic_fetch_add_explicit(outcome_steps, 1, memory_order_relaxed);
}

void ct_outcome_in_child(void)
{
	outcome_steps = &outcome_result->child_steps;
}

uint64_t ct_child_steps(void)
{
	return atomic_load(&outcome_result->child_steps);
}

bool ct_outcome_known(void)
{
	return atomic_load(&outcome_result->outcome) != CT_RUNNING;
}

bool ct_stopping(void)
{
	return ct_outcome_known();
}

static bool claim(void)
{
	int running = CT_RUNNING;

	return atomic_compare_exchange_strong(&outcome_result->outcome, &running, CT_ENDING);
}

_Noreturn void ct_fail(const char *file, int line, const char *format, ...)
{
	if (claim()) {
		const char *base = strrchr(file, '/');
		char *text = outcome_result->text;
		size_t size = sizeof(outcome_result->text);
		int used = snprintf(text, size, "%s:%d: ", base ? base + 1 : file, line);
		va_list args;

		va_start(args, format);
		if (used > 0 && (size_t)used < size)
			vsnprintf(text + used, size - (size_t)used, format, args);
		va_end(args);
		atomic_store(&outcome_result->outcome, CT_FAILED);
	}
	ct_outcome_leave();
}

_Noreturn void ct_skip(const char *format, ...)
{
	if (claim()) {
		va_list args;

		va_start(args, format);
		vsnprintf(outcome_result->text, sizeof(outcome_result->text), format, args);
		va_end(args);
		atomic_store(&outcome_result->outcome, CT_SKIPPED);
	}
	ct_outcome_leave();
}

/* In a build with debug checks, a driver that finds its data damaged logs that and aborts the process. */
static void on_abort(int signal_number)
{
	(void)signal_number;
	ct_fail(__FILE__, __LINE__, "the process was aborted; the thread's last error was: %s", zpool_last_error());
}

/* If a driver forks and returns in the child as well, the child must not run the rest of the case. */
static void need_the_only_copy(void)
{
	CT_CHECK(getpid() == outcome_process, "the driver forked the process and returned in the child as well");
}

void ct_outcome_run(const struct ct_case *c, const char *spec, const struct ct_options *options,
		    struct ct_result *result)
{
	outcome_result = result;
	outcome_steps = &result->steps;
	outcome_thread = pthread_self();
	outcome_process = getpid();
	if (options->isolate)
		signal(SIGABRT, on_abort);
	/* Each filter verifies all objects as well, so with filters only some of the calls are followed by a check. */
	if (c->flags & CT_EVERY_CALL)
		setenv("ZPOOL_VERIFY", strchr(spec, '+') ? "10" : "1", 0);
	if (setjmp(outcome_return) == 0) {
		if (c->flags & CT_FILE)
			ct_setup_context(spec, options);
		else
			ct_setup(spec, options, result);
		need_the_only_copy();
		ct.rng.state = ct_seed_for(options->seed, c->name);
		c->run();
		need_the_only_copy();
		atomic_store(&result->outcome, CT_PASSED);
	}
}

/* A string parameter without a default and of at least one byte: the suite cannot invent a value for it. */
static int note_needed(const struct zpool_param *param, size_t size, void *user)
{
	struct ct_result *result = user;

	(void)size;
	if (param->type != ZPOOL_PARAM_STRING || param->default_value || param->min == 0)
		return 0;
	snprintf(result->needed_key, sizeof(result->needed_key), "%s", param->key);
	return 1;
}

void ct_outcome_probe(const char *type, struct ct_result *result)
{
	/* A filter cannot create a pool alone, but the attempt loads it, so that its capabilities are known. */
	zpool_has_pool(type);
	result->ready = ct_caps_of(type, &result->caps);
	result->needed_key[0] = '\0';
	(void)zpool_each_param(type, note_needed, result);
	atomic_store(&result->outcome, CT_PASSED);
}
