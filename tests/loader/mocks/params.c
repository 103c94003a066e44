/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault; it has one parameter of each type.
 */
#include "mock_driver.h"

static const char *const modes[] = { "up", "down", NULL };

static const struct zpool_param params[] = {
	{ .key = "fast", .help = "be quick", .default_value = "no", .type = ZPOOL_PARAM_BOOL },
	{ .key = "level", .help = "how much", .default_value = "3", .min = 1, .max = 9, .type = ZPOOL_PARAM_UINT },
	{ .key = "room", .help = "how large", .max = UINT64_MAX, .type = ZPOOL_PARAM_SIZE },
	{ .key = "mode", .help = "which way", .default_value = "up", .choices = modes, .type = ZPOOL_PARAM_ENUM },
	{ .key = "label", .help = "what to call it", .min = 1, .max = 8, .type = ZPOOL_PARAM_STRING },
};

#define MOCK_TYPE params
#define MOCK_PARAMS params
#include "mock.h"
