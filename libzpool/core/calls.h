/* SPDX-License-Identifier: MIT
 *
 * calls.h - what the calls on a whole pool have in common; `what` is the name of the public function
 */
#ifndef ZP_CORE_CALLS_H
#define ZP_CORE_CALLS_H 1

#include "core/pool.h"

/*
 * Checks that the pool can be used. Returns 0, or -errno with the error text set. A sentence that a driver left during
 * an earlier call, which succeeded in the end, is discarded.
 */
int zp_call_begin(const struct zpool *pool, const char *what);

/*
 * Ends a call that needs no message of the core, and returns its argument. A sentence of the driver belongs to this
 * call, and must not be taken for the reason of a later malloc, free or map, which do not discard it when they begin.
 */
int zp_call_end(int result);

/* These set the error text and return -errno. */
int zp_call_fail_no_pool(const char *what);
int zp_call_fail_unsupported(const char *what, const struct zpool *pool);

/* Reports a driver's failure, with the driver's own message if it set one. */
int zp_call_driver_failed(const struct zpool_driver *driver, const char *what, int err);

#endif
