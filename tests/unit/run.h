/* SPDX-License-Identifier: MIT
 *
 * run.h - what the unit tests of the core share: running a suite, and assertions about errors and their texts
 */
#ifndef UNIT_RUN_H
#define UNIT_RUN_H 1

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "zpool.h"

/* Runs every test in turn and gives main's exit status. */
int unit_run(const char *suite, const TTest *const *tests, size_t count);
#define UNIT_RUN(suite, tests) unit_run(suite, tests, sizeof(tests) / sizeof *(tests))

/* false where a sanitizer or the caller forbids fork(): such a test returns at once. */
bool unit_may_fork(void);

/* Runs fn in a child: it gives the child's exit status; -1 if it was killed, which happens to one that hangs. */
int unit_in_child(int (*fn)(void));

/* A seed for this run, printed; UNIT_SEED in the environment repeats one. */
unsigned unit_seed(void);

/* Runs the program itself again with one argument and one more variable; stores its standard error in text. */
int unit_run_self(const char *argument, const char *variable, char *text, size_t text_bytes);

/* Leaves this many file descriptors to be opened; -1 takes the limit away. */
void unit_leave_descriptors(int count);

#define assert_contains(text, part)                                                                                    \
	ck_assert_msg(strstr((text), (part)) != NULL, "\"%s\" does not contain \"%s\"", (text), (part))
#define assert_lacks(text, part) ck_assert_msg(strstr((text), (part)) == NULL, "\"%s\" contains \"%s\"", (text), (part))

/* A call that returns -errno, and whose message has a certain part. */
#define assert_fails(call, err, part)                                                                                  \
	do {                                                                                                           \
		ck_assert_int_eq((call), -(err));                                                                      \
		assert_contains(zpool_last_error(), part);                                                             \
	} while (0)

/* A call that returns a pointer and sets errno. */
#define assert_fails_null(call, err, part)                                                                             \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		ck_assert_ptr_null(call);                                                                              \
		ck_assert_int_eq(errno, err);                                                                          \
		assert_contains(zpool_last_error(), part);                                                             \
	} while (0)

#endif
