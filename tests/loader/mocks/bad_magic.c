/* SPDX-License-Identifier: MIT
 *
 * Fault: another magic.
 */
#define MOCK_TYPE bad_magic
#define MOCK_MAGIC (ZPOOL_DRIVER_MAGIC ^ 1)
#include "mock.h"
