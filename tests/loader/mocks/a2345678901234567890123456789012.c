/* SPDX-License-Identifier: MIT
 *
 * No fault, and a name as long as names may be.
 */
#define MOCK_TYPE a2345678901234567890123456789012
#include "mock.h"
