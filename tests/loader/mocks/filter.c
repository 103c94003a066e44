/* SPDX-License-Identifier: MIT
 *
 * This mock is a filter without a fault.
 */
#define MOCK_TYPE filter
#include "mock_filter.h"
