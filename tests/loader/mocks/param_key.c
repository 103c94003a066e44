/* SPDX-License-Identifier: MIT
 *
 * Fault: a parameter without a key.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .help = "how much", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_key
#define MOCK_PARAMS params
#include "mock.h"
