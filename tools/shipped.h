/* SPDX-License-Identifier: MIT
 *
 * shipped.h - which drivers and filters are libzpool's own
 */
#ifndef SHIPPED_H
#define SHIPPED_H 1

#include <stdbool.h>

/* Is `type` the name of a driver or filter that libzpool ships?  The names come from the build. */
bool is_shipped(const char *type);

#endif /* SHIPPED_H */
