/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it has map but not unmap.
 */
#define MOCK_TYPE only_map
#define MOCK_UNMAP NULL
#define MOCK_MORE , .read = mock_read, .write = mock_write
#include "mock.h"
