/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter's default is not a valid value of the parameter.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .default_value = "12", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_default
#define MOCK_PARAMS params
#include "mock.h"
