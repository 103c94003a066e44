/* SPDX-License-Identifier: MIT
 *
 * This mock is a faulty filter: it creates no pool below itself.
 */
#include "mock_driver.h"

static int lazy_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, 1);
	return out->pool ? 0 : -ENOMEM;
}

#define MOCK_TYPE filter_lazy
#define MOCK_CREATE lazy_create
#define MOCK_DESTROY free
#include "mock_filter.h"
