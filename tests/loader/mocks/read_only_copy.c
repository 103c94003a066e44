/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault: it maps, reads and writes, but does not report an object's size; it has a callback for
 * reading but none for writing.
 */
#define MOCK_TYPE read_only_copy
#define MOCK_MORE , .read = mock_read
#include "mock.h"
