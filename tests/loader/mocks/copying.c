/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault.  It does not map objects; it only copies data in and out.
 */
#define MOCK_TYPE copying
#define MOCK_MAP NULL
#define MOCK_UNMAP NULL
#define MOCK_MORE , .read = mock_read, .write = mock_write
#include "mock.h"
