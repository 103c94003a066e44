/* SPDX-License-Identifier: MIT
 *
 * param.h - a driver's parameters: from text in a spec to checked values
 */
#ifndef ZP_CORE_PARAM_H
#define ZP_CORE_PARAM_H 1

#include <stdint.h>

#include "core/spec.h"
#include "zpool-driver.h"

/* The key that the core adds to every driver. */
#define ZP_LIMIT_KEY "limit"
extern const struct zpool_param zp_limit_param;

/* Parses one value. Returns 0, or -EINVAL with an error text that names the driver `type`. */
int zp_param_parse(const char *type, const struct zpool_param *param, const char *text, struct zpool_value *value);

/* Returns the index of the parameter with this key in a driver's table, or -1. */
int zp_param_find(const struct zpool_driver *driver, const char *key);

/* Reports an unknown key: returns -EINVAL, with the driver's keys, defaults and descriptions in the error text. */
int zp_param_fail_unknown(const struct zpool_driver *driver, const char *key);

/*
 * Parses the values that a part of a spec gives to its driver, and adds the defaults. *values has driver->param_count
 * entries, which the caller frees; their texts point into the spec and the driver. `limit` is not parsed but stored in
 * *limit_text, NULL if it is not given.
 */
int zp_param_values(const struct zpool_driver *driver, const struct zp_spec_part *part, struct zpool_value **values,
		    const char **limit_text);

#endif
