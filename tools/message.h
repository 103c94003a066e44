/* SPDX-License-Identifier: MIT
 *
 * message.h - what the tool says on standard error
 */
#ifndef MESSAGE_H
#define MESSAGE_H 1

/* A line "zpoolctl: ...", with the progress bar out of its way. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Room for a reason that a child tells its parent, such as zpool_last_error() with all paths that were tried. */
#define REASON_BYTES 4096

/* Says so and exits with STATUS_FAILED. */
void out_of_memory(void) __attribute__((noreturn));

#endif /* MESSAGE_H */
