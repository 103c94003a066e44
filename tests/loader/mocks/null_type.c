/* SPDX-License-Identifier: MIT
 *
 * Fault: the type is NULL.
 */
#define MOCK_TYPE null_type
#define MOCK_TYPE_TEXT NULL
#include "mock.h"
