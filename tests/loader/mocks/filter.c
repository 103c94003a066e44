/* SPDX-License-Identifier: MIT
 *
 * A filter without a fault.
 */
#define MOCK_TYPE filter
#include "mock_filter.h"
