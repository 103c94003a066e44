/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter has a type that no core knows.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .type = 99 },
};

#define MOCK_TYPE param_type
#define MOCK_PARAMS params
#include "mock.h"
