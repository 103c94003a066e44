/* SPDX-License-Identifier: MIT
 *
 * plan.h - which cases are to be run on which drivers
 */
#ifndef CT_PLAN_H
#define CT_PLAN_H 1

#include "outcome.h"

#define CT_SPECS_MAX 256

/*
 * A case on a driver.  It waits, runs, and then has a verdict until that is reported, in the order of the jobs.
 *
 * dropped  there is nothing to report: no pool of its driver can be made, or the run has ended before
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

/* The jobs of one driver stand together and share its spec, which is compared by its address. */
struct ct_plan {
	struct ct_job *jobs;
	size_t job_count, job_capacity;
	char *specs[CT_SPECS_MAX];
	size_t spec_count;
	bool incomplete; /* the drivers could not all be found, as standard error says */
};

/* Drivers that are asked whether they are filters are loaded in a process of their own, with the result shared. */
void ct_plan_make(struct ct_plan *plan, const struct ct_options *options, struct ct_result *result);
void ct_plan_free(struct ct_plan *plan);

unsigned int ct_job_weight(const struct ct_job *job);

/* strdup(), or the end of the program. */
char *ct_copy_text(const char *text);

#endif /* CT_PLAN_H */
