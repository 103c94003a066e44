/* SPDX-License-Identifier: MIT
 *
 * check-report.h - the results of zpoolctl check for other programs, as JSON and JUnit
 */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H 1

#include <stdbool.h>

#include "../conformance/contract.h"

/*
 * Prints TAP while the tests run, or JSON at the end if as_json is set, on standard output. At the end it also writes
 * JUnit to the file `junit`, unless that is NULL. Returns false, after a message, if the file cannot be opened.
 */
bool check_report_start(bool as_json, const char *junit);

extern const struct ct_report check_report;

/* Returns false, after a message, if a report could not be written. */
bool check_report_finish(void);

#endif /* CHECK_REPORT_H */
