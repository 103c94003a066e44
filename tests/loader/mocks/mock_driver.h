/* SPDX-License-Identifier: MIT
 *
 * mock_driver.h - a small complete driver, for mock plugins and for drivers that a test registers
 *
 * Objects are malloc'd, in a table of MOCK_OBJECTS slots; a handle is a slot's index + 1.  Each live object counts as
 * one page of MOCK_PAGE_BYTES, an empty pool as none.
 *
 * The drivers report events to mock_event() if the test program exports it.  A malloc of MOCK_BLOCK_BYTES reports
 * "malloc" while it holds the pool's lock.
 */
#ifndef MOCK_DRIVER_H
#define MOCK_DRIVER_H 1

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "zpool-driver.h"

enum { MOCK_OBJECTS = 64, MOCK_PAGE_BYTES = 4096, MOCK_MAX_BYTES = 4096, MOCK_BLOCK_BYTES = 777 };

extern ZPOOL_PUBLIC __attribute__((weak)) void mock_event(const char *type, const char *what);

#define MOCK_UNUSED __attribute__((unused))
#define MOCK_CAT_(a, b) a##b
#define MOCK_CAT(a, b) MOCK_CAT_(a, b)

/* These members come first in every driver of the current ABI. */
#define MOCK_HEAD(type_)                                                                                               \
	.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .abi_minor = ZPOOL_ABI_MINOR,                       \
	.struct_size = sizeof(struct zpool_driver), .param_size = sizeof(struct zpool_param), .type = (type_),         \
	.version = "1.0", .description = "a mock", .max_object_bytes = MOCK_MAX_BYTES, .alignment_bytes = 16

/* These callbacks are mandatory. */
#define MOCK_CALLBACKS                                                                                                 \
	.create = mock_create, .destroy = mock_destroy, .malloc = mock_malloc, .free = mock_free,                      \
	.total_size = mock_total_size, .map = mock_map, .unmap = mock_unmap

struct mock_object {
	void *data;
	size_t size;
	unsigned int mapped;
	unsigned int born; /* determines the order of eviction */
};

struct mock_pool {
	pthread_mutex_t lock;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	unsigned int mallocs;
	struct mock_object objects[MOCK_OBJECTS];
};

MOCK_UNUSED static void mock_tell(const char *type, const char *what)
{
	if (mock_event)
		mock_event(type, what);
}

/* Makes a module report when its code is loaded and unloaded. */
#define MOCK_TELL_LIFE(type_)                                                                                          \
	__attribute__((constructor)) static void mock_loaded(void)                                                     \
	{                                                                                                              \
		mock_tell(type_, "load");                                                                              \
	}                                                                                                              \
	__attribute__((destructor)) static void mock_unloaded(void)                                                    \
	{                                                                                                              \
		mock_tell(type_, "unload");                                                                            \
	}

/* Returns NULL if the handle is not live.  The caller holds the pool's lock. */
MOCK_UNUSED static struct mock_object *mock_find(struct mock_pool *pool, unsigned long handle)
{
	struct mock_object *object = handle && handle <= MOCK_OBJECTS ? &pool->objects[handle - 1] : NULL;
	return object && object->data ? object : NULL;
}

MOCK_UNUSED static int mock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct mock_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	(void)pthread_mutex_init(&pool->lock, NULL);
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	out->pool = pool;
	return 0;
}

MOCK_UNUSED static void mock_destroy(void *context)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < MOCK_OBJECTS; i++)
		free(pool->objects[i].data);
	pthread_mutex_unlock(&pool->lock);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

