/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter has a name that the core reserves.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "limit", .help = "its own", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_limit
#define MOCK_PARAMS params
#include "mock.h"
