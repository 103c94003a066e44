/* SPDX-License-Identifier: MIT
 *
 * contract.h - the contract suite: what every driver owes the callers of zpool.h, as a library of cases and a runner
 *
 * A case is a sentence that zpool.h promises and the function that puts it to the proof.  All cases run on every
 * driver, chosen by name, through zpool.h alone.  What a driver may leave out (an optional callback) is asked through
 * the same interface; a case about it is then skipped, with the reason.
 *
 * Each case runs in a process of its own with a time limit, so that a crash or a hang is the failure of one case.
 */
#ifndef CONTRACT_H
#define CONTRACT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The case forks while threads run: left out where the tool that watches (thread sanitizer) cannot follow. */
#define CT_FORKS 0x1u

/* Where the library verifies pools it shall do so after each single call, however large they are. */
#define CT_EVERY_CALL 0x2u

/* The case is about the plugin's file, or about loading it: nothing is loaded, and no pool made, before it runs. */
#define CT_FILE 0x4u

/* It runs as long as it is told, and has a time limit of its own. */
#define CT_SLOW 0x8u

/* It takes about as long as CT_LONG_WEIGHT others, and is started before them where cases run in parallel. */
#define CT_LONG 0x10u
#define CT_LONG_WEIGHT 25

struct ct_case {
	const char *name;
	const char *promise;
	void (*run)(void);
	unsigned int flags;
};

/* Cases of one subject, ended by an entry without a name. */
struct ct_group {
	const char *subject;
	const struct ct_case *cases;
};

/* All groups, ended by one without a subject.  The first case that makes a pool is whether one can be made at all. */
extern const struct ct_group ct_groups[];

/* What can be said of a plugin's file. */
extern const struct ct_group ct_groups_file[];

enum ct_outcome {
	CT_RUNNING,
	CT_ENDING, /* claimed by the thread that writes the text */
	CT_PASSED,
	CT_FAILED,
	CT_SKIPPED
};

/* What became of a case: text is why it failed or was skipped, output what it and its driver printed, or "". */
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

/* How far the run is; by weight, of which a case has 1, or CT_LONG_WEIGHT. */
struct ct_progress {
	unsigned int done, total;
	unsigned int done_weight, total_weight;
	double elapsed_s;
};

/*
 * The functions that report a run.  Verdicts come in the order of the cases, however many run at once.  count is how
 * many verdicts there were; progress may be NULL, and is called several times a second.
 */
struct ct_report {
	void (*begin)(const struct ct_options *options);
	void (*verdict)(const struct ct_options *options, const struct ct_verdict *verdict);
	void (*left_out)(const struct ct_options *options, const char *spec);
	void (*progress)(const struct ct_options *options, const struct ct_progress *progress);
	void (*end)(const struct ct_options *options, unsigned int count);
};

/* In TAP, on standard output. */
extern const struct ct_report ct_report_tap;

/*
 * How to run.
 *
 * groups      the cases
 * report      whom to tell
 * command     print the command that runs a failed case alone, without a newline
 * debuggers   programs that can be put before that command, ended by NULL; or NULL
 * file        the plugin that ct_groups_file is to be run on, and its driver's type; or NULL
 * specs       drivers, or whole specs; count 0: every driver that zpool_each_driver() shows
 * cases       names of cases; count 0: all
 * seed        what all random choices come from, together with the case's name
 * operations  length of the model check; other cases that repeat scale theirs by it
 * timeout_s   for each case: how long it may wait or compute without a step; slow_timeout_s for those marked CT_SLOW
 * jobs        how many cases run at once; at least 1
 * pass_output print at once what cases print, and not only with a failure
 * isolate     a process for each case; false: in this process, for debuggers and sanitizers
 * fail_fast   stop at the first failure
 * rss         compare total_size with the resident memory
 */
struct ct_options {
	const struct ct_group *groups;
	const struct ct_report *report;
	void (*command)(FILE *to, const struct ct_options *options, const char *spec, const char *case_name);
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
	int interrupted; /* by this signal; what had not been run by then is not counted */
};

/* The number of processors that this process may use. */
unsigned int ct_processors(void);

/* Is there a case of that name in the groups? */
bool ct_case_exists(const struct ct_group *groups, const char *name);

/* Print a word of a command line, in quotes where it needs them. */
void ct_print_word(FILE *to, const char *word);

/* Print how a case is run alone: the environment that it needs, a debugger or "", and the command. */
void ct_print_alone(FILE *to, const struct ct_options *options, const char *debugger, const char *spec,
		    const char *case_name);

void ct_run(const struct ct_options *options, struct ct_totals *totals);

/* Running under valgrind or with a sanitizer: slower, and with more system calls and memory than the driver's own. */
bool ct_instrumented(void);

/* ... namely the thread sanitizer. */
bool ct_thread_sanitized(void);

/* Does the library verify the pool after every call (--enable-debug-checks)?  Slower, but otherwise as usual. */
bool ct_verified(void);

#endif /* CONTRACT_H */
