/* SPDX-License-Identifier: MIT
 *
 * What the calls on a whole pool have in common: their checks, and how their failures are reported.
 */
#include <config.h>

#include "core/calls.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"

int zp_call_fail_no_pool(const char *what)
{
	return zp_fail(EINVAL, "%s was given no pool.", what);
}

static int fail_inherited(const char *what)
{
	return zp_fail(EOPNOTSUPP, "%s: this pool belongs to the parent process; its driver does not support fork().",
		       what);
}

int zp_call_fail_unsupported(const char *what, const struct zpool *pool)
{
	return zp_fail(EOPNOTSUPP, "%s: driver \"%s\" does not support this call.", what, pool->layers[0].driver->type);
}

int zp_call_begin(const struct zpool *pool, const char *what)
{
	(void)zp_error_take_driver_text();
	if (!pool)
		return zp_call_fail_no_pool(what);
	return pool->inherited ? fail_inherited(what) : 0;
}

int zp_call_end(int result)
{
	(void)zp_error_take_driver_text();
	return result;
}

int zp_call_driver_failed(const struct zpool_driver *driver, const char *what, int err)
{
	err = zp_driver_errno(err);
	if (zp_error_take_driver_text())
		return err;
	return zp_fail(-err, "%s: driver \"%s\" failed: %s.", what, driver->type, strerror(-err));
}
