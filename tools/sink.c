/* SPDX-License-Identifier: MIT
 *
 * sink.c - the driver of the pool in which the input is measured
 *
 * The input may be larger than the memory, so its compressed units are not kept: each object takes the place of the
 * previous one. The store reads an object's header only directly after it has written it.
 */
#include <config.h>

#include <errno.h>

#include <zpool-driver.h>
#include <zpool-store.h>

#include "sink.h"

#define SINK_TYPE "zpoolctl_sink"

/* An object of the store is a unit or a part of it, and a header of at most 20 bytes. */
#define SINK_OBJECT_BYTES_MAX (ZPOOL_STORE_UNIT_BYTES_MAX + 64)

static struct sink {
	unsigned long last; /* the handle of the last object */
	size_t size;
	_Alignas(8) unsigned char object[SINK_OBJECT_BYTES_MAX];
} sink;

static int sink_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = &sink;
	return 0;
}

static void sink_destroy(void *pool)
{
	(void)pool;
}

static int sink_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	(void)pool;
	(void)gfp;
	sink.size = size;
	*handle = ++sink.last;
	return 0;
}

static int sink_free(void *pool, unsigned long handle)
{
	(void)pool;
	(void)handle;
	return 0;
}

static void *sink_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)pool;
	(void)mode;
	if (handle == sink.last)
		return sink.object;
	errno = EINVAL;
	return NULL;
}

static int sink_unmap(void *pool, unsigned long handle)
{
	(void)pool;
	(void)handle;
	return 0;
}

static uint64_t sink_total_size(void *pool)
{
	(void)pool;
	return sizeof(sink);
}

const char *sink_spec(void)
{
	static const struct zpool_driver driver = {
		.magic = ZPOOL_DRIVER_MAGIC,
		.abi_major = ZPOOL_ABI_MAJOR,
		.abi_minor = ZPOOL_ABI_MINOR,
		.struct_size = sizeof(driver),
		.param_size = sizeof(struct zpool_param),
		.type = SINK_TYPE,
		.version = ZPOOL_VERSION,
		.description = "keeps the last object",
		.max_object_bytes = SINK_OBJECT_BYTES_MAX,
		.alignment_bytes = 8,
		.create = sink_create,
		.destroy = sink_destroy,
		.malloc = sink_malloc,
		.free = sink_free,
		.total_size = sink_total_size,
		.map = sink_map,
		.unmap = sink_unmap,
	};
	int error = zpool_register_driver(&driver);

	return !error || error == -EEXIST ? SINK_TYPE : NULL;
}

size_t sink_take_size(void)
{
	size_t size = sink.size;

	sink.size = 0;
	return size;
}
