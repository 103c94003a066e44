/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/verify.h"

#ifdef ZPOOL_DEBUG_CHECKS
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"
#include "base/log.h"
#include "core/pool.h"

enum { EVERY_CALL_BYTES = 256 << 10 };

static pthread_once_t setting_once = PTHREAD_ONCE_INIT;
static unsigned long setting; /* number of calls between two checks; 0: never */
static bool setting_given;

static void read_setting(void)
{
	const char *text = zp_secure_getenv("ZPOOL_VERIFY");
	char *end;

	if (!text || *text < '0' || *text > '9')
		return;
	setting = strtoul(text, &end, 10);
	setting_given = *end == '\0';
}

static bool can_verify(const struct zpool *pool)
{
	for (unsigned int i = 0; i < pool->layer_count; i++)
		if (pool->layers[i].driver->verify)
			return true;
	return false;
}

static bool is_due(struct zpool *pool)
{
	unsigned long every, calls;

	(void)pthread_once(&setting_once, read_setting);
	calls = atomic_fetch_add_explicit(&pool->calls, 1, memory_order_relaxed) + 1;
	if (setting_given)
		return setting && calls % setting == 0;
	every = 1 + (unsigned long)(zp_pool_top(pool)->driver->total_size(pool->driver_pool) / EVERY_CALL_BYTES);
	return calls % every == 0;
}

void zp_pool_verify(struct zpool *pool, const char *what)
{
	int errno_before = errno;

	if (pool->inherited || !can_verify(pool))
		return;
	bool due = is_due(pool);
	for (unsigned int i = 0; due && i < pool->layer_count; i++) {
		const struct zpool_driver *driver = pool->layers[i].driver;
		int err = driver->verify ? driver->verify(pool->layers[i].created.pool) : 0;

		if (!err)
			continue;
		if (!zp_error_take_driver_text())
			(void)zp_fail(EUCLEAN, "Driver \"%s\" found pool \"%s\" damaged (%s).", driver->type,
				      pool->name, strerror(-zp_driver_errno(err)));
		zp_log(ZPOOL_LOG_ERROR, "Found after %s on pool \"%s\": %s", what, pool->name, zpool_last_error());
		abort();
	}
	errno = errno_before;
}
#endif
