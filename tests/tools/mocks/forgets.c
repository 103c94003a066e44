/* SPDX-License-Identifier: MIT
 *
 * forgets.c - a driver that loses every third write to a part of an object, and cannot map objects
 */
#include "mock-pool.h"

static char *forgets_range(void *p, unsigned long handle, size_t len, size_t offset)
{
	struct mock_pool *pool = p;

	if (handle > pool->count || !pool->objects[handle - 1] || offset > pool->sizes[handle - 1] ||
	    len > pool->sizes[handle - 1] - offset)
		return NULL;
	return (char *)pool->objects[handle - 1] + offset;
}

static int64_t forgets_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	const char *from = forgets_range(pool, handle, len, offset);

	if (!from)
		return -EINVAL;
	memcpy(buf, from, len);
	return (int64_t)len;
}

static int64_t forgets_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	static unsigned int parts;
	char *to = forgets_range(pool, handle, len, offset);

	if (!to)
		return -EINVAL;
	if (!offset || ++parts % 3)
		memcpy(to, buf, len);
	return (int64_t)len;
}

ZPOOL_DRIVER_DEFINE(forgets, "1.0", "loses writes", MOCK_POOL_MEMBERS, .create = mock_create, .malloc = mock_malloc,
		    .read = forgets_read, .write = forgets_write)
