/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault, and uses the macro that real drivers use.
 */
#include "mock_driver.h"

MOCK_TELL_LIFE("good")

ZPOOL_DRIVER_DEFINE(good, "1.0", "a mock without a fault", .max_object_bytes = MOCK_MAX_BYTES, .alignment_bytes = 16,
		    MOCK_CALLBACKS, .obj_size = mock_obj_size, .shrink = mock_shrink, .each_object = mock_each_object)
