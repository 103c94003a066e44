/* SPDX-License-Identifier: MIT
 *
 * too_large.h - the error message for objects that are too large for a pool
 */
#ifndef ZP_CORE_TOO_LARGE_H
#define ZP_CORE_TOO_LARGE_H 1

#include "core/pool.h"

/* Returns -ENOSPC and sets a message that has both sizes and the drivers that accept the object. */
int zp_fail_too_large(const struct zpool *pool, size_t size);

#endif
