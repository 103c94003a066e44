/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault, but it needs a library that may not be available yet.
 */
int late_function(void);

#define MOCK_TYPE needs_late
#include "mock.h"

/* The reference makes the linker keep the dependency. */
extern ZPOOL_PUBLIC int (*const needs_late_function)(void);
int (*const needs_late_function)(void) = late_function;
