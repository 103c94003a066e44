/* SPDX-License-Identifier: MIT
 *
 * Stays in memory, as the linker was told (-z nodelete).
 */
#define MOCK_TYPE no_delete
#include "mock.h"
