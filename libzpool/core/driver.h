/* SPDX-License-Identifier: MIT
 *
 * driver.h - check and copy a driver's structure
 *
 * The structure that a plugin exports may be older or newer than this core, or not a driver at all. The core works only
 * on its own copy, which has every member that this core knows, with zeros where the driver has none.
 */
#ifndef ZP_CORE_DRIVER_H
#define ZP_CORE_DRIVER_H 1

#include <stddef.h>

#include "zpool-driver.h"

/*
 * Judge `given` and copy it to *own.
 *
 * symbol_bytes   how large the file says the structure is; 0: unknown
 * expected_type  what it must be called; NULL: anything valid
 *
 * 0, and zp_driver_clear() is due; or -ENOMEM, or -ENOEXEC with the reason in `why` (a sentence without its end).
 */
int zp_driver_adopt(const struct zpool_driver *given, size_t symbol_bytes, const char *expected_type,
		    struct zpool_driver *own, char *why, size_t why_bytes);
void zp_driver_clear(struct zpool_driver *own);

/* Derives the ZPOOL_CAP_* bits from the flags and the callbacks. */
uint32_t zp_driver_caps(const struct zpool_driver *own);

#endif
