/* SPDX-License-Identifier: MIT
 *
 * runner.h - repeats a scenario while one call of the C library fails: every call of every kind, alone and from there
 * on
 *
 * A scenario is a piece of a program's life.  `before` prepares it and `after` ends it, both without failures; `body`
 * runs while a call fails.  `after` has to show that nothing was lost and that the next try works, and to give back all
 * that was taken; the runner then compares blocks of memory, mappings and file descriptors.
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
	 * Plugins are unloaded. Address space that the system refuses to unmap is then lost, because the code that
	 * would have tried again is gone.
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
 * Judges a call: `call` names it, `result` is what it returned.  A negative result is allowed if a call of the C
 * library has failed in this run and it is one of the errors given, a list that ends with 0.  The message has to be one
 * of this call; expect_message() is called before it.  Returns true if the call succeeded.
 */
#define succeeds(call, result, ...) (judge_call(call, result, (const int[]){ __VA_ARGS__, 0 }))
bool judge_call(const char *call, int64_t result, const int *errors);

/* Judges a call that has to fail, with one of these errors. */
#define expect_refusal(call, result, ...) (judge_refusal(call, result, (const int[]){ __VA_ARGS__, 0 }))
void judge_refusal(const char *call, int64_t result, const int *errors);

/* Makes succeeds() and expect_refusal() recognise a message that was not set since. */
void expect_message(void);

/* Checks, without failures, that a call succeeds. */
void require(const char *call, int64_t result);

#endif
