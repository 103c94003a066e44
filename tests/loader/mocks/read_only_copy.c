/* SPDX-License-Identifier: MIT
 *
 * No fault: maps, reads and writes, but cannot tell an object's size; reading has a callback, writing has none.
 */
#define MOCK_TYPE read_only_copy
#define MOCK_MORE , .read = mock_read
#include "mock.h"
