/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: a parameter of choices has no choices.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "mode", .help = "which way", .type = ZPOOL_PARAM_ENUM },
};

#define MOCK_TYPE param_choices
#define MOCK_PARAMS params
#include "mock.h"
