/* SPDX-License-Identifier: MIT
 *
 * child.h - checks in a child process, whose exit status is all that the test sees
 *
 * `what` is a text that is printed first, such as the driver's name.
 */
#ifndef UNIT_CHILD_H
#define UNIT_CHILD_H 1

#include <stdio.h>
#include <unistd.h>

/* A child that cannot run its test prints the reason and exits with this status. */
enum { CHILD_SKIPPED = 77 };

/* If the condition does not hold, prints it and ends the child. */
#define CHILD_CHECK(what, condition, ...)                                                                              \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			printf("# %s: %s: ", what, #condition);                                                        \
			printf(__VA_ARGS__);                                                                           \
			printf("\n");                                                                                  \
			(void)fflush(stdout);                                                                          \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

#define CHILD_SKIP(what, ...)                                                                                          \
	do {                                                                                                           \
		printf("# skipped for %s: ", what);                                                                    \
		printf(__VA_ARGS__);                                                                                   \
		printf("\n");                                                                                          \
		(void)fflush(stdout);                                                                                  \
		_exit(CHILD_SKIPPED);                                                                                  \
	} while (0)

#endif
