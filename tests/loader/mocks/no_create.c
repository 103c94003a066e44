/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the mandatory callback create is NULL.
 */
#define MOCK_TYPE no_create
#define MOCK_CREATE NULL
#include "mock.h"
