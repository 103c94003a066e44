/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault, but it has no note either.
 */
#define MOCK_TYPE no_note
#define MOCK_NO_NOTE 1
#include "mock.h"
