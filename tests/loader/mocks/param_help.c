/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter has no help text.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_help
#define MOCK_PARAMS params
#include "mock.h"
