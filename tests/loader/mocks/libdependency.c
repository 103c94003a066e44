/* SPDX-License-Identifier: MIT
 *
 * A library that exports a driver, to be found by dlsym() in the name of in_dependency.
 */
#define MOCK_TYPE in_dependency
#define MOCK_NO_NOTE 1
#include "mock.h"

ZPOOL_PUBLIC int in_dependency_library(void);

int in_dependency_library(void)
{
	return 0;
}
