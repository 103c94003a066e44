/* SPDX-License-Identifier: MIT
 *
 * No fault: no addresses, only copies in and out.
 */
#define MOCK_TYPE copying
#define MOCK_MAP NULL
#define MOCK_UNMAP NULL
#define MOCK_MORE , .read = mock_read, .write = mock_write
#include "mock.h"
