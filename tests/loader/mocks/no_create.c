/* SPDX-License-Identifier: MIT
 *
 * Fault: the mandatory callback create is NULL.
 */
#define MOCK_TYPE no_create
#define MOCK_CREATE NULL
#include "mock.h"
