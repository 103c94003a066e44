/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it gives no access to an object's bytes.
 */
#define MOCK_TYPE no_access
#define MOCK_MAP NULL
#define MOCK_UNMAP NULL
#include "mock.h"
