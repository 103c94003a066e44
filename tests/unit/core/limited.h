/* SPDX-License-Identifier: MIT
 *
 * limited.h - what the tests of limits share: a driver whose callbacks a test can replace, and a pool of it
 */
#ifndef UNIT_CORE_LIMITED_H
#define UNIT_CORE_LIMITED_H 1

#include <pthread.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver;
static struct zpool *pool;

static void start_empty(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
}

static void open_pool(const char *spec)
{
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
}

static void finish(void)
{
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}

static unsigned long store(size_t size)
{
	unsigned long handle = 0;
	ck_assert_int_eq(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle), 0);
	ck_assert_uint_ne(handle, 0);
	return handle;
}

/* A driver with the callbacks that a test has replaced in the registered one. */
static struct zpool_driver *real;

static int nowait_error;

static void *store_at_once(void *handle)
{
	nowait_error = zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, handle);
	return NULL;
}

#endif
