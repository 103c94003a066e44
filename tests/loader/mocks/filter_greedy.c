/* SPDX-License-Identifier: MIT
 *
 * Fault: a filter that gives up after it has made the pool below, which it leaves behind; asking for a second one before
 * is refused.
 */
#include "mock_driver.h"

static int greedy_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_lower lower, second;

	(void)out;
	int err = args->host->lower_create(args->core, NULL, NULL, &lower, sizeof lower);
	if (err)
		return err;
	return args->host->lower_create(args->core, NULL, NULL, &second, sizeof second);
}

#define MOCK_TYPE filter_greedy
#define MOCK_CREATE greedy_create
#include "mock_filter.h"
