/* SPDX-License-Identifier: MIT
 *
 * This mock is a filter without a fault: if the driver below it refuses an object, it tries again with another size.
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
