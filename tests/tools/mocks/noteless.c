/* SPDX-License-Identifier: MIT
 *
 * noteless.c - a driver without a note: it works, but tools know nothing about it before it is loaded
 */
#include "mock-pool.h"

extern ZPOOL_PUBLIC const struct zpool_driver zpool_driver;
const struct zpool_driver zpool_driver = {
	.magic = ZPOOL_DRIVER_MAGIC,
	.abi_major = ZPOOL_ABI_MAJOR,
	.abi_minor = ZPOOL_ABI_MINOR,
	.struct_size = sizeof(struct zpool_driver),
	.param_size = sizeof(struct zpool_param),
	.type = "noteless",
	.version = "1.0",
	.description = "has no note",
	MOCK_POOL_MEMBERS,
	.create = mock_create,
	.malloc = mock_malloc,
	.map = mock_map,
	.unmap = mock_unmap,
};
