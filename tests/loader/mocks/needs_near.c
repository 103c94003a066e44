/* SPDX-License-Identifier: MIT
 *
 * No fault, but it needs a library that its run path has the linker look for in the directory near/ beside it.
 */
int late_function(void);

#define MOCK_TYPE needs_near
#include "mock.h"

/* Keeps the dependency needed. */
extern ZPOOL_PUBLIC int (*const needs_near_function)(void);
int (*const needs_near_function)(void) = late_function;
