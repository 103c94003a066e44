/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: struct_size exceeds the size of the symbol.
 */
#define MOCK_TYPE large_struct
#define MOCK_STRUCT_SIZE (sizeof(struct zpool_driver) + 64)
#include "mock.h"
