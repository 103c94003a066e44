/* SPDX-License-Identifier: MIT
 *
 * suite.h - run a suite of Check as the whole of a test program
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H 1

#include <check.h>
#include <stdlib.h>

/* Runs the suite, frees it and returns the exit status of the program. CK_VERBOSITY changes what is printed. */
static inline int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
