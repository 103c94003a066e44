/* SPDX-License-Identifier: MIT
 *
 * outcome.h - between the runner and what the cases are written with: how a case ends
 */
#ifndef CT_OUTCOME_H
#define CT_OUTCOME_H 1

#include "contract.h"

#include <stdatomic.h>
#include <sys/types.h>

/*
 * What a case tells the runner, in memory shared with every process that the case forks.
 *
 * ready  the driver was loaded and made a pool, so that trying further cases makes sense
 */
struct ct_result {
	_Atomic int outcome;
	bool ready;
	bool needs_value; /* has a parameter that it cannot do without */
	uint32_t caps;
	char text[4096];
};

/* Run one case in this process, and leave its outcome in *result. */
void ct_outcome_run(const struct ct_case *c, const char *spec, const struct ct_options *options,
		    struct ct_result *result);

/* Only load the driver and look what it can do, into result->caps. */
void ct_outcome_probe(const char *type, struct ct_result *result);

/* End the case, whose outcome is set: never returns. */
_Noreturn void ct_outcome_leave(void);

/* Is the outcome known, from whatever thread or process of the case? */
bool ct_outcome_known(void);

/* What the case is told of its driver without asking it (setup.c). */
void ct_setup_context(const char *spec, const struct ct_options *options);

/* Learn what driver is under test; fails the case if it cannot be had (setup.c). */
void ct_setup(const char *spec, const struct ct_options *options, struct ct_result *result);

/* What a driver of that type says that it can do, and whether it is known (setup.c). */
bool ct_caps_of(const char *type, uint32_t *caps);

#endif /* CT_OUTCOME_H */
