/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: struct_size ends in the middle of a member.
 */
#define MOCK_TYPE odd_struct
#define MOCK_STRUCT_SIZE (sizeof(struct zpool_driver) - 4)
#include "mock.h"
