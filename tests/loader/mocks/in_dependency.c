/* SPDX-License-Identifier: MIT
 *
 * Fault: the driver that it shows is that of a library it depends on.
 */
#define MOCK_TYPE in_dependency
#define MOCK_NO_DRIVER 1
#include "mock.h"

int in_dependency_library(void);

/* Keeps the dependency needed. */
extern ZPOOL_PUBLIC int (*const in_dependency_function)(void);
int (*const in_dependency_function)(void) = in_dependency_library;
