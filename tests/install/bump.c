/* SPDX-License-Identifier: MIT
 *
 * bump.c - a driver as an author outside of this project would write it: one file that uses only the public headers
 *
 * The driver hands out the slots of one array and never reuses them. A handle is the number of its slot, counted from
 * 1. Threads share only the count of used slots, which increases atomically.
 */
#include <errno.h>
#include <stdlib.h>

#include <zpool-driver.h>

#define BUMP_SLOTS 64
#define BUMP_SLOT_BYTES 256

struct bump_pool {
	uint64_t slots[BUMP_SLOTS][BUMP_SLOT_BYTES / sizeof(uint64_t)];
	unsigned long used; /* may exceed BUMP_SLOTS, because refused calls increment it too */
};

static int bump_is_live(struct bump_pool *pool, unsigned long handle)
{
	return handle <= BUMP_SLOTS && handle <= __atomic_load_n(&pool->used, __ATOMIC_RELAXED);
}

static int bump_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct bump_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	args->host->log(args->core, ZPOOL_LOG_DEBUG, "pool %s has %d slots", args->name, BUMP_SLOTS);
	out->pool = pool;
	return 0;
}

static void bump_destroy(void *pool)
{
	free(pool);
}

static int bump_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct bump_pool *bump = pool;
	unsigned long slot;

	(void)size;
	(void)gfp;
	if (!bump_is_live(bump, BUMP_SLOTS)) {
		slot = __atomic_add_fetch(&bump->used, 1, __ATOMIC_RELAXED);
		if (slot <= BUMP_SLOTS) {
			*handle = slot;
			return 0;
		}
	}
	return -ENOMEM;
}

static int bump_free(void *pool, unsigned long handle)
{
	return bump_is_live(pool, handle) ? 0 : -EINVAL;
}

static void *bump_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	struct bump_pool *bump = pool;

	(void)mode;
	if (!bump_is_live(bump, handle)) {
		errno = EINVAL;
		return NULL;
	}
	return bump->slots[handle - 1];
}

static int bump_unmap(void *pool, unsigned long handle)
{
	return bump_is_live(pool, handle) ? 0 : -EINVAL;
}

static uint64_t bump_total_size(void *pool)
{
	(void)pool;
	return sizeof(struct bump_pool);
}

ZPOOL_DRIVER_DEFINE(bump, "1.0", "hands out memory and never takes it back", .max_object_bytes = BUMP_SLOT_BYTES,
		    .alignment_bytes = 8, .create = bump_create, .destroy = bump_destroy, .malloc = bump_malloc,
		    .free = bump_free, .map = bump_map, .unmap = bump_unmap, .total_size = bump_total_size)
