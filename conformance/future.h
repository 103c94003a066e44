/* SPDX-License-Identifier: MIT
 *
 * future.h - the driver under test, used by a simulated newer version of the library
 *
 * A driver is registered that passes every call to the driver under test, but with structures larger than that driver
 * knows, and makes the arguments of create inaccessible when create has returned.  After each call that changes the
 * pool, it calls the driver's verify callback.
 */
#ifndef CT_FUTURE_H
#define CT_FUTURE_H 1

#include "case.h"

/* Returns the type that replaces the first part of the spec; skips the case if that driver is not in a file. */
const char *ct_future_spec(void);

/* Returns true if the driver has the optional callback. */
bool ct_future_has_verify(void);

#endif /* CT_FUTURE_H */
