/* SPDX-License-Identifier: MIT
 *
 * stack.h - what the tests of filters share: pools with a filter on top of each shipped driver, and the log
 */
#ifndef FILTERS_STACK_H
#define FILTERS_STACK_H 1

#include "plugins/shipped.h"
#include "tests/unit/run.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define STACK_DRIVER(type) type,
static const char *const stack_drivers[] = { SHIPPED_DRIVERS(STACK_DRIVER) };
enum { STACK_DRIVERS = sizeof(stack_drivers) / sizeof(stack_drivers[0]) };

/* All messages of level warning and above since stack_open(), one per line, and the number of errors. */
static char stack_log[1 << 16];
static size_t stack_log_bytes;
static unsigned int stack_errors;

static void stack_on_message(enum zpool_log_level level, const char *message, void *user)
{
	int bytes = snprintf(stack_log + stack_log_bytes, sizeof(stack_log) - stack_log_bytes, "%s\n", message);

	(void)user;
	if (bytes > 0 && stack_log_bytes + (size_t)bytes < sizeof(stack_log))
		stack_log_bytes += (size_t)bytes;
	stack_errors += level == ZPOOL_LOG_ERROR;
}

/* <filter>+<driver> */
static inline struct zpool *stack_open(const char *filter, const char *driver, const struct zpool_ops *ops)
{
	char spec[256];
	struct zpool *pool;

	(void)snprintf(spec, sizeof(spec), "%s+%s", filter, driver);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, ops);
	ck_assert_msg(pool != NULL, "%s: %s", spec, zpool_last_error());
	stack_log[0] = '\0';
	stack_log_bytes = 0;
	stack_errors = 0;
	ck_assert_int_eq(zpool_set_log_handler(stack_on_message, ZPOOL_LOG_WARNING, NULL), 0);
	return pool;
}

static inline struct zpool_stats stack_stats(struct zpool *pool)
{
	struct zpool_stats stats;

	ck_assert_int_eq(zpool_get_stats(pool, &stats, sizeof(stats)), 0);
	return stats;
}

static inline unsigned long stack_store(struct zpool *pool, size_t size)
{
	unsigned long handle = 0;
	char *at;

	ck_assert_int_eq(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle), 0);
	at = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	ck_assert_ptr_nonnull(at);
	memset(at, 0x55, size);
	zpool_unmap_handle(pool, handle);
	return handle;
}

/* Returns how often a text occurs in the log. */
static inline unsigned int stack_logged(const char *part)
{
	unsigned int count = 0;

	for (const char *at = stack_log; (at = strstr(at, part)) != NULL; at += strlen(part))
		count++;
	return count;
}

#endif
