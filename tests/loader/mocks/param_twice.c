/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: two parameters have the same key.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
	{ .key = "level", .help = "how much again", .default_value = "2", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_twice
#define MOCK_PARAMS params
#include "mock.h"
