/* SPDX-License-Identifier: MIT
 *
 * outcome.h - how a case ends: the interface between the runner and the functions that cases use
 */
#ifndef CT_OUTCOME_H
#define CT_OUTCOME_H 1

#include "contract.h"

#include <stdatomic.h>
#include <sys/types.h>

/* How much of a case's output is kept: its beginning and its end. */
enum { CT_OUTPUT_HEAD_BYTES = 4096, CT_OUTPUT_TAIL_BYTES = 2048 };

/*
 * What a case reports to the runner, in memory shared with every process that the case forks.
 *
 * steps   grows while the case makes progress; child_steps while a process that it forked does
 * ready   the driver was loaded and created a pool, so that further cases make sense
 * output  what the case and its driver printed, with a note if the middle was left out
 */
struct ct_result {
	_Atomic int outcome;
	_Atomic(uint64_t) steps, child_steps;
	bool ready;
	char needed_key[64]; /* a parameter without a default, which needs a value; or "" */
	uint32_t caps;
	char text[4096];
	char output[CT_OUTPUT_HEAD_BYTES + CT_OUTPUT_TAIL_BYTES + 100];
};

void ct_result_clear(struct ct_result *result);

/* Adds a sentence to the text and marks the case as failed. */
void ct_result_fail(struct ct_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs one case in this process and stores its outcome in *result. */
void ct_outcome_run(const struct ct_case *c, const char *spec, const struct ct_options *options,
		    struct ct_result *result);

/* Only loads the driver and stores its capabilities in result->caps. */
void ct_outcome_probe(const char *type, struct ct_result *result);

/* Ends the case, whose outcome is already set.  Never returns. */
_Noreturn void ct_outcome_leave(void);

/* Returns true if any thread or process of the case has set the outcome. */
bool ct_outcome_known(void);

/* For a forked process: its steps are counted separately, and ct_child_steps() returns their number. */
void ct_outcome_in_child(void);
uint64_t ct_child_steps(void);

/* Sets what the case knows about its driver without using it (setup.c). */
void ct_setup_context(const char *spec, const struct ct_options *options);

/* Finds out about the driver under test; fails the case if the driver cannot be used (setup.c). */
void ct_setup(const char *spec, const struct ct_options *options, struct ct_result *result);

/* Returns the capabilities that zpool_each_driver() reports for a type, and whether they are known (setup.c). */
bool ct_caps_of(const char *type, uint32_t *caps);

#endif /* CT_OUTCOME_H */
