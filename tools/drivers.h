/* SPDX-License-Identifier: MIT
 *
 * drivers.h - information about drivers that is available without running them
 */
#ifndef DRIVERS_H
#define DRIVERS_H 1

#include <jansson.h>
#include <zpool.h>

const char *drivers_origin_name(enum zpool_driver_origin origin);

/* Returns "driver" or "filter", or NULL if the file does not show it. */
const char *drivers_kind_name(enum zpool_driver_kind kind);

/* Returns the common part of what `list' and `info' print about a driver, as a JSON object. */
json_t *drivers_describe(const struct zpool_driver_info *info);

/* Prints zpool_last_error() for `spec`; if the driver does not exist, lists the available ones. */
void drivers_complain(const char *spec, int error, const char *message);

/*
 * Returns the types of all drivers without a visible fault. The caller frees each string and the array, which ends with
 * NULL.
 */
char **drivers_usable(void);
void drivers_free(char **types);

/* Returns the whole plugin path. The caller frees it. */
char *drivers_path(void);

#endif /* DRIVERS_H */
