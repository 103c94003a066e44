/* SPDX-License-Identifier: MIT
 *
 * runner.h - repeats a scenario for every call of every kind, which fails alone or with all later calls of its kind
 *
 * A scenario is a part of a program's life.  `before` prepares it and `after` ends it, both without failures; `body`
 * runs while calls fail.  `after` has to check that nothing was lost and that the failed calls work now, and to release
 * everything; the runner then compares blocks of memory, mappings and file descriptors with those before the run.
 */
#ifndef TESTS_STARVATION_RUNNER_H
#define TESTS_STARVATION_RUNNER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "tests/starvation/starve.h"

struct scenario {
	const char *name;
	const char *spec;
	void (*before)(const struct scenario *scenario);
	void (*body)(const struct scenario *scenario);
	void (*after)(const struct scenario *scenario);
	/*
	 * The scenario unloads plugins.  Address space that the system refuses to unmap is then lost, because the code
	 * that would try again is unloaded too.
	 */
	bool unloads;
};

/* The control of starve.so, which main() finds. */
extern const struct starve_control *starve;

/*
 * The main function of a program of scenarios.  Without --all, it takes some calls of each kind, chosen by a seed that
 * it prints.  It starts itself again with starve.so loaded.
 */
int starvation_main(int argc, char **argv, const struct scenario *scenarios, unsigned int count);

/* Reports a fault in this run.  The run continues, so that `after` can clean up. */
__attribute__((format(printf, 1, 2))) void fault(const char *format, ...);

/*
 * Checks a call: `call` is its name, and `result` what it returned.  A negative result is allowed if a call of the C
 * library has failed in this run and it is one of the errors given, a list that ends with 0.  This call must have set
 * the message, so expect_message() has to be called before it.  Returns true if the call succeeded.
 */
#define succeeds(call, result, ...) (judge_call(call, result, (const int[]){ __VA_ARGS__, 0 }))
bool judge_call(const char *call, int64_t result, const int *errors);

/* Checks that a call has failed with one of these errors. */
#define expect_refusal(call, result, ...) (judge_refusal(call, result, (const int[]){ __VA_ARGS__, 0 }))
void judge_refusal(const char *call, int64_t result, const int *errors);

/* Marks the last error, so that succeeds() and expect_refusal() notice if a failed call does not set it. */
void expect_message(void);

/* Checks, without failures, that a call succeeds. */
void require(const char *call, int64_t result);

#endif
