/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its alignment is not a power of two.
 */
#define MOCK_TYPE bad_alignment
#define MOCK_ALIGNMENT 24
#include "mock.h"
