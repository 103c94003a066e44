/* SPDX-License-Identifier: MIT
 *
 * Fault: struct_size ends before the mandatory callbacks do.
 */
#define MOCK_TYPE short_struct
#define MOCK_STRUCT_SIZE 64
#include "mock.h"
