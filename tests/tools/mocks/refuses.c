/* SPDX-License-Identifier: MIT
 *
 * refuses.c - a driver that cannot map objects, and that fails in the call that its parameter names; by default, it
 * cannot create a pool
 */
#include "mock-pool.h"

enum { REFUSES_CREATE, REFUSES_MALLOC, REFUSES_READ };

static const char *const calls[] = { "create", "malloc", "read", NULL };

static const struct zpool_param params[] = {
	{ .key = "call",
	  .help = "the call that fails",
	  .default_value = "create",
	  .choices = calls,
	  .type = ZPOOL_PARAM_ENUM },
};

struct refuses {
	struct mock_pool mock; /* the first member, so that the mock's functions accept it */
	uint64_t call;
};

static int refuses_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct refuses *pool;

	if (args->values[0].number == REFUSES_CREATE) {
		args->host->error(args->core, "the device is missing");
		return -ENODEV;
	}
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->call = args->values[0].number;
	out->pool = pool;
	return 0;
}

static int refuses_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int error = mock_malloc(pool, size, gfp, handle);

	if (((struct refuses *)pool)->call == REFUSES_MALLOC)
		*handle = 0;
	return error;
}

static int64_t refuses_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	if (((struct refuses *)pool)->call == REFUSES_READ)
		return -EIO;
	memcpy(buf, (char *)mock_map(pool, handle, ZPOOL_MM_RO) + offset, len);
	return (int64_t)len;
}

static int64_t refuses_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	memcpy((char *)mock_map(pool, handle, ZPOOL_MM_WO) + offset, buf, len);
	return (int64_t)len;
}

ZPOOL_DRIVER_DEFINE(refuses, "1.0", "fails in one call", MOCK_POOL_MEMBERS, .params = params, .param_count = 1,
		    .create = refuses_create, .malloc = refuses_malloc, .read = refuses_read, .write = refuses_write)
