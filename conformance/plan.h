/* SPDX-License-Identifier: MIT
 *
 * plan.h - decides which cases run on which drivers
 */
#ifndef CT_PLAN_H
#define CT_PLAN_H 1

#include "outcome.h"

#define CT_SPECS_MAX 256

/*
 * A case on a driver.  It waits, runs, and then keeps its verdict until that is reported, in the order of the jobs.
 *
 * dropped  there is nothing to report, because the driver cannot create a pool or the run has ended before
 */
struct ct_job {
	const struct ct_case *c;
	const char *subject;
	const char *spec;
	enum { CT_JOB_WAITS, CT_JOB_RUNS, CT_JOB_JUDGED, CT_JOB_DROPPED } state;
	enum ct_outcome outcome;
	bool ready;
	char *text;
	char *output;
	double seconds;
};

/* The jobs of one driver are adjacent and share its spec, which is compared by its address. */
struct ct_plan {
	struct ct_job *jobs;
	size_t job_count, job_capacity;
	char *specs[CT_SPECS_MAX];
	size_t spec_count;
	bool incomplete; /* some drivers could not be found; standard error has the message */
};

/* To find out which drivers are filters, they are loaded in a separate process, which shares the result. */
void ct_plan_make(struct ct_plan *plan, const struct ct_options *options, struct ct_result *result);
void ct_plan_free(struct ct_plan *plan);

unsigned int ct_job_weight(const struct ct_job *job);

/* Calls strdup(), and ends the program if memory runs out. */
char *ct_copy_text(const char *text);

#endif /* CT_PLAN_H */
