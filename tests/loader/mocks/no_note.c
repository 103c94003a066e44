/* SPDX-License-Identifier: MIT
 *
 * No fault, but no note either.
 */
#define MOCK_TYPE no_note
#define MOCK_NO_NOTE 1
#include "mock.h"
