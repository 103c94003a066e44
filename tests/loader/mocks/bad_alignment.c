/* SPDX-License-Identifier: MIT
 *
 * Fault: an alignment that is no power of two.
 */
#define MOCK_TYPE bad_alignment
#define MOCK_ALIGNMENT 24
#include "mock.h"
