/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its largest object has no bytes.
 */
#define MOCK_TYPE bad_max
#define MOCK_MAX_OBJECT 0
#include "mock.h"
