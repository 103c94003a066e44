/* SPDX-License-Identifier: MIT
 *
 * message.h - messages on standard error
 *
 * Whatever they quote is escaped as text.h does it.
 */
#ifndef MESSAGE_H
#define MESSAGE_H 1

#include <argp.h>

/* A line "zpoolctl: ...", with the progress bar out of its way. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As argp_error(): the command line makes no sense.  Exits with STATUS_USAGE. */
void usage_error(const struct argp_state *state, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for a reason that a child reports to its parent, such as zpool_last_error() with all paths that were tried. */
#define REASON_BYTES 4096

/* Says so and exits with STATUS_FAILED. */
void out_of_memory(void) __attribute__((noreturn));

#endif /* MESSAGE_H */
