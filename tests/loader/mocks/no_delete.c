/* SPDX-License-Identifier: MIT
 *
 * This mock stays in memory because it is linked with -z nodelete.
 */
#define MOCK_TYPE no_delete
#include "mock.h"
