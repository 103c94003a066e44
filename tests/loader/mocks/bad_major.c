/* SPDX-License-Identifier: MIT
 *
 * Fault: another ABI in the structure, though not in the note.
 */
#define MOCK_TYPE bad_major
#define MOCK_ABI_MAJOR 2
#include "mock.h"