MOCK_UNUSED static int mock_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = context;
	int err = -ENOMEM;

	(void)gfp;
	pthread_mutex_lock(&pool->lock);
	if (size == MOCK_BLOCK_BYTES)
		mock_tell("mock", "malloc");
	for (size_t i = 0; err && i < MOCK_OBJECTS; i++) {
		struct mock_object *object = &pool->objects[i];
		if (object->data || !(object->data = calloc(1, size)))
			continue;
		object->size = size;
		object->mapped = 0;
		object->born = pool->mallocs++;
		*handle = i + 1;
		err = 0;
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

MOCK_UNUSED static int mock_free(void *context, unsigned long handle)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	struct mock_object *object = mock_find(pool, handle);
	int err = !object ? -EINVAL : object->mapped ? -EBUSY : 0;
	if (!err) {
		free(object->data);
		object->data = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

MOCK_UNUSED static uint64_t mock_total_size(void *context)
{
	struct mock_pool *pool = context;
	uint64_t bytes = 0;
	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < MOCK_OBJECTS; i++)
		bytes += pool->objects[i].data ? MOCK_PAGE_BYTES : 0;
	pthread_mutex_unlock(&pool->lock);
	return bytes;
}

MOCK_UNUSED static void *mock_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct mock_pool *pool = context;
	void *data = NULL;

	(void)mode;
	pthread_mutex_lock(&pool->lock);
	struct mock_object *object = mock_find(pool, handle);
	if (object) {
		object->mapped++;
		data = object->data;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!data)
		errno = EINVAL;
	return data;
}

MOCK_UNUSED static int mock_unmap(void *context, unsigned long handle)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	struct mock_object *object = mock_find(pool, handle);
	int err = object && object->mapped ? 0 : -EINVAL;
	if (!err)
		object->mapped--;
	pthread_mutex_unlock(&pool->lock);
	return err;
}

/* Returns NULL if the handle is not live or the range exceeds the object.  The caller holds the pool's lock. */
MOCK_UNUSED static char *mock_range(struct mock_pool *pool, unsigned long handle, size_t len, size_t offset)
{
	struct mock_object *object = mock_find(pool, handle);
	bool inside = object && offset <= object->size && len <= object->size - offset;
	return inside ? (char *)object->data + offset : NULL;
}

MOCK_UNUSED static int64_t mock_read(void *context, unsigned long handle, void *buf, size_t len, size_t offset)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	const char *from = mock_range(pool, handle, len, offset);
	if (from)
		memcpy(buf, from, len);
	pthread_mutex_unlock(&pool->lock);
	return from ? (int64_t)len : -EINVAL;
}

MOCK_UNUSED static int64_t mock_write(void *context, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	char *to = mock_range(pool, handle, len, offset);
	if (to)
		memcpy(to, buf, len);
	pthread_mutex_unlock(&pool->lock);
	return to ? (int64_t)len : -EINVAL;
}

MOCK_UNUSED static int64_t mock_obj_size(void *context, unsigned long handle)
{
	struct mock_pool *pool = context;
	pthread_mutex_lock(&pool->lock);
	const struct mock_object *object = mock_find(pool, handle);
	int64_t size = object ? (int64_t)object->size : -EINVAL;
	pthread_mutex_unlock(&pool->lock);
	return size;
}

MOCK_UNUSED static unsigned long mock_oldest(struct mock_pool *pool)
{
	unsigned long oldest = 0;
	pthread_mutex_lock(&pool->lock);
	for (unsigned long i = 1; i <= MOCK_OBJECTS; i++) {
		const struct mock_object *object = mock_find(pool, i);
		if (object && !object->mapped && (!oldest || object->born < pool->objects[oldest - 1].born))
			oldest = i;
	}
	pthread_mutex_unlock(&pool->lock);
	return oldest;
}

/* Calls the evict callback with no lock held, as every driver must. */
MOCK_UNUSED static int mock_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct mock_pool *pool = context;
	for (*reclaimed = 0; *reclaimed < pages; ++*reclaimed) {
		unsigned long handle = mock_oldest(pool);
		if (!handle)
			return -EINVAL;
		if (!pool->evict || pool->evict(pool->evict_context, handle) != 0)
			return -EAGAIN;
	}
	return 0;
}

MOCK_UNUSED static int mock_each_object(void *context, int (*fn)(unsigned long handle, size_t size, void *user),
					void *user)
{
	int result = 0;
	for (unsigned long handle = 1; !result && handle <= MOCK_OBJECTS; handle++) {
		int64_t size = mock_obj_size(context, handle);
		if (size >= 0)
			result = fn(handle, (size_t)size, user);
	}
	return result;
}

MOCK_UNUSED static void mock_fork(void *context, enum zpool_fork_phase phase)
{
	struct mock_pool *pool = context;
	if (phase == ZPOOL_FORK_PREPARE)
		pthread_mutex_lock(&pool->lock);
	else
		pthread_mutex_unlock(&pool->lock);
}

#endif
