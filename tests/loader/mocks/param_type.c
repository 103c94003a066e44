/* SPDX-License-Identifier: MIT
 *
 * Fault: a parameter of a kind that no core knows.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .type = 99 },
};

#define MOCK_TYPE param_type
#define MOCK_PARAMS params
#include "mock.h"
