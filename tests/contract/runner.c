/* SPDX-License-Identifier: MIT
 *
 * runner.c - every case on every driver, each in a process of its own, reported in TAP
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "contract.h"
#include "outcome.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zpool.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define SPECS_MAX 128

struct runner {
	const struct ct_options *options;
	struct ct_totals *totals;
	struct ct_result *result;
	unsigned int number;
};

#ifndef __has_feature
#define __has_feature(feature) 0
#endif

bool ct_thread_sanitized(void)
{
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
	return true;
#else
	return false;
#endif
}

static bool address_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
	return true;
#else
	return false;
#endif
}

bool ct_instrumented(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return ct_thread_sanitized() || address_sanitized() || (preload && strstr(preload, "vgpreload"));
}

bool ct_verified(void)
{
#ifdef ZPOOL_DEBUG_CHECKS
	return true;
#else
	return false;
#endif
}

bool ct_case_exists(const char *name)
{
	for (const struct ct_group *g = ct_groups; g->subject; g++)
		for (const struct ct_case *c = g->cases; c->name; c++)
			if (strcmp(c->name, name) == 0)
				return true;
	return false;
}

static bool wanted(const struct ct_options *options, const struct ct_case *c)
{
	for (size_t i = 0; i < options->case_count; i++)
		if (strcmp(options->cases[i], c->name) == 0)
			return true;
	return options->case_count == 0;
}

static void result_clear(struct ct_result *result)
{
	memset(result, 0, sizeof(*result));
	atomic_store(&result->outcome, CT_RUNNING);
}

static void result_fail(struct ct_result *result, const char *text)
{
	size_t used = strlen(result->text);

	snprintf(result->text + used, sizeof(result->text) - used, "%s%s", used ? "; " : "", text);
	atomic_store(&result->outcome, CT_FAILED);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A process for each case
 */

/* Wait for the child until the deadline.  false: it had to be killed. */
static bool await(pid_t pid, unsigned int timeout_s, int *status)
{
	struct timespec now, deadline;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_s;
	for (;;) {
		struct timespec rest = { 0, 100000000 };
		pid_t ended = waitpid(pid, status, WNOHANG);

		if (ended == pid)
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > deadline.tv_sec)
			break;
		/* SIGCHLD is blocked, so one that came since waitpid() ends this wait at once. */
		sigtimedwait(&child, NULL, &rest);
	}
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return false;
}

static void judge(struct ct_result *result, bool in_time, unsigned int timeout_s, int status)
{
	char text[200];

	if (!in_time) {
		snprintf(text, sizeof(text), "still running after %u s, and killed: a deadlock or an endless loop",
			 timeout_s);
		result_fail(result, text);
	} else if (WIFSIGNALED(status)) {
		snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		result_fail(result, text);
	} else if (atomic_load(&result->outcome) <= CT_ENDING) {
		snprintf(text, sizeof(text), "the process ended with status %d in the middle of the case",
			 WEXITSTATUS(status));
		result_fail(result, text);
	} else if (atomic_load(&result->outcome) == CT_PASSED && WEXITSTATUS(status) != 0) {
		snprintf(text, sizeof(text), "the case passed, but its process ended with status %d (a leak?)",
			 WEXITSTATUS(status));
		result_fail(result, text);
	}
}

