/* SPDX-License-Identifier: MIT
 *
 * drivers.h - the pools that a store is tried on: each shipped driver, and guard before each
 */
#ifndef TESTS_STORE_DRIVERS_H
#define TESTS_STORE_DRIVERS_H 1

#include "tests/shipped.h"

#define SPEC_ALONE(type) type,
#define SPEC_GUARDED(type) "guard+" type,
static const char *const specs[] = { SHIPPED_DRIVERS(SPEC_ALONE) SHIPPED_DRIVERS(SPEC_GUARDED) };
#define SPECS ((int)(sizeof(specs) / sizeof(*specs)))

#endif
