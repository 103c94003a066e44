/* SPDX-License-Identifier: MIT
 *
 * This mock is a faulty filter: it does not destroy the pool below itself.
 */
#include <stdlib.h>

#define MOCK_TYPE filter_leaky
#define MOCK_DESTROY free
#include "mock_filter.h"
