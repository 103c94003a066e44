/* SPDX-License-Identifier: MIT
 *
 * Fault: it requires something that no core knows.
 */
#define MOCK_TYPE bad_flag
#define MOCK_FLAGS_REQUIRED 0x40000000
#include "mock.h"
