/* SPDX-License-Identifier: MIT
 *
 * This library exports a driver, which dlsym() finds when it looks in in_dependency.
 */
#define MOCK_TYPE in_dependency
#define MOCK_NO_NOTE 1
#include "mock.h"

ZPOOL_PUBLIC int in_dependency_library(void);

int in_dependency_library(void)
{
	return 0;
}
