/* SPDX-License-Identifier: MIT
 *
 * message.h - messages on standard error
 *
 * All quoted text is escaped as described in text.h.
 */
#ifndef MESSAGE_H
#define MESSAGE_H 1

#include <argp.h>

/* Prints a line "zpoolctl: ..." after hiding the progress bar. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Like argp_error(): reports an invalid command line and exits with STATUS_USAGE. */
void usage_error(const struct argp_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for a reason that a child reports to its parent, such as zpool_last_error() with all paths that were tried. */
#define REASON_BYTES 4096

/* Reports that memory ran out and exits with STATUS_FAILED. */
void out_of_memory(void) __attribute__((noreturn));

#endif /* MESSAGE_H */
