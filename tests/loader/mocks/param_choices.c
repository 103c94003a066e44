/* SPDX-License-Identifier: MIT
 *
 * Fault: a choice between nothing.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "mode", .help = "which way", .type = ZPOOL_PARAM_ENUM },
};

#define MOCK_TYPE param_choices
#define MOCK_PARAMS params
#include "mock.h"
