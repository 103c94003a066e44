/* SPDX-License-Identifier: MIT
 *
 * Fault: a default that the parameter itself would refuse.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .default_value = "12", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_default
#define MOCK_PARAMS params
#include "mock.h"
