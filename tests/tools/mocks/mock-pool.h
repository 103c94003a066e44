/* SPDX-License-Identifier: MIT
 *
 * mock-pool.h - a plain pool over malloc for the mock drivers of zpoolctl's tests, each of which has one fault
 *
 * A handle is an index into a table of objects, counted from 1.  zpoolctl stores from one thread, so there is no lock.
 */
#ifndef MOCK_POOL_H
#define MOCK_POOL_H 1

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zpool-driver.h>

#define MOCK_MAX_OBJECT_BYTES 65536

struct mock_pool {
	void **objects;
	size_t *sizes;
	size_t count;
	uint64_t bytes;
};

static inline int mock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, sizeof(struct mock_pool));
	return out->pool ? 0 : -ENOMEM;
}

static void mock_destroy(void *p)
{
	struct mock_pool *pool = p;

	for (size_t i = 0; i < pool->count; i++)
		free(pool->objects[i]);
	free(pool->objects);
	free(pool->sizes);
	free(pool);
}

static int mock_malloc(void *p, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = p;
	void **objects = realloc(pool->objects, (pool->count + 1) * sizeof(*objects));
	size_t *sizes;

	(void)gfp;
	if (!objects)
		return -ENOMEM;
	pool->objects = objects;
	sizes = realloc(pool->sizes, (pool->count + 1) * sizeof(*sizes));
	if (!sizes)
		return -ENOMEM;
	pool->sizes = sizes;
	objects[pool->count] = calloc(1, size);
	if (!objects[pool->count])
		return -ENOMEM;
	sizes[pool->count] = size;
	pool->bytes += size;
	*handle = ++pool->count;
	return 0;
}

static int mock_free(void *p, unsigned long handle)
{
	struct mock_pool *pool = p;

	if (handle > pool->count || !pool->objects[handle - 1])
		return -EINVAL;
	free(pool->objects[handle - 1]);
	pool->objects[handle - 1] = NULL;
	pool->bytes -= pool->sizes[handle - 1];
	return 0;
}

static inline void *mock_map(void *p, unsigned long handle, enum zpool_mapmode mode)
{
	struct mock_pool *pool = p;

	(void)mode;
	if (handle > pool->count || !pool->objects[handle - 1]) {
		errno = EINVAL;
		return NULL;
	}
	return pool->objects[handle - 1];
}

static inline int mock_unmap(void *p, unsigned long handle)
{
	(void)p;
	(void)handle;
	return 0;
}

static uint64_t mock_total_size(void *p)
{
	return ((struct mock_pool *)p)->bytes;
}

/* All callbacks except create, malloc and map, which have the faults. */
#define MOCK_POOL_MEMBERS                                                                                              \
	.max_object_bytes = MOCK_MAX_OBJECT_BYTES, .alignment_bytes = 8, .destroy = mock_destroy, .free = mock_free,   \
	.total_size = mock_total_size

#endif /* MOCK_POOL_H */
