/* SPDX-License-Identifier: MIT
 *
 * harness.h - a driver's callbacks without the core: the tests create pools themselves, and choose what the evict
 * callback does
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <zpool-driver.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "handles.h"
#include "magazine.h"

extern const struct zpool_driver z3fold_LTX_zpool_driver;
extern const struct zpool_driver zsmalloc_LTX_zpool_driver, zbud_LTX_zpool_driver, libc_LTX_zpool_driver;
extern const struct zpool_driver zblock_LTX_zpool_driver;

typedef void harness_exit_fn(void *arg);

struct harness {
	const struct zpool_driver *driver;
	void *pool;
	struct zpool_host host;
	char error[256];
	/* The function that the driver last asked to call when a thread ends; tests call it. */
	harness_exit_fn *_Atomic exit_fn;
	void *_Atomic exit_arg;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline void
harness_error(void *core, const char *format, ...)
{
	struct harness *harness = core;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(harness->error, sizeof(harness->error), format, arguments);
	va_end(arguments);
}

/* The cast is for clang, which takes a plain NULL for an object pointer where the variable is atomic. */
static inline void harness_forget_exit(struct harness *harness)
{
	harness->exit_fn = (harness_exit_fn *)NULL;
}

static inline int harness_thread_exit_add(void *core, void (*fn)(void *arg), void *arg)
{
	struct harness *harness = core;

	harness->exit_fn = fn;
	harness->exit_arg = arg;
	return 0;
}

static inline void harness_thread_exit_cancel(void *core, void (*fn)(void *arg), void *arg)
{
	struct harness *harness = core;

	if (harness->exit_fn == fn && harness->exit_arg == arg)
		harness_forget_exit(harness);
}

/* Does what the core does when a thread ends.  The thread calls it last. */
static inline void harness_end_thread(struct harness *harness)
{
	harness_exit_fn *fn = harness->exit_fn;

	if (!fn)
		return;
	fn(harness->exit_arg);
	harness_forget_exit(harness);
}

/* Takes all seats, so that no thread gets a cache. */
static inline void harness_occupy_seats(struct zp_caches *caches)
{
	for (unsigned int i = 0; i < ZP_CACHE_SEATS; i++)
		atomic_store(&caches->seats[i].owner, ZP_CACHE_NOBODY + 1);
}

/*
 * A handle slot has 2^22 lives, after which it is retired.  After this call, which a test makes before the pool's first
 * malloc, it has four.
 */
static inline void harness_set_few_generations(struct zp_handles *handles)
{
	handles->generation_mask = 3;
	handles->word_mask = (UINT64_C(4) << ZP_GENERATION_SHIFT) - 1;
}

static inline struct zpool_create_args harness_args(struct harness *harness, const struct zpool_driver *driver)
{
	memset(harness, 0, sizeof(*harness));
	harness->driver = driver;
	harness->host.struct_size = sizeof(harness->host);
	harness->host.error = harness_error;
	harness->host.thread_exit_add = harness_thread_exit_add;
	harness->host.thread_exit_cancel = harness_thread_exit_cancel;
	return (struct zpool_create_args){
		.struct_size = sizeof(struct zpool_create_args),
		.value_size = sizeof(struct zpool_value),
		.host = &harness->host,
		.core = harness,
		.name = "test",
		.node = -1,
	};
}

static inline int harness_create(struct harness *harness, const struct zpool_create_args *args)
{
	struct zpool_created created = { .struct_size = sizeof(created) };
	int err = harness->driver->create(args, &created);

	harness->pool = err ? NULL : created.pool;
	return err;
}

#endif
