/* SPDX-License-Identifier: MIT
 *
 * inventory.h - what drivers there are, for the core's own use
 */
#ifndef ZP_CORE_INVENTORY_H
#define ZP_CORE_INVENTORY_H 1

#include <stddef.h>

/*
 * Visits every driver, filters excepted, whose largest object is known, from memory or from its file.  Reads files
 * unless loading is disabled, and visits nothing from inside a load or where memory is short.
 */
void zp_inventory_each_size(void (*fn)(const char *type, size_t largest_bytes, void *user), void *user);

#endif
