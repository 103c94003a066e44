/* SPDX-License-Identifier: MIT
 *
 * plan.c - decides which cases run on which drivers
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "plan.h"
#include "keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <zpool.h>

/* The state that the functions in this file share. */
struct planner {
	struct ct_plan *plan;
	const struct ct_options *options;
	struct ct_result *result;
};

char *ct_copy_text(const char *text)
{
	char *copy = strdup(text);

	if (!copy) {
		fputs("out of memory\n", stderr);
		exit(1);
	}
	return copy;
}

unsigned int ct_job_weight(const struct ct_job *job)
{
	return job->c->flags & CT_LONG ? CT_LONG_WEIGHT : 1;
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

static void plan_job(struct ct_plan *plan, const struct ct_job *job)
{
	if (plan->job_count == plan->job_capacity) {
		size_t capacity = plan->job_capacity ? 2 * plan->job_capacity : 256;
		struct ct_job *jobs = realloc(plan->jobs, capacity * sizeof(*jobs));

		if (!jobs) {
			fputs("out of memory\n", stderr);
			exit(1);
		}
		plan->jobs = jobs;
		plan->job_capacity = capacity;
	}
	plan->jobs[plan->job_count++] = *job;
}

static void plan_groups(struct planner *planner, const struct ct_group *groups, const char *spec)
{
	for (const struct ct_group *g = groups; g->subject; g++)
		for (const struct ct_case *c = g->cases; c->name; c++)
			if (wanted(planner->options, c))
				plan_job(planner->plan,
					 &(struct ct_job){ .c = c, .subject = g->subject, .spec = spec });
}

static void plan_spec(struct planner *planner, const char *spec)
{
	struct ct_plan *plan = planner->plan;

	if (plan->spec_count == CT_SPECS_MAX)
		return;
	plan->specs[plan->spec_count] = ct_copy_text(spec);
	plan_groups(planner, planner->options->groups, plan->specs[plan->spec_count++]);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Which drivers
 */

struct found {
	char *types[CT_SPECS_MAX];
	bool filter[CT_SPECS_MAX], needs_value[CT_SPECS_MAX];
	size_t count;
};

static int found_add(const struct zpool_driver_info *info, void *user)
{
	struct found *found = user;

	if (found->count == CT_SPECS_MAX)
		return 1;
	found->types[found->count] = strdup(info->type);
	if (found->types[found->count])
		found->count++;
	return 0;
}

struct probe {
	const char *type;
	struct ct_result *result;
};

static void probe(void *arg)
{
	const struct probe *p = arg;

	ct_outcome_probe(p->type, p->result);
}

/* Only the driver's code shows whether it is a filter, so it is loaded in a separate process. */
static bool is_filter(struct planner *planner, const char *type)
{
	struct ct_result *result = planner->result;
	struct probe p = { type, result };
	struct ct_keeper_job job = { .body = probe,
				     .arg = &p,
				     .timeout_s = planner->options->timeout_s,
				     .pass_output = planner->options->pass_output };
	pid_t keeper;

	ct_result_clear(result);
	sigprocmask(SIG_SETMASK, NULL, &job.mask);
	if (!planner->options->isolate) {
		probe(&p);
	} else {
		keeper = ct_keeper_start(&job, result);
		while (keeper > 0 && waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return result->ready && (result->caps & ZPOOL_CAP_FILTER);
}

static void find(struct planner *planner, struct found *found)
{
	memset(found, 0, sizeof(*found));
	if (zpool_each_driver(found_add, found)) {
		fprintf(stderr, "%s\n", zpool_last_error());
		planner->plan->incomplete = true;
	}
	for (size_t i = 0; i < found->count; i++) {
		found->filter[i] = is_filter(planner, found->types[i]);
		found->needs_value[i] = planner->result->needed_key[0] != '\0';
	}
}

static void lose(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		free(found->types[i]);
}

/* A filter is tested above each driver. */
static void plan_in_front(struct planner *planner, const struct found *found, const char *filter)
{
	char spec[128];

	for (size_t i = 0; i < found->count; i++) {
		if (found->filter[i])
			continue;
		snprintf(spec, sizeof(spec), "%s+%s", filter, found->types[i]);
		plan_spec(planner, spec);
	}
}

static void plan_found(struct planner *planner)
{
	struct found found;

	find(planner, &found);
	for (size_t i = 0; i < found.count; i++)
		if (!found.filter[i])
			plan_spec(planner, found.types[i]);
	/* A filter that needs a value, such as a file to write to, is only run if the user names it with that value. */
	for (size_t i = 0; i < found.count; i++)
		if (found.filter[i] && !found.needs_value[i])
			plan_in_front(planner, &found, found.types[i]);
	lose(&found);
}

static void plan_asked(struct planner *planner, const char *spec)
{
	struct found found;

	if (strpbrk(spec, "+:") || !is_filter(planner, spec)) {
		plan_spec(planner, spec);
		return;
	}
	if (planner->result->needed_key[0]) {
		fprintf(stderr,
			"The filter %s needs a value for its parameter \"%s\": give a spec such as %s:%s=VALUE+zbud\n",
			spec, planner->result->needed_key, spec, planner->result->needed_key);
		planner->plan->incomplete = true;
		return;
	}
	find(planner, &found);
	plan_in_front(planner, &found, spec);
	lose(&found);
}

void ct_plan_make(struct ct_plan *plan, const struct ct_options *options, struct ct_result *result)
{
	struct planner planner = { plan, options, result };

	memset(plan, 0, sizeof(*plan));
	if (options->file)
		plan_groups(&planner, ct_groups_file, options->file_type);
	for (size_t i = 0; i < options->spec_count; i++)
		plan_asked(&planner, options->specs[i]);
	if (options->spec_count == 0)
		plan_found(&planner);
}

void ct_plan_free(struct ct_plan *plan)
{
	free(plan->jobs);
	for (size_t i = 0; i < plan->spec_count; i++)
		free(plan->specs[i]);
}
