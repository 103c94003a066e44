/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the mandatory callback total_size is NULL.
 */
#define MOCK_TYPE no_total_size
#define MOCK_TOTAL_SIZE NULL
#include "mock.h"
