/* SPDX-License-Identifier: MIT
 *
 * Fault: a filter that forgets to end the pool below it.
 */
#include <stdlib.h>

#define MOCK_TYPE filter_leaky
#define MOCK_DESTROY free
#include "mock_filter.h"
