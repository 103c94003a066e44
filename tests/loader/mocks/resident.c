/* SPDX-License-Identifier: MIT
 *
 * Stays in memory, as its flags say.
 */
#define MOCK_TYPE resident
#define MOCK_FLAGS_REQUIRED ZPOOL_DRIVER_RESIDENT
#include "mock.h"
