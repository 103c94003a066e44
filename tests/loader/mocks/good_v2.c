/* SPDX-License-Identifier: MIT
 *
 * This mock is another version of good; a test copies it over the file of good.
 */
#include "mock_driver.h"

MOCK_TELL_LIFE("good")

ZPOOL_DRIVER_DEFINE(good, "2.0", "a mock without a fault, next version", .max_object_bytes = MOCK_MAX_BYTES,
		    .alignment_bytes = 16, MOCK_CALLBACKS, .obj_size = mock_obj_size)
