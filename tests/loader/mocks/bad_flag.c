/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it requires a feature that no core has.
 */
#define MOCK_TYPE bad_flag
#define MOCK_FLAGS_REQUIRED 0x40000000
#include "mock.h"
