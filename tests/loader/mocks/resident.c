/* SPDX-License-Identifier: MIT
 *
 * This mock stays in memory because its flags require that.
 */
#define MOCK_TYPE resident
#define MOCK_FLAGS_REQUIRED ZPOOL_DRIVER_RESIDENT
#include "mock.h"
