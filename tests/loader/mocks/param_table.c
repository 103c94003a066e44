/* SPDX-License-Identifier: MIT
 *
 * Fault: three parameters, and no table.
 */
#define MOCK_TYPE param_table
#define MOCK_PARAMS NULL
#define MOCK_PARAM_COUNT 3
#include "mock.h"
