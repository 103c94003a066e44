/* SPDX-License-Identifier: MIT
 *
 * child.h - run driver code where it can do no harm
 *
 * A plugin may crash, hang, exit or print. It therefore runs in a forked child, whose standard output is our standard
 * error, and which reports its results through a pipe.
 */
#ifndef CHILD_H
#define CHILD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_end {
	int status; /* as returned by wait(2) */
	bool lost;  /* something else has taken the status, so nobody knows how the child ended */
	bool hung;  /* it wrote nothing for timeout_seconds, in which it was not stopped, and was killed */
	unsigned int timeout_seconds;
};

struct child_job {
	void (*run)(int out, void *arg); /* runs in the child and writes its results to `out` */
	void *arg;
	/* runs in the parent and receives what the child writes */
	void (*sink)(void *user, const void *bytes, size_t count);
	void *user;
	unsigned int timeout_seconds;
};

/*
 * Must be called at the start of main(). The program that started this one may have passed on an ignored SIGCHLD; the
 * kernel would then tell nobody how a child ended, and give its pid to another process at once.
 */
void child_expect(void);

/* Runs a job until it ends in any way. Returns 0, or -errno after a message if no child could be created. */
int child_run(const struct child_job *job, struct child_end *end);

/* Returns true if the child exited normally with status 0. */
bool child_succeeded(const struct child_end *end);

/* Describes how else it ended, such as "killed by SIGSEGV (Segmentation fault)". */
#define CHILD_TEXT 128
void child_describe(const struct child_end *end, char text[CHILD_TEXT]);

/* In the child: writes all bytes, or exits. */
void child_report(int out, const void *bytes, size_t count);

#endif /* CHILD_H */
