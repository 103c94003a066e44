/* SPDX-License-Identifier: MIT
 *
 * param.h - a driver's parameters: from text in a spec to checked values
 */
#ifndef ZP_CORE_PARAM_H
#define ZP_CORE_PARAM_H 1

#include <stdint.h>

#include "core/spec.h"
#include "zpool-driver.h"

/* The key that the core knows for every driver. */
#define ZP_LIMIT_KEY "limit"
extern const struct zpool_param zp_limit_param;

/* Parse one value.  0, or -EINVAL with the error text set; type names the driver in it. */
int zp_param_parse(const char *type, const struct zpool_param *param, const char *text, struct zpool_value *value);

/* The parameter of that key in a driver's table (an index into it), or -1. */
int zp_param_find(const struct zpool_driver *driver, const char *key);

/* An unknown key: -EINVAL, with the driver's keys, defaults and meanings in the text. */
int zp_param_fail_unknown(const struct zpool_driver *driver, const char *key);

/*
 * The values that a part of a spec gives to its driver, defaults filled in: driver->param_count entries in *values, to
 * be freed; their texts point into the spec and the driver.  `limit` is left to the caller: *limit_text, or NULL.
 */
int zp_param_values(const struct zpool_driver *driver, const struct zp_spec_part *part, struct zpool_value **values,
		    const char **limit_text);

#endif