/* Runs body(arg) in a child, and returns when its outcome is in the result. */
static void isolate(struct runner *runner, void (*body)(struct runner *runner, const void *arg), const void *arg)
{
	sigset_t child, before;
	bool in_time;
	int status = 0;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
#ifdef __linux__
		prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
		sigprocmask(SIG_SETMASK, &before, NULL);
		body(runner, arg);
		/* Not _exit(): what looks for leaks does so at exit. */
		exit(0);
	}
	if (pid < 0) {
		result_fail(runner->result, "fork failed");
	} else {
		in_time = await(pid, runner->options->timeout_s, &status);
		judge(runner->result, in_time, runner->options->timeout_s, status);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------
 * One case
 */

struct job {
	const struct ct_case *c;
	const char *spec;
};

static void job_run(struct runner *runner, const void *arg)
{
	const struct job *job = arg;

	ct_outcome_run(job->c, job->spec, runner->options, runner->result);
}

static void on_alarm(int signal_number)
{
	static const char text[] =
		"Bail out! The case is still running after its time: a deadlock or an endless loop\n";

	(void)signal_number;
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(2);
}

static void job_run_here(struct runner *runner, const struct job *job)
{
	signal(SIGALRM, on_alarm);
	fflush(NULL);
	alarm(runner->options->timeout_s);
	job_run(runner, job);
	alarm(0);
}

static void print_lines(const char *label, const char *text)
{
	printf("#   %-9s ", label);
	for (; *text != '\0'; text++) {
		putchar(*text);
		if (*text == '\n')
			printf("#   %-9s ", "");
	}
	putchar('\n');
}

static void print_failure(const struct runner *runner, const struct job *job)
{
	const struct ct_options *options = runner->options;
	const char *path = getenv("ZPOOL_PLUGIN_PATH");

	print_lines("promised:", job->c->promise);
	print_lines("happened:", runner->result->text);
	printf("#   %-9s %" PRIu64 "\n", "seed:", options->seed);
	printf("#   %-9s ", "alone:");
	if (path)
		printf("ZPOOL_PLUGIN_PATH='%s' ", path);
	options->command(options, job->spec, job->c->name);
	putchar('\n');
}

static void report(struct runner *runner, const struct job *job)
{
	const char *text = runner->result->text;

	runner->number++;
	switch (atomic_load(&runner->result->outcome)) {
	case CT_PASSED:
		runner->totals->passed++;
		printf("ok %u - %s: %s\n", runner->number, job->spec, job->c->name);
		break;
	case CT_SKIPPED:
		runner->totals->skipped++;
		printf("ok %u - %s: %s # SKIP %s\n", runner->number, job->spec, job->c->name, text);
		break;
	default:
		runner->totals->failed++;
		printf("not ok %u - %s: %s\n", runner->number, job->spec, job->c->name);
		print_failure(runner, job);
		break;
	}
	fflush(stdout);
}

static void run_case(struct runner *runner, const struct job *job)
{
	result_clear(runner->result);
	if ((job->c->flags & CT_FORKS) && ct_thread_sanitized()) {
		snprintf(runner->result->text, sizeof(runner->result->text),
			 "the thread sanitizer cannot follow a fork of a process with threads");
		atomic_store(&runner->result->outcome, CT_SKIPPED);
	} else if (runner->options->isolate) {
		isolate(runner, job_run, job);
	} else {
		job_run_here(runner, job);
	}
	report(runner, job);
}

static void run_spec(struct runner *runner, const char *spec)
{
	runner->totals->drivers++;
	for (const struct ct_group *g = ct_groups; g->subject; g++) {
		for (const struct ct_case *c = g->cases; c->name; c++) {
			struct job job = { c, spec };

			if (!wanted(runner->options, c))
				continue;
			run_case(runner, &job);
			if (runner->totals->failed && runner->options->fail_fast)
				return;
			if (!runner->result->ready && atomic_load(&runner->result->outcome) == CT_FAILED) {
				printf("# %s: no pool can be made, so the other cases are left out\n", spec);
				return;
			}
		}
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Which drivers
 */

struct found {
	char *types[SPECS_MAX];
	bool filter[SPECS_MAX];
	size_t count;
};

static int found_add(const struct zpool_driver_info *info, void *user)
{
	struct found *found = user;

	if (found->count == SPECS_MAX)
		return 1;
	found->types[found->count] = strdup(info->type);
	if (found->types[found->count])
		found->count++;
	return 0;
}

static void probe(struct runner *runner, const void *arg)
{
	ct_outcome_probe(arg, runner->result);
}

static void run_found(struct runner *runner)
{
	struct found found = { { NULL }, { false }, 0 };
	char spec[128];

	zpool_each_driver(found_add, &found);
	for (size_t i = 0; i < found.count; i++) {
		result_clear(runner->result);
		if (runner->options->isolate)
			isolate(runner, probe, found.types[i]);
		else
			probe(runner, found.types[i]);
		found.filter[i] = runner->result->ready && (runner->result->caps & ZPOOL_CAP_FILTER);
	}
	for (size_t i = 0; i < found.count; i++)
		if (!found.filter[i] && !(runner->totals->failed && runner->options->fail_fast))
			run_spec(runner, found.types[i]);
	/* A filter is nothing alone: it is tested in front of each driver. */
	for (size_t i = 0; i < found.count; i++) {
		for (size_t j = 0; found.filter[i] && j < found.count; j++) {
			if (found.filter[j] || (runner->totals->failed && runner->options->fail_fast))
				continue;
			snprintf(spec, sizeof(spec), "%s+%s", found.types[i], found.types[j]);
			run_spec(runner, spec);
		}
	}
	for (size_t i = 0; i < found.count; i++)
		free(found.types[i]);
}

void ct_run(const struct ct_options *options, struct ct_totals *totals)
{
	struct runner runner = { options, totals, NULL, 0 };

	memset(totals, 0, sizeof(*totals));
	runner.result = mmap(NULL, sizeof(*runner.result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (runner.result == MAP_FAILED) {
		perror("mmap");
		totals->failed++;
		return;
	}
	printf("TAP version 13\n# seed %" PRIu64 "\n", options->seed);
	for (size_t i = 0; i < options->spec_count; i++)
		if (!(totals->failed && options->fail_fast))
			run_spec(&runner, options->specs[i]);
	if (options->spec_count == 0)
		run_found(&runner);
	printf("1..%u\n", runner.number);
	munmap(runner.result, sizeof(*runner.result));
}
