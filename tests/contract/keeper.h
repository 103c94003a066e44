/* SPDX-License-Identifier: MIT
 *
 * keeper.h - a process that runs one case in another process, and stays in control of it
 *
 * The runner forks a keeper for each case, so that cases can run side by side.  The keeper forks the process of the
 * case, collects what it prints, decides whether it still makes progress, and becomes the parent of every process that
 * the case leaves behind, so that none survives the case.  Its verdict goes into the result, in shared memory.
 */
#ifndef CT_KEEPER_H
#define CT_KEEPER_H 1

#include "outcome.h"

#include <signal.h>

/*
 * What to run.
 *
 * body         what the case's process does; the process ends when it returns
 * timeout_s    how long it may wait, or compute, without progress
 * pass_output  what it prints is also written to standard error, as it comes
 * mask         the signals that are blocked in it
 */
struct ct_keeper_job {
	void (*body)(void *arg);
	void *arg;
	unsigned int timeout_s;
	bool pass_output;
	sigset_t mask;
};

/*
 * Fork a keeper, which runs the job and exits.  Returns its process id, or -1 and errno.  SIGTERM makes a keeper kill
 * all processes of its case and exit.
 */
pid_t ct_keeper_start(const struct ct_keeper_job *job, struct ct_result *result);

/* What wait(2) gave for a keeper: completes the result where the keeper itself could not do its work. */
void ct_keeper_ended(struct ct_result *result, int status);

#endif /* CT_KEEPER_H */
