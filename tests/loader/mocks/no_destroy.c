/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the mandatory callback destroy is NULL.
 */
#define MOCK_TYPE no_destroy
#define MOCK_DESTROY NULL
#include "mock.h"
