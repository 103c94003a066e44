/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it declares three parameters but has no table.
 */
#define MOCK_TYPE param_table
#define MOCK_PARAMS NULL
#define MOCK_PARAM_COUNT 3
#include "mock.h"
