/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: the entries of its parameter table are smaller than in the first ABI.
 */
#include "mock_driver.h"

static const struct zpool_param params[] = {
	{ .key = "level", .help = "how much", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
};

#define MOCK_TYPE param_size
#define MOCK_PARAMS params
#define MOCK_PARAM_SIZE 16
#include "mock.h"
