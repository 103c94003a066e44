/* SPDX-License-Identifier: MIT
 *
 * shipped.h - the drivers and filters that libzpool ships
 */
#ifndef SHIPPED_H
#define SHIPPED_H 1

#include <stdbool.h>

/* Returns true if `type` is a driver or filter that libzpool ships. The names come from the build. */
bool is_shipped(const char *type);

#endif /* SHIPPED_H */
