/* SPDX-License-Identifier: MIT
 *
 * inventory.h - the list of known drivers, for the core's own use
 */
#ifndef ZP_CORE_INVENTORY_H
#define ZP_CORE_INVENTORY_H 1

#include <stddef.h>

/*
 * Visits every driver, except filters, whose largest object size is known from memory or from its file. Reads files
 * unless loading is disabled. Returns 0, or -errno with nothing visited: when called from inside a load, or when memory
 * or file descriptors run out.
 */
int zp_inventory_each_size(void (*fn)(const char *type, size_t largest_bytes, void *user), void *user);

#endif
