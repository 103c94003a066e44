/* SPDX-License-Identifier: MIT
 *
 * runner.c - runs every case on every driver, several at once, each in its own process, and reports them in order
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "contract.h"
#include "keeper.h"
#include "outcome.h"
#include "plan.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zpool.h>

/* Runs one job at a time in its own process; the result is in shared memory. */
struct worker {
	pid_t keeper;
	struct ct_job *job;
	struct ct_result *result;
	double began;
};

struct runner {
	const struct ct_options *options;
	struct ct_totals *totals;
	struct worker *workers;
	unsigned int worker_count;
	struct ct_plan plan;
	size_t reported; /* jobs[0] to jobs[reported - 1] have been reported */
	unsigned int number;
	struct ct_progress progress;
	double began;
	sigset_t mask; /* the signal mask before the runner blocked signals */
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

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

unsigned int ct_processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;

	return count > 0 ? (unsigned int)count : 1;
}

static unsigned int timeout_of(const struct runner *runner, const struct ct_job *job)
{
	return job->c && job->c->flags & CT_SLOW ? runner->options->slow_timeout_s : runner->options->timeout_s;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Verdicts
 */

static void job_judged(struct runner *runner, struct ct_job *job, const struct ct_result *result, double seconds)
{
	int outcome = atomic_load(&result->outcome);

	job->outcome = outcome == CT_PASSED || outcome == CT_SKIPPED ? (enum ct_outcome)outcome : CT_FAILED;
	job->ready = result->ready;
	job->text = ct_copy_text(result->text);
	job->output = ct_copy_text(result->output);
	job->seconds = seconds;
	job->state = CT_JOB_JUDGED;
	runner->progress.done++;
	runner->progress.done_weight += ct_job_weight(job);
}

static void job_drop(struct runner *runner, struct ct_job *job)
{
	if (job->state == CT_JOB_WAITS)
		runner->progress.total_weight -= ct_job_weight(job);
	for (unsigned int i = 0; i < runner->worker_count && job->state == CT_JOB_RUNS; i++)
		if (runner->workers[i].job == job)
			kill(runner->workers[i].keeper, SIGTERM);
	job->state = CT_JOB_DROPPED;
}

/* Drops the remaining jobs of this driver; NULL: all remaining jobs. */
static void drop_rest(struct runner *runner, const char *spec)
{
	for (size_t i = runner->reported; i < runner->plan.job_count; i++)
		if (!spec || runner->plan.jobs[i].spec == spec)
			job_drop(runner, &runner->plan.jobs[i]);
}

static void drop_unjudged(struct runner *runner)
{
	for (size_t i = runner->reported; i < runner->plan.job_count; i++)
		if (runner->plan.jobs[i].state < CT_JOB_JUDGED)
			job_drop(runner, &runner->plan.jobs[i]);
}

static void report_job(struct runner *runner, const struct ct_job *job)
{
	struct ct_verdict verdict = { job->c,      job->subject, job->spec,        job->text,
				      job->output, job->outcome, ++runner->number, job->seconds };

	if (job->outcome == CT_PASSED)
		runner->totals->passed++;
	else if (job->outcome == CT_SKIPPED)
		runner->totals->skipped++;
	else
		runner->totals->failed++;
	runner->options->report->verdict(runner->options, &verdict);
	if (job->outcome != CT_FAILED)
		return;
	if (runner->options->fail_fast) {
		drop_rest(runner, NULL);
	} else if (!(job->c->flags & CT_FILE) && !job->ready) {
		runner->options->report->left_out(runner->options, job->spec);
		drop_rest(runner, job->spec);
	}
}

static void report_progress(struct runner *runner)
{
	runner->progress.elapsed_s = seconds_now() - runner->began;
	if (runner->options->report->progress)
		runner->options->report->progress(runner->options, &runner->progress);
}

static void report_judged(struct runner *runner)
{
	while (runner->reported < runner->plan.job_count &&
	       runner->plan.jobs[runner->reported].state >= CT_JOB_JUDGED) {
		struct ct_job *job = &runner->plan.jobs[runner->reported++];

		if (job->state == CT_JOB_JUDGED)
			report_job(runner, job);
		free(job->text);
		free(job->output);
		job->text = job->output = NULL;
	}
	report_progress(runner);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Running cases
 */

struct body {
	const struct runner *runner;
	const struct ct_job *job;
	struct ct_result *result;
};

static void run_body(void *arg)
{
	const struct body *body = arg;

	ct_outcome_run(body->job->c, body->job->spec, body->runner->options, body->result);
}

static void on_alarm(int signal_number)
{
	static const char text[] = "The case is still running after its timeout; --timeout sets a longer one.\n";

	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(3);
	_exit(1);
}

/*
 * Nothing watches a case that has no process of its own: in a debugger it may stand still for as long as the user
 * likes.  Only the thread sanitizer, which runs all cases this way without being asked, must not wait forever.
 */
static void run_here(struct runner *runner, struct ct_job *job, struct ct_result *result)
{
	struct body body = { runner, job, result };

	fflush(NULL);
	if (ct_thread_sanitized()) {
		signal(SIGALRM, on_alarm);
		alarm(timeout_of(runner, job));
	}
	run_body(&body);
	alarm(0);
}

static bool is_impossible(const struct ct_job *job, struct ct_result *result)
{
	if (!(job->c->flags & CT_FORKS) || !ct_thread_sanitized())
		return false;
	snprintf(result->text, sizeof(result->text),
		 "the thread sanitizer does not support fork() in a process with threads");
	atomic_store(&result->outcome, CT_SKIPPED);
	return true;
}

static void worker_start(struct runner *runner, struct worker *worker, struct ct_job *job)
{
	struct body body = { runner, job, worker->result };
	struct ct_keeper_job keeper_job = { run_body, &body, timeout_of(runner, job),
					    runner->options->pass_output || job->c->flags & CT_SLOW, runner->mask };

	ct_result_clear(worker->result);
	worker->began = seconds_now();
	job->state = CT_JOB_RUNS;
	if (is_impossible(job, worker->result)) {
		job_judged(runner, job, worker->result, 0);
		return;
	}
	if (!runner->options->isolate) {
		run_here(runner, job, worker->result);
		job_judged(runner, job, worker->result, seconds_now() - worker->began);
		return;
	}
	worker->keeper = ct_keeper_start(&keeper_job, worker->result);
	if (worker->keeper < 0) {
		ct_result_fail(worker->result, "fork failed: %s", strerror(errno));
		job_judged(runner, job, worker->result, 0);
		return;
	}
	worker->job = job;
}

static void worker_ended(struct runner *runner, struct worker *worker, int status)
{
	struct ct_job *job = worker->job;

	ct_keeper_ended(worker->result, status);
	worker->job = NULL;
	worker->keeper = 0;
	if (job->state == CT_JOB_RUNS)
		job_judged(runner, job, worker->result, seconds_now() - worker->began);
	else
		runner->progress.total_weight -= ct_job_weight(job);
}

/*
 * Chooses the next job to start.  The first case of a driver, which tests whether a pool can be created, runs alone.
 * The long cases come next if others can run in parallel; their verdicts are still reported in order.
 */
static struct ct_job *next_job(const struct runner *runner)
{
	struct ct_job *first = NULL;

	for (size_t i = runner->reported; i < runner->plan.job_count; i++) {
		struct ct_job *job = &runner->plan.jobs[i];
		bool is_first = i == 0 || runner->plan.jobs[i - 1].spec != job->spec;

		if (first && is_first)
			break;
		if (is_first && job->state == CT_JOB_RUNS)
			return NULL;
		if (job->state != CT_JOB_WAITS)
			continue;
		if (is_first || runner->worker_count == 1 || job->c->flags & CT_LONG)
			return job;
		first = first ? first : job;
	}
	return first;
}

static void reap(struct runner *runner)
{
	for (unsigned int i = 0; i < runner->worker_count; i++) {
		struct worker *worker = &runner->workers[i];
		int status = -1;
		pid_t ended = worker->job ? waitpid(worker->keeper, &status, WNOHANG) : 0;

		/* After ECHILD something else has taken the status, and the pid may belong to any process. */
		if (ended > 0 || (ended < 0 && errno == ECHILD))
			worker_ended(runner, worker, status);
	}
}

static bool is_busy(const struct runner *runner)
{
	for (unsigned int i = 0; i < runner->worker_count; i++)
		if (runner->workers[i].job)
			return true;
	return false;
}

static void start_jobs(struct runner *runner)
{
	for (unsigned int i = 0; i < runner->worker_count; i++) {
		struct ct_job *job;

		while (!runner->workers[i].job && (job = next_job(runner))) {
			worker_start(runner, &runner->workers[i], job);
			report_judged(runner);
		}
	}
}

/*
 * These signals end the run, and the results so far are reported.  A signal that is ignored, as under nohup(1), stays
 * ignored.
 */
static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void block_signals(struct runner *runner, sigset_t *awaited)
{
	sigemptyset(awaited);
	sigaddset(awaited, SIGCHLD);
	for (size_t i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++) {
		struct sigaction action;

		if (sigaction(ending_signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(awaited, ending_signals[i]);
	}
	sigprocmask(SIG_BLOCK, awaited, &runner->mask);
}

static void run_jobs(struct runner *runner)
{
	const struct timespec moment = { 0, 200000000 };
	sigset_t awaited;

	if (!runner->options->isolate) {
		start_jobs(runner);
		return;
	}
	block_signals(runner, &awaited);
	for (start_jobs(runner); is_busy(runner); start_jobs(runner)) {
		int signal_number = sigtimedwait(&awaited, NULL, &moment);

		if (signal_number > 0 && signal_number != SIGCHLD && !runner->totals->interrupted) {
			runner->totals->interrupted = signal_number;
			drop_unjudged(runner);
		}
		reap(runner);
		report_judged(runner);
	}
	sigprocmask(SIG_SETMASK, &runner->mask, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------ */

static bool open_workers(struct runner *runner)
{
	unsigned int count = runner->options->isolate && runner->options->jobs ? runner->options->jobs : 1;
	struct ct_result *results =
		mmap(NULL, count * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	runner->workers = calloc(count, sizeof(*runner->workers));
	if (results == MAP_FAILED || !runner->workers) {
		if (results != MAP_FAILED)
			munmap(results, count * sizeof(*results));
		free(runner->workers);
		return false;
	}
	runner->worker_count = count;
	for (unsigned int i = 0; i < count; i++)
		runner->workers[i].result = &results[i];
	return true;
}

static void close_workers(struct runner *runner)
{
	munmap(runner->workers[0].result, runner->worker_count * sizeof(*runner->workers[0].result));
	free(runner->workers);
	ct_plan_free(&runner->plan);
}

void ct_run(const struct ct_options *options, struct ct_totals *totals)
{
	struct runner runner = { .options = options, .totals = totals, .began = seconds_now() };
	const struct sigaction standard = { .sa_handler = SIG_DFL };
	struct sigaction before;

	memset(totals, 0, sizeof(*totals));
	sigprocmask(SIG_SETMASK, NULL, &runner.mask);
	if (!open_workers(&runner)) {
		perror("the conformance suite");
		totals->failed++;
		return;
	}
	/* If SIGCHLD were ignored, the kernel would tell nobody how the processes end. */
	sigaction(SIGCHLD, &standard, &before);
	options->report->begin(options);
	ct_plan_make(&runner.plan, options, runner.workers[0].result);
	totals->drivers = (unsigned int)runner.plan.spec_count;
	totals->failed += runner.plan.incomplete;
	runner.progress.total = (unsigned int)runner.plan.job_count;
	for (size_t i = 0; i < runner.plan.job_count; i++)
		runner.progress.total_weight += ct_job_weight(&runner.plan.jobs[i]);
	run_jobs(&runner);
	report_judged(&runner);
	options->report->end(options, runner.number);
	sigaction(SIGCHLD, &before, NULL);
	close_workers(&runner);
}
