/* SPDX-License-Identifier: MIT
 *
 * check-report.h - what zpoolctl check found, for other programs: JSON and JUnit
 */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H 1

#include <stdbool.h>

#include "../tests/contract/contract.h"

/*
 * TAP as the checks go on, or with as_json JSON at the end, on standard output; and JUnit to this file at the end,
 * NULL: none.  false, after a message: the file cannot be opened.
 */
bool check_report_start(bool as_json, const char *junit);

extern const struct ct_report check_report;

/* false, after a message: a report could not be written. */
bool check_report_finish(void);

#endif /* CHECK_REPORT_H */
