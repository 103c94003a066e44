/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: struct_size ends before the mandatory callbacks.
 */
#define MOCK_TYPE short_struct
#define MOCK_STRUCT_SIZE 64
#include "mock.h"
