/* SPDX-License-Identifier: MIT
 *
 * Fault: struct_size goes beyond the symbol.
 */
#define MOCK_TYPE large_struct
#define MOCK_STRUCT_SIZE (sizeof(struct zpool_driver) + 64)
#include "mock.h"
