/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its note names another ABI.
 */
#include "zpool-driver.h"

#undef ZPOOL_ABI_MAJOR
#define ZPOOL_ABI_MAJOR 2
#define MOCK_TYPE bad_note_major
#define MOCK_ABI_MAJOR 1
#include "mock.h"
