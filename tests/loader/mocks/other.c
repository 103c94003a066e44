/* SPDX-License-Identifier: MIT
 *
 * No fault; there to be loaded while something else is.
 */
#define MOCK_TYPE other
#include "mock.h"
