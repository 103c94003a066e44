/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the mandatory callback malloc is NULL.
 */
#define MOCK_TYPE no_malloc
#define MOCK_MALLOC NULL
#include "mock.h"
