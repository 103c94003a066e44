/* SPDX-License-Identifier: MIT
 *
 * drivers.h - the pools that a store is tried on: each shipped driver, and guard before each
 */
#ifndef TESTS_STORE_DRIVERS_H
#define TESTS_STORE_DRIVERS_H 1

static const char *const specs[] = { "zsmalloc",       "zbud",       "z3fold",       "zblock",       "libc",
				     "guard+zsmalloc", "guard+zbud", "guard+z3fold", "guard+zblock", "guard+libc" };
#define SPECS ((int)(sizeof(specs) / sizeof(*specs)))

#endif
