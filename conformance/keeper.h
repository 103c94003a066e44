/* SPDX-License-Identifier: MIT
 *
 * keeper.h - a process that runs one case in another process and supervises it
 *
 * The runner forks a keeper for each case, so that cases can run in parallel.  The keeper forks the process of the
 * case, collects its output, decides whether it still makes progress, and becomes the parent of every process that the
 * case leaves behind, so that none outlives the case.  It stores its verdict in the result, which is in shared memory.
 */
#ifndef CT_KEEPER_H
#define CT_KEEPER_H 1

#include "outcome.h"

#include <signal.h>

/*
 * What to run.
 *
 * body         what the case's process does; the process ends when it returns
 * timeout_s    how long it may wait or compute without progress
 * pass_output  copy its output to standard error immediately
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
 * Forks a keeper, which runs the job and exits.  Returns its process id, or -1 with errno.  On SIGTERM a keeper kills
 * all processes of its case and exits.
 */
pid_t ct_keeper_start(const struct ct_keeper_job *job, struct ct_result *result);

/* Takes the status from wait(2) for a keeper, and completes the result if the keeper itself failed. */
void ct_keeper_ended(struct ct_result *result, int status);

#endif /* CT_KEEPER_H */
