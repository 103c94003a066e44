/* SPDX-License-Identifier: MIT
 *
 * The successor of good, of another version, to be copied over its file.
 */
#include "mock_driver.h"

MOCK_TELL_LIFE("good")

ZPOOL_DRIVER_DEFINE(good, "2.0", "a mock without a fault, next version", .max_object_bytes = MOCK_MAX_BYTES,
		    .alignment_bytes = 16, MOCK_CALLBACKS, .obj_size = mock_obj_size)
