/* SPDX-License-Identifier: MIT
 *
 * contract.h - the conformance suite: what every driver must do for callers of zpool.h, as a library of cases and a
 * runner
 *
 * A case consists of a sentence that zpool.h promises and a function that tests it.  All cases run on every driver,
 * chosen by name, and use only zpool.h.  The suite finds out through the same interface which optional callbacks a
 * driver lacks, and skips the cases about them with the reason.
 *
 * Each case runs in its own process with a time limit, so that a crash or a hang is the failure of one case.
 */
#ifndef CONTRACT_H
#define CONTRACT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The case forks while threads run; it is left out under the thread sanitizer, which does not support that. */
#define CT_FORKS 0x1u

/* If the library verifies pools, it does so after every single call of this case, however large the pool is. */
#define CT_EVERY_CALL 0x2u

/* The case is about the plugin's file, or about loading it: nothing is loaded and no pool is created before it runs. */
#define CT_FILE 0x4u

/* The case runs as long as the user says, and has its own time limit. */
#define CT_SLOW 0x8u

/* The case takes about as long as CT_LONG_WEIGHT others, and starts before them if cases run in parallel. */
#define CT_LONG 0x10u
#define CT_LONG_WEIGHT 25

struct ct_case {
	const char *name;
	const char *promise;
	void (*run)(void);
	unsigned int flags;
};

/* The cases of one subject; an entry without a name ends the array. */
struct ct_group {
	const char *subject;
	const struct ct_case *cases;
};

/*
 * All groups; one without a subject ends the array.  The first case that creates a pool tests whether that works at
 * all.
 */
extern const struct ct_group ct_groups[];

/* The group of cases about a plugin's file. */
extern const struct ct_group ct_groups_file[];

enum ct_outcome {
	CT_RUNNING,
	CT_ENDING, /* claimed by the thread that writes the text */
	CT_PASSED,
	CT_FAILED,
	CT_SKIPPED
};

/*
 * The outcome of a case.  text is the reason why it failed or was skipped; output is what the case and its driver
 * printed, or "".
 */
struct ct_verdict {
	const struct ct_case *c;
	const char *subject;
	const char *spec;
	const char *text;
	const char *output;
	enum ct_outcome outcome;
	unsigned int number;
	double seconds;
};

struct ct_options;

/* The progress of the run, by weight: a case has the weight 1, or CT_LONG_WEIGHT. */
struct ct_progress {
	unsigned int done, total;
	unsigned int done_weight, total_weight;
	double elapsed_s;
};

/*
 * The functions that report a run.  Verdicts are reported in the order of the cases, however many run at once.  count
 * is the number of verdicts; progress may be NULL, and is called several times a second.
 */
struct ct_report {
	void (*begin)(const struct ct_options *options);
	void (*verdict)(const struct ct_options *options, const struct ct_verdict *verdict);
	void (*left_out)(const struct ct_options *options, const char *spec);
	void (*progress)(const struct ct_options *options, const struct ct_progress *progress);
	void (*end)(const struct ct_options *options, unsigned int count);
};

/* Reports in TAP format on standard output. */
extern const struct ct_report ct_report_tap;

/*
 * The options of a run.
 *
 * groups      the cases
 * report      the functions that report the run
 * program     the path of this program, for the command that runs a failed case alone
 * arguments   prints the arguments of that command, after a blank and without a newline
 * debuggers   programs that can be put before that command, ended by NULL; or NULL
 * file        the plugin that ct_groups_file is run on, and its driver's type; or NULL
 * specs       drivers, or whole specs; count 0: every driver that zpool_each_driver() reports
 * cases       names of cases; count 0: all
 * seed        the seed of all random choices, together with the case's name
 * operations  the length of the model check; other cases that repeat work scale with it
 * timeout_s   how long each case in its own process may wait or compute without a step; slow_timeout_s is for cases
 *             marked CT_SLOW
 * jobs        the number of cases that run at once; at least 1
 * pass_output print the output of cases immediately, and not only with a failure
 * isolate     run each case in its own process; false: in this process, for debuggers and sanitizers
 * fail_fast   stop at the first failure
 * rss         compare total_size with the resident memory
 */
struct ct_options {
	const struct ct_group *groups;
	const struct ct_report *report;
	const char *program;
	void (*arguments)(FILE *to, const struct ct_options *options, const char *spec, const char *case_name);
	const char *const *debuggers;
	const char *file;
	const char *file_type;
	const char *const *specs;
	size_t spec_count;
	const char *const *cases;
	size_t case_count;
	uint64_t seed;
	unsigned long operations;
	unsigned int timeout_s;
	unsigned int slow_timeout_s;
	unsigned int jobs;
	bool pass_output;
	bool isolate;
	bool fail_fast;
	bool rss;
};

struct ct_totals {
	unsigned int drivers;
	unsigned int passed;
	unsigned int failed;
	unsigned int skipped;
	int interrupted; /* the signal that ended the run; cases that had not run by then are not counted */
};

/* The number of processors that this process may use. */
unsigned int ct_processors(void);

/* Returns true if the groups have a case of that name. */
bool ct_case_exists(const struct ct_group *groups, const char *name);

/* Prints a word of a command line, with quotes if it needs them. */
void ct_print_word(FILE *to, const char *word);

/* Prints how to run a case alone: the environment that it needs, a debugger or "", the program and its arguments. */
void ct_print_alone(FILE *to, const struct ct_options *options, const char *debugger, const char *spec,
		    const char *case_name);

void ct_run(const struct ct_options *options, struct ct_totals *totals);

/* Returns true under valgrind or a sanitizer, which is slower and adds system calls and memory of its own. */
bool ct_instrumented(void);

/* Returns true under the thread sanitizer. */
bool ct_thread_sanitized(void);

/*
 * Returns true if the library verifies pools after every call (--enable-debug-checks), which is slower but otherwise
 * the same.
 */
bool ct_verified(void);

#endif /* CONTRACT_H */
