/* SPDX-License-Identifier: MIT
 *
 * rare.h - correct drivers that are built in an unusual way. broken.c includes this file after the driver and before
 * the driver's structure.
 */

/* This is no fault: the driver has only the required callbacks. */
#ifdef FAULT_bare
#define BROKEN_OBJ_SIZE NULL
#define BROKEN_SHRINK NULL
#define BROKEN_COMPACT NULL
#define BROKEN_EACH_OBJECT NULL
#define BROKEN_EACH_CLASS NULL
#define BROKEN_STATS NULL
#endif

/* This is no fault: the driver leaves its limit to the core. */
#ifdef FAULT_without_set_limit
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args unlimited = *args;

	unlimited.limit_bytes = 0;
	return slabs_create(&unlimited, out);
}
#define BROKEN_CREATE broken_create
#define BROKEN_SET_LIMIT NULL
#endif

/* This is no fault: the driver copies under one lock, and cannot map objects. */
#ifdef FAULT_copies_only
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t broken_copy(void *pool, unsigned long handle, void *to, const void *from, size_t len, size_t offset)
{
	int64_t size = slabs_obj_size(pool, handle), done = -EINVAL;
	char *bytes;

	if (size < 0 || len == 0 || offset > (size_t)size || len > (size_t)size - offset)
		return -EINVAL;
	pthread_mutex_lock(&broken_lock);
	bytes = slabs_map(pool, handle, ZPOOL_MM_RW);
	if (bytes) {
		memcpy(to ? to : bytes + offset, to ? bytes + offset : from, len);
		slabs_unmap(pool, handle);
		done = (int64_t)len;
	}
	pthread_mutex_unlock(&broken_lock);
	return done;
}

static int64_t broken_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	return broken_copy(pool, handle, buf, NULL, len, offset);
}

static int64_t broken_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	return broken_copy(pool, handle, NULL, buf, len, offset);
}

static int broken_free(void *pool, unsigned long handle)
{
	int err;

	pthread_mutex_lock(&broken_lock);
	err = slabs_free(pool, handle);
	pthread_mutex_unlock(&broken_lock);
	return err;
}

#define BROKEN_FREE broken_free
#define BROKEN_MAP NULL
#define BROKEN_UNMAP NULL
#define BROKEN_FORK NULL
#define BROKEN_COPIES , .read = broken_read, .write = broken_write
#endif
