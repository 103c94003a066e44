/* SPDX-License-Identifier: MIT
 *
 * copying.c - a correct driver that cannot map objects, only read and write them
 */
#include "mock-pool.h"

static void *copying_range(void *p, unsigned long handle, size_t len, size_t offset)
{
	struct mock_pool *pool = p;

	if (handle > pool->count || !pool->objects[handle - 1] || offset > pool->sizes[handle - 1] ||
	    len > pool->sizes[handle - 1] - offset)
		return NULL;
	return (char *)pool->objects[handle - 1] + offset;
}

static int64_t copying_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	const void *from = copying_range(pool, handle, len, offset);

	if (!from)
		return -EINVAL;
	memcpy(buf, from, len);
	return (int64_t)len;
}

static int64_t copying_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	void *to = copying_range(pool, handle, len, offset);

	if (!to)
		return -EINVAL;
	memcpy(to, buf, len);
	return (int64_t)len;
}

ZPOOL_DRIVER_DEFINE(copying, "1.0", "reads and writes, and maps nothing", MOCK_POOL_MEMBERS, .create = mock_create,
		    .malloc = mock_malloc, .read = copying_read, .write = copying_write)
