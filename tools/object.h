/* SPDX-License-Identifier: MIT
 *
 * object.h - copy bytes to and from an object, by mapping it or with a driver that only copies
 */
#ifndef OBJECT_H
#define OBJECT_H 1

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <zpool.h>

/* 0 or -errno */
static inline int object_put(struct zpool *pool, unsigned long handle, const void *data, size_t bytes)
{
	void *object = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	int64_t done;

	if (object) {
		memcpy(object, data, bytes);
		zpool_unmap_handle(pool, handle);
		return 0;
	}
	if (errno != EOPNOTSUPP)
		return -errno;
	done = zpool_obj_write(pool, handle, data, bytes, 0);
	return done < 0 ? (int)done : 0;
}

static inline int object_get(struct zpool *pool, unsigned long handle, void *data, size_t bytes)
{
	const void *object = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	int64_t done;

	if (object) {
		memcpy(data, object, bytes);
		zpool_unmap_handle(pool, handle);
		return 0;
	}
	if (errno != EOPNOTSUPP)
		return -errno;
	done = zpool_obj_read(pool, handle, data, bytes, 0);
	return done < 0 ? (int)done : 0;
}

#endif /* OBJECT_H */
