/* SPDX-License-Identifier: MIT
 *
 * run.h - what the unit tests of the core share: running a suite, and assertions about errors and their texts
 */
#ifndef UNIT_RUN_H
#define UNIT_RUN_H 1

#include "tests/suite.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "zpool.h"

/* Runs every test in turn and returns the exit status for main(). */
int unit_run(const char *suite, const TTest *const *tests, size_t count);
#define UNIT_RUN(suite, tests) unit_run(suite, tests, sizeof(tests) / sizeof((tests)[0]))

/* Returns false if a sanitizer or the caller forbids fork(); a test that needs fork() then returns at once. */
bool unit_may_fork(void);

/*
 * Calls a function UNIT_HEAP_ROUNDS times and returns the bytes by which the program's heap has grown since the second
 * call, or 0 where the allocator does not tell: outside glibc, and under a sanitizer.
 */
enum { UNIT_HEAP_ROUNDS = 1000 };
size_t unit_heap_growth_bytes(void (*fn)(void));

/*
 * Returns false if a child of a program with busy threads cannot use its memory: the locks of the address sanitizer may
 * be held by threads that the child does not have, and memcheck reports the memory on their stacks as leaks.
 */
bool unit_child_can_allocate(void);

/* Runs fn in a child and returns the child's exit status, or -1 if it was killed. A child that hangs is killed. */
int unit_in_child(int (*fn)(void));

/* Returns a seed for this run and prints it. UNIT_SEED in the environment repeats a run. */
unsigned int unit_seed(void);

/*
 * Runs this program again with one argument and one more environment variable, and stores its standard error in text.
 */
int unit_run_self(const char *argument, const char *variable, char *text, size_t text_bytes);

/* Leaves only this many file descriptors available; -1 removes the limit. */
void unit_leave_descriptors(int count);

#define assert_contains(text, part)                                                                                    \
	ck_assert_msg(strstr((text), (part)) != NULL, "\"%s\" does not contain \"%s\"", (text), (part))
#define assert_lacks(text, part) ck_assert_msg(strstr((text), (part)) == NULL, "\"%s\" contains \"%s\"", (text), (part))

/* Checks that a call returns -errno, and that its message contains this text. */
#define assert_fails(call, err, part)                                                                                  \
	do {                                                                                                           \
		ck_assert_int_eq((call), -(err));                                                                      \
		assert_contains(zpool_last_error(), part);                                                             \
	} while (0)

/* Checks that a call returns NULL and sets errno. */
#define assert_fails_null(call, err, part)                                                                             \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		ck_assert_ptr_null(call);                                                                              \
		ck_assert_int_eq(errno, err);                                                                          \
		assert_contains(zpool_last_error(), part);                                                             \
	} while (0)

#endif
