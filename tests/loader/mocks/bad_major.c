/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its structure names another ABI, although its note does not.
 */
#define MOCK_TYPE bad_major
#define MOCK_ABI_MAJOR 2
#include "mock.h"
