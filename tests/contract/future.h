/* SPDX-License-Identifier: MIT
 *
 * future.h - the driver under test, behind a core of the future
 *
 * A driver is registered that passes every call to the driver under test, but gives it structures that are larger than
 * it knows, and takes create's arguments away when create has returned.  After each call that changes the pool, the
 * driver's own verify is called.
 */
#ifndef CT_FUTURE_H
#define CT_FUTURE_H 1

#include "case.h"

/* The type that stands for the first part of the spec; skips the case where that driver is not in a file. */
const char *ct_future_spec(void);

/* Has it the optional callback? */
bool ct_future_has_verify(void);
bool ct_future_has_stats(void);

#endif /* CT_FUTURE_H */
