/* SPDX-License-Identifier: MIT
 *
 * The calls that return memory: shrink, compact and trim.
 */
#include <config.h>

#include <errno.h>

#include "base/error.h"
#include "core/calls.h"
#include "core/pool.h"
#include "core/verify.h"
#include "support/cancel.h"

int zpool_shrink(struct zpool *pool, unsigned int pages, unsigned int *reclaimed)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_shrink()";
	unsigned int done = 0;

	if (reclaimed)
		*reclaimed = 0;
	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (pages == 0)
		return zp_fail(EINVAL, "%s was asked for 0 pages.", what);
	if (!zpool_evictable(pool))
		return zp_fail(EINVAL, "%s: %s.", what,
			       zp_pool_top(pool)->evict ? "the pool's driver does not support eviction"
							: "the pool was created without an evict callback");
	err = zp_pool_top(pool)->driver->shrink(pool->driver_pool, pages, &done);
	zp_pool_verify(pool, what);
	if (reclaimed)
		*reclaimed = done;
	if (!err)
		return zp_call_end(0);
	err = zp_driver_errno(err);
	if (zp_error_take_driver_text())
		return err;
	if (err == -EAGAIN)
		return zp_fail(EAGAIN, "%s: after %u of %u page%s, none of the remaining candidates could be evicted.",
			       what, done, pages, ZPOOL_PLURAL(pages));
	if (err == -EINVAL)
		return zp_fail(EINVAL, "%s: after %u of %u page%s nothing was left to evict.", what, done, pages,
			       ZPOOL_PLURAL(pages));
	return zp_call_driver_failed(zp_pool_top(pool)->driver, what, err);
}

int zpool_compact(struct zpool *pool, uint64_t budget_bytes, uint64_t budget_ns, uint64_t *released)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_compact()";
	const struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = budget_bytes, .ns = budget_ns };
	uint64_t done = 0;

	if (released)
		*released = 0;
	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!zp_pool_top(pool)->driver->compact)
		return zp_call_fail_unsupported(what, pool);
	err = zp_pool_top(pool)->driver->compact(pool->driver_pool, &budget, &done);
	zp_pool_verify(pool, what);
	if (released)
		*released = done;
	return err < 0 || err > 1 ? zp_call_driver_failed(zp_pool_top(pool)->driver, what, err) : zp_call_end(err);
}

int zpool_trim(struct zpool *pool, uint64_t *released)
{
	ZP_CANCEL_DISABLED_HERE;
	static const char what[] = "zpool_trim()";
	uint64_t done = 0;

	if (released)
		*released = 0;
	int err = zp_call_begin(pool, what);
	if (err)
		return err;
	if (!zp_pool_top(pool)->driver->trim)
		return zp_call_fail_unsupported(what, pool);
	err = zp_pool_top(pool)->driver->trim(pool->driver_pool, &done);
	zp_pool_verify(pool, what);
	if (released)
		*released = done;
	return err ? zp_call_driver_failed(zp_pool_top(pool)->driver, what, err) : zp_call_end(0);
}
