/* SPDX-License-Identifier: MIT
 *
 * A filter without a fault: it tries again, in another size, what the driver below it refuses.
 */
#include "mock_driver.h"

static int patient_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle);

#define MOCK_TYPE filter_patient
#define MOCK_MALLOC patient_malloc
#include "mock_filter.h"

static int patient_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = filter_malloc(context, size, gfp, handle);
	return err ? filter_malloc(context, size + 100, gfp, handle) : 0;
}
