/* SPDX-License-Identifier: MIT
 *
 * output.h - files that the tool writes, and its standard output: complete, or a message and a failure
 */
#ifndef OUTPUT_H
#define OUTPUT_H 1

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * At the start of main().  From here on a file that meets the size limit is an error instead of SIGXFSZ, and no file
 * that is opened takes the place of a standard stream that is closed.  When the process exits, it is checked that
 * standard output took everything; if it did not, the exit status is STATUS_FAILED.  SIGPIPE is left as it is.
 */
void output_guard(void);

/* Can the file be written, as far as that shows without touching it?  false after a message. */
bool output_check(const char *path);

/*
 * A regular file is written under another name in its directory, and takes its own name when it is complete: until
 * then, and if it fails, the path has what it had before.  Signals that would end the tool wait meanwhile.  The file
 * itself is written where that cannot be (no right to write to the directory, several hard links, another owner), and
 * where it is no regular file.
 */
struct output {
	FILE *stream;
	const char *path; /* the caller's */
	char *target;     /* the file that it leads to */
	char *temporary;  /* its other name; NULL: the file itself is written */
	bool made;        /* the file itself is written, and was not there before */
	sigset_t mask;
};

/* false after a message: there is nothing to end. */
bool output_begin(struct output *output, const char *path);
/* false after a message: something could not be written. */
bool output_end(struct output *output);
/* Instead of the end: leave the path as it was, as far as that can be. */
void output_drop(struct output *output);

#endif /* OUTPUT_H */
