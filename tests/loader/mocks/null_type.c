/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its type is NULL.
 */
#define MOCK_TYPE null_type
#define MOCK_TYPE_TEXT NULL
#include "mock.h"
