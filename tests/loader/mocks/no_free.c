/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the mandatory callback free is NULL.
 */
#define MOCK_TYPE no_free
#define MOCK_FREE NULL
#include "mock.h"
