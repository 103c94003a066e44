/* SPDX-License-Identifier: MIT
 *
 * child.h - run a driver's code where it can do no harm
 *
 * A plugin may crash, hang, exit or print.  So it runs in a forked child, whose standard output is our standard error,
 * and which tells what it found through a pipe.
 */
#ifndef CHILD_H
#define CHILD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_end {
	int status; /* as wait(2) gives it */
	bool hung;  /* it said nothing for timeout_seconds, and was killed */
	unsigned int timeout_seconds;
};

struct child_job {
	void (*run)(int out, void *arg); /* in the child; writes to `out` what it has to tell */
	void *arg;
	void (*sink)(void *user, const void *bytes, size_t count); /* in the parent, gets what the child writes */
	void *user;
	unsigned int timeout_seconds;
};

/* Run a job to its end, however that looks.  0, or -errno after a message: there could be no child. */
int child_run(const struct child_job *job, struct child_end *end);

/* It ended by itself, in the orderly way. */
bool child_succeeded(const struct child_end *end);

/* How it ended otherwise, such as "killed by SIGSEGV (Segmentation fault)". */
#define CHILD_TEXT 128
void child_describe(const struct child_end *end, char text[CHILD_TEXT]);

/* In the child: write all of it, or exit. */
void child_tell(int out, const void *bytes, size_t count);

#endif /* CHILD_H */
