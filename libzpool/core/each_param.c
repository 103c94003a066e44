/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <string.h>

#include "base/callback.h"
#include "base/error.h"
#include "base/name.h"
#include "core/param.h"
#include "core/registry.h"
#include "support/cancel.h"

static int call_param_visitor(int (*fn)(const struct zpool_param *param, size_t size, void *user),
			      const struct zpool_param *param, void *user)
{
	ZP_CALLBACK_HERE;
	return fn(param, sizeof(*param), user);
}

int zpool_each_param(const char *type, int (*fn)(const struct zpool_param *param, size_t size, void *user), void *user)
{
	ZP_CANCEL_DISABLED_HERE;
	char parsed[ZP_TYPE_BYTES];
	struct zp_record *record;

	if (!fn)
		return zp_fail(EINVAL, "zpool_each_param() was given no function.");
	if (!type || !zp_type_parse(type, strnlen(type, ZP_TYPE_BYTES), parsed))
		return zp_fail(EINVAL, "zpool_each_param() was not given a driver's name.");
	int result = zp_registry_get(parsed, &record);
	if (result)
		return result;
	for (uint32_t i = 0; !result && i < record->driver.param_count; i++)
		result = call_param_visitor(fn, &record->driver.params[i], user);
	if (!result)
		result = call_param_visitor(fn, &zp_limit_param, user);
	zp_registry_put(record);
	return result;
}
