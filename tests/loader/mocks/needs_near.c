/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault, but it needs a library for which its run path names the directory near/ beside it.
 */
int late_function(void);

#define MOCK_TYPE needs_near
#include "mock.h"

/* The reference makes the linker keep the dependency. */
extern ZPOOL_PUBLIC int (*const needs_near_function)(void);
int (*const needs_near_function)(void) = late_function;
