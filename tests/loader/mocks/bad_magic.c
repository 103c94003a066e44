/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its magic number is wrong.
 */
#define MOCK_TYPE bad_magic
#define MOCK_MAGIC (ZPOOL_DRIVER_MAGIC ^ 1)
#include "mock.h"
