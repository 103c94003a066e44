/* SPDX-License-Identifier: MIT
 *
 * drivers.h - the pool specs that the tests of the store use: each shipped driver, alone and with guard in front of it
 */
#ifndef TESTS_STORE_DRIVERS_H
#define TESTS_STORE_DRIVERS_H 1

#include "plugins/shipped.h"

#define SPEC_ALONE(type) type,
#define SPEC_GUARDED(type) "guard+" type,
static const char *const specs[] = { SHIPPED_DRIVERS(SPEC_ALONE) SHIPPED_DRIVERS(SPEC_GUARDED) };
#define SPECS ((int)(sizeof(specs) / sizeof(*specs)))

#endif
