/* SPDX-License-Identifier: MIT
 *
 * outcome.h - between the runner and what the cases are written with: how a case ends
 */
#ifndef CT_OUTCOME_H
#define CT_OUTCOME_H 1

#include "contract.h"

#include <stdatomic.h>
#include <sys/types.h>

/* What is kept of what a case prints: the beginning, and the end. */
enum { CT_OUTPUT_HEAD_BYTES = 4096, CT_OUTPUT_TAIL_BYTES = 2048 };

/*
 * What a case tells the runner, in memory shared with every process that the case forks.
 *
 * steps   rises while the case gets something done; child_steps while a process that it forked does
 * ready   the driver was loaded and made a pool, so that trying further cases makes sense
 * output  what the case and its driver printed, with a note where the middle was left out
 */
struct ct_result {
	_Atomic int outcome;
	_Atomic(uint64_t) steps, child_steps;
	bool ready;
	bool needs_value; /* has a parameter that it cannot do without */
	uint32_t caps;
	char text[4096];
	char output[CT_OUTPUT_HEAD_BYTES + CT_OUTPUT_TAIL_BYTES + 100];
};

void ct_result_clear(struct ct_result *result);

/* Add a sentence to the text, and make the case a failed one. */
void ct_result_fail(struct ct_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Run one case in this process, and leave its outcome in *result. */
void ct_outcome_run(const struct ct_case *c, const char *spec, const struct ct_options *options,
		    struct ct_result *result);

/* Only load the driver and look what it can do, into result->caps. */
void ct_outcome_probe(const char *type, struct ct_result *result);

/* End the case, whose outcome is set: never returns. */
_Noreturn void ct_outcome_leave(void);

/* Is the outcome known, from whatever thread or process of the case? */
bool ct_outcome_known(void);

/* In a forked process: its steps count apart, and ct_child_steps() is how many they are. */
void ct_outcome_in_child(void);
uint64_t ct_child_steps(void);

/* What the case is told of its driver without asking it (setup.c). */
void ct_setup_context(const char *spec, const struct ct_options *options);

/* Learn what driver is under test; fails the case if it cannot be had (setup.c). */
void ct_setup(const char *spec, const struct ct_options *options, struct ct_result *result);

/* What a driver of that type says that it can do, and whether it is known (setup.c). */
bool ct_caps_of(const char *type, uint32_t *caps);

#endif /* CT_OUTCOME_H */
