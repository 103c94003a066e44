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

bool ct_case_exists(const struct ct_group *groups, const char *name)
{
	for (const struct ct_group *g = groups; g->subject; g++)
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
static void isolate(struct runner *runner, void (*body)(struct runner *runner, const void *arg), const void *arg,
		    unsigned int timeout_s)
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
		/* What a driver prints is not the report's. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		body(runner, arg);
		/* Not _exit(): what looks for leaks does so at exit. */
		exit(0);
	}
	if (pid < 0) {
		result_fail(runner->result, "fork failed");
	} else {
		in_time = await(pid, timeout_s, &status);
		judge(runner->result, in_time, timeout_s, status);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------
 * One case
 */

struct job {
	const struct ct_case *c;
	const char *subject;
	const char *spec;
};

static void job_run(struct runner *runner, const void *arg)
{
	const struct job *job = arg;

	ct_outcome_run(job->c, job->spec, runner->options, runner->result);
}

static unsigned int timeout_of(const struct runner *runner, const struct job *job)
{
	return job->c->flags & CT_SLOW ? runner->options->slow_timeout_s : runner->options->timeout_s;
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
	alarm(timeout_of(runner, job));
	job_run(runner, job);
	alarm(0);
}

static void report(struct runner *runner, const struct job *job, double seconds)
{
	struct ct_verdict verdict = { job->c,
				      job->subject,
				      job->spec,
				      runner->result->text,
				      (enum ct_outcome)atomic_load(&runner->result->outcome),
				      ++runner->number,
				      seconds };

	if (verdict.outcome == CT_PASSED) {
		runner->totals->passed++;
	} else if (verdict.outcome == CT_SKIPPED) {
		runner->totals->skipped++;
	} else {
		runner->totals->failed++;
		verdict.outcome = CT_FAILED;
	}
	runner->options->report->verdict(runner->options, &verdict);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_case(struct runner *runner, const struct job *job)
{
	double began = seconds_now();

	result_clear(runner->result);
	if ((job->c->flags & CT_FORKS) && ct_thread_sanitized()) {
		snprintf(runner->result->text, sizeof(runner->result->text),
			 "the thread sanitizer cannot follow a fork of a process with threads");
		atomic_store(&runner->result->outcome, CT_SKIPPED);
	} else if (runner->options->isolate) {
		isolate(runner, job_run, job, timeout_of(runner, job));
	} else {
		job_run_here(runner, job);
	}
	report(runner, job, seconds_now() - began);
}

static bool had_enough(const struct runner *runner)
{
	return runner->totals->failed > 0 && runner->options->fail_fast;
}

static void run_groups(struct runner *runner, const struct ct_group *groups, const char *spec)
{
	for (const struct ct_group *g = groups; g->subject; g++) {
		for (const struct ct_case *c = g->cases; c->name; c++) {
			struct job job = { c, g->subject, spec };

			if (!wanted(runner->options, c))
				continue;
			run_case(runner, &job);
			if (had_enough(runner))
				return;
			if (!(c->flags & CT_FILE) && !runner->result->ready &&
			    atomic_load(&runner->result->outcome) == CT_FAILED) {
				runner->options->report->left_out(runner->options, spec);
				return;
			}
		}
	}
}

static void run_spec(struct runner *runner, const char *spec)
{
	runner->totals->drivers++;
	run_groups(runner, runner->options->groups, spec);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Which drivers
 */

struct found {
	char *types[SPECS_MAX];
	bool filter[SPECS_MAX], needs_value[SPECS_MAX];
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

/* A filter is nothing alone: that needs its code, so it is asked in a process of its own. */
static bool is_filter(struct runner *runner, const char *type)
{
	result_clear(runner->result);
	if (runner->options->isolate)
		isolate(runner, probe, type, runner->options->timeout_s);
	else
		probe(runner, type);
	return runner->result->ready && (runner->result->caps & ZPOOL_CAP_FILTER);
}

static void find(struct runner *runner, struct found *found)
{
	memset(found, 0, sizeof(*found));
	zpool_each_driver(found_add, found);
	for (size_t i = 0; i < found->count; i++) {
		found->filter[i] = is_filter(runner, found->types[i]);
		found->needs_value[i] = runner->result->needs_value;
	}
}

static void lose(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->types[i]);
}

/* A filter is tested in front of each driver. */
static void run_in_front(struct runner *runner, const struct found *found, const char *filter)
{
	char spec[128];

	for (size_t i = 0; i < found->count; i++) {
		if (found->filter[i] || had_enough(runner))
			continue;
		snprintf(spec, sizeof(spec), "%s+%s", filter, found->types[i]);
		run_spec(runner, spec);
	}
}

static void run_found(struct runner *runner)
{
	struct found found;

	find(runner, &found);
	for (size_t i = 0; i < found.count; i++)
		if (!found.filter[i] && !had_enough(runner))
			run_spec(runner, found.types[i]);
	/* One that must be given a value, as where to write, is run when it is named with it. */
	for (size_t i = 0; i < found.count; i++)
		if (found.filter[i] && !found.needs_value[i])
			run_in_front(runner, &found, found.types[i]);
	lose(&found);
}

static void run_asked(struct runner *runner, const char *spec)
{
	struct found found;

	if (strpbrk(spec, "+:") || !is_filter(runner, spec)) {
		run_spec(runner, spec);
		return;
	}
	find(runner, &found);
	run_in_front(runner, &found, spec);
	lose(&found);
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
	options->report->begin(options);
	if (options->file)
		run_groups(&runner, ct_groups_file, options->file_type);
	for (size_t i = 0; i < options->spec_count; i++)
		if (!had_enough(&runner))
			run_asked(&runner, options->specs[i]);
	if (options->spec_count == 0)
		run_found(&runner);
	options->report->end(options, runner.number);
	munmap(runner.result, sizeof(*runner.result));
}
