/* SPDX-License-Identifier: MIT
 *
 * serve.c - the process that measures: it reads its job, runs one group of workloads and answers with the measurements
 */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../child.h"
#include "../message.h"
#include "../zpoolctl.h"
#include "run.h"

static const char *const measure_names[MEASURES] = {
	[MEASURE_FILL] = "fill",
	[MEASURE_CHURN] = "churn",
	[MEASURE_LONG_CHURN] = "long-churn",
	[MEASURE_READ] = "read",
	[MEASURE_DROP] = "drop",
	[MEASURE_COMPACT] = "compact",
	[MEASURE_PAIR_EMPTY] = "pair-empty",
	[MEASURE_PAIR_FULL] = "pair-full",
	[MEASURE_PAIR_HOLES] = "pair-holes",
	[MEASURE_PAIR_COMPACTED] = "pair-compacted",
	[MEASURE_PAIR_TRIMMED] = "pair-trimmed",
	[MEASURE_PAIR_WORN] = "pair-worn",
	[MEASURE_TRANSFER] = "transfer",
	[MEASURE_EVICT] = "evict",
	[MEASURE_STALL] = "stall",
};

const char *measure_name(enum measure measure)
{
	return measure_names[measure];
}

static int answers_to = -1;

void job_report(const struct bench_message *message)
{
	child_report(answers_to, message, sizeof(*message));
}

void job_skip(enum measure measure, const char *format, ...)
{
	struct bench_message message = { .kind = MESSAGE_SKIPPED, .measure = measure };
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof(message.text), format, args);
	va_end(args);
	job_report(&message);
}

void job_fail(const char *format, ...)
{
	struct bench_message message = { .kind = MESSAGE_FAILED };
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof(message.text), format, args);
	va_end(args);
	job_report(&message);
	_exit(STATUS_FAILED);
}

/* Reads the job and the sizes after it into memory. Returns NULL if the file is not a job. */
static const struct bench_job *read_job(int fd)
{
	const struct bench_job *job;
	struct stat status;
	size_t bytes;

	if (fstat(fd, &status) || (size_t)status.st_size < sizeof(*job))
		return NULL;
	bytes = (size_t)status.st_size;
	job = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (job == MAP_FAILED)
		return NULL;
	if (job->magic != BENCH_JOB_MAGIC || bytes != sizeof(*job) + job->objects * sizeof(uint32_t))
		return NULL;
	return job;
}

static void report_ready(const struct bench_job *job)
{
	struct bench_message message = { .kind = MESSAGE_READY };

	if (!*job->spec && !malloc_is_here(&malloc_kinds[job->malloc_number]))
		message.kind = MESSAGE_ABSENT;
	else if (!*job->spec)
		malloc_kinds[job->malloc_number].version(message.text, sizeof(message.text));
	job_report(&message);
	if (message.kind == MESSAGE_ABSENT)
		_exit(STATUS_OK);
}

void job_serve(int job_file, int answers)
{
	static void (*const groups[GROUPS])(struct run *) = {
		[GROUP_SET] = run_set,     [GROUP_PAIR] = run_pair,   [GROUP_TRANSFER] = run_transfer,
		[GROUP_EVICT] = run_evict, [GROUP_STALL] = run_stall,
	};
	const struct bench_message done = { .kind = MESSAGE_DONE };
	static struct run run;
	const struct bench_job *job = read_job(job_file);

	if (!job) {
		warn("bench: there is no job; only the tool itself may use --run-job");
		_exit(STATUS_USAGE);
	}
	answers_to = answers;
	report_ready(job);
	if (job->measures) {
		run_prepare(&run, job, (const uint32_t *)(job + 1));
		groups[job->group](&run);
	}
	job_report(&done);
	/* The pool is not destroyed, because destroying it is not measured and the system frees the memory faster. */
	_exit(STATUS_OK);
}
