/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it has unmap but not map.
 */
#define MOCK_TYPE only_unmap
#define MOCK_MAP NULL
#define MOCK_MORE , .read = mock_read, .write = mock_write
#include "mock.h"
