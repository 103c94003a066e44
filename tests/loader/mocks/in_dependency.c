/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the driver symbol that dlsym() finds in it belongs to a library that it needs.
 */
#define MOCK_TYPE in_dependency
#define MOCK_NO_DRIVER 1
#include "mock.h"

int in_dependency_library(void);

/* The reference makes the linker keep the dependency. */
extern ZPOOL_PUBLIC int (*const in_dependency_function)(void);
int (*const in_dependency_function)(void) = in_dependency_library;
