/* SPDX-License-Identifier: MIT
 *
 * This mock is a faulty filter: it creates a second pool below itself, which the core refuses, and then fails without
 * destroying the first one.
 */
#include "mock_driver.h"

static int greedy_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_lower lower, second;

	(void)out;
	int err = args->host->lower_create(args->core, NULL, NULL, &lower, sizeof(lower));
	if (err)
		return err;
	return args->host->lower_create(args->core, NULL, NULL, &second, sizeof(second));
}

#define MOCK_TYPE filter_greedy
#define MOCK_CREATE greedy_create
#include "mock_filter.h"
