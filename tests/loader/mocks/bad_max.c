/* SPDX-License-Identifier: MIT
 *
 * Fault: the largest object has no bytes.
 */
#define MOCK_TYPE bad_max
#define MOCK_MAX_OBJECT 0
#include "mock.h"
