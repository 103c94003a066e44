/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault.  It is compiled against the mandatory part of the first driver interface, 1.0.
 *
 * The layout is written out here and must not follow the header, because the mock stands for existing binaries.
 */
#include "mock_driver.h"

struct older_driver {
	uint64_t magic;
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t struct_size;
	uint32_t flags_required;
	uint32_t flags_ignorable;
	uint32_t param_size;
	const char *type;
	const char *version;
	const char *description;
	const void *params;
	uint32_t param_count;
	uint32_t reserved;
	size_t max_object_bytes;
	size_t alignment_bytes;
	int (*create)(const struct zpool_create_args *args, struct zpool_created *out);
	void (*destroy)(void *pool);
	int (*malloc)(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
	int (*free)(void *pool, unsigned long handle);
	uint64_t (*total_size)(void *pool);
	void *(*map)(void *pool, unsigned long handle, enum zpool_mapmode mode);
	int (*unmap)(void *pool, unsigned long handle);
	int64_t (*read)(void *pool, unsigned long handle, void *buf, size_t len, size_t offset);
	int64_t (*write)(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset);
};

/* The core's structures must have at least the size that the mock was compiled with. */
static int older_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	if (args->struct_size < offsetof(struct zpool_create_args, lower_spec) + sizeof(args->lower_spec) ||
	    args->host->struct_size < offsetof(struct zpool_host, lower_destroy) + sizeof(args->host->lower_destroy) ||
	    out->struct_size < offsetof(struct zpool_created, alignment_bytes) + sizeof(out->alignment_bytes))
		return -EPROTO;
	return mock_create(args, out);
}

ZPOOL_DRIVER_NOTE(older, "0.9", "a mock from the past")

MOCK_TELL_LIFE("older")

extern ZPOOL_PUBLIC const struct older_driver zpool_driver;
const struct older_driver zpool_driver = {
	.magic = UINT64_C(0x5a504f4f4c445256),
	.abi_major = 1,
	.abi_minor = 0,
	.struct_size = sizeof(struct older_driver),
	.param_size = 48,
	.type = "older",
	.version = "0.9",
	.max_object_bytes = MOCK_MAX_BYTES,
	.alignment_bytes = 16,
	.create = older_create,
	.destroy = mock_destroy,
	.malloc = mock_malloc,
	.free = mock_free,
	.total_size = mock_total_size,
	.map = mock_map,
	.unmap = mock_unmap,
};
