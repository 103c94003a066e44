/* SPDX-License-Identifier: MIT
 *
 * drivers.h - what is known of drivers without running any of them
 */
#ifndef DRIVERS_H
#define DRIVERS_H 1

#include <jansson.h>
#include <zpool.h>

const char *drivers_origin_name(enum zpool_driver_origin origin);

/* "driver" or "filter"; NULL where the file does not show it. */
const char *drivers_kind_name(enum zpool_driver_kind kind);

/* What `list' and `info' say alike of a driver, as a JSON object. */
json_t *drivers_describe(const struct zpool_driver_info *info);

/* Say what zpool_last_error() has to say about `spec`, and for a driver that does not exist which ones do. */
void drivers_complain(const char *spec, int error, const char *message);

/* The types of all drivers without a visible fault.  Free each and the array, which ends with NULL. */
char **drivers_usable(void);
void drivers_free(char **types);

#endif /* DRIVERS_H */
