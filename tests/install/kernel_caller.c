/* SPDX-License-Identifier: MIT
 *
 * kernel_caller.c - the twelve functions of the kernel's interface, used under the kernel's names
 *
 * Only compiled: types, flags, arguments and results must be what a caller written for the kernel expects.
 */
#define ZPOOL_KERNEL_NAMES
#include <zpool.h>

static int write_back(struct zpool *pool, unsigned long handle)
{
	void *object = zpool_map_handle(pool, handle, ZPOOL_MM_RO);

	if (!object)
		return -1;
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	return 0;
}

static const struct zpool_ops ops = { .evict = write_back };

static int store_one(struct zpool *pool, gfp_t gfp)
{
	unsigned long handle;
	/* These flags are 0 here, to the wonder of clang-tidy. */
	gfp_t quiet = __GFP_NORETRY | __GFP_NOWARN | __GFP_KSWAPD_RECLAIM; /* NOLINT(misc-redundant-expression) */
	int ret = zpool_malloc(pool, 100, gfp | quiet, &handle);

	if (ret)
		return ret;
	char *object = zpool_map_handle(pool, handle, ZPOOL_MM_WO);

	if (object)
		object[0] = 1;
	zpool_unmap_handle(pool, handle);
	return 0;
}

u64 kernel_caller(struct zpool_driver *driver, void *driver_pool);

u64 kernel_caller(struct zpool_driver *driver, void *driver_pool)
{
	char type[] = "zbud";
	struct zpool *pool = zpool_create_pool(type, GFP_KERNEL, &ops);
	unsigned int reclaimed = 0;
	u64 bytes;

	if (!pool || zpool_register_driver(driver))
		return 0;
	store_one(pool, GFP_NOWAIT | __GFP_HIGHMEM | __GFP_MOVABLE);
	store_one(pool, GFP_ATOMIC);
	store_one(pool, GFP_NOIO | __GFP_ZERO);
	if (zpool_get_type(pool)[0] == 'z')
		zpool_shrink(pool, 1, &reclaimed);
	bytes = zpool_get_total_size(pool) + (u64)zpool_evict(driver_pool, reclaimed);
	zpool_destroy_pool(pool);
	zpool_unregister_driver(driver);
	return bytes;
}
