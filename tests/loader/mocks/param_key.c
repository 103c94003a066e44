/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter has no key.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .help = "how much", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_key
#define MOCK_PARAMS params
#include "mock.h"
