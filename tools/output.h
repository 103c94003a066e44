/* SPDX-License-Identifier: MIT
 *
 * output.h - files that the tool writes, and its standard output: either complete, or a message and a failure
 */
#ifndef OUTPUT_H
#define OUTPUT_H 1

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

/*
 * Must be called at the start of main(). From then on, reaching the file size limit is an error instead of SIGXFSZ, and
 * no opened file takes the descriptor of a standard stream that is closed. When the process exits, it is checked that
 * standard output accepted everything; otherwise the exit status is STATUS_FAILED. SIGPIPE is not changed.
 */
void output_guard(void);

/* Returns true if the file can be written, as far as a check without a change shows; else false, after a message. */
bool output_check(const char *path);

/*
 * A regular file is written under a temporary name in its directory and renamed when it is complete. Until then, and on
 * failure, the path keeps its old contents. Signals that would end the tool are blocked meanwhile. The file itself is
 * written if this is not possible (no permission to write to the directory, several hard links, another owner), and if
 * it is not a regular file.  If it is the file to which standard output or standard error was redirected, the bytes are
 * appended to what was printed.
 */
struct output {
	FILE *stream;
	const char *path; /* owned by the caller */
	char *target;     /* the file that the path leads to */
	char *temporary;  /* the temporary name; NULL: the file itself is written */
	bool made;        /* the file itself is written, and did not exist before */
	sigset_t mask;
};

/* Returns false after a message; output_end() must not be called then. */
bool output_begin(struct output *output, const char *path);
/* Returns false, after a message, if something could not be written. */
bool output_end(struct output *output);
/* Called instead of output_end(): leaves the path as it was, as far as possible. */
void output_drop(struct output *output);

#endif /* OUTPUT_H */
