/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault; its name has the greatest length that is allowed.
 */
#define MOCK_TYPE a2345678901234567890123456789012
#include "mock.h"
