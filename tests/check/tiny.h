/* SPDX-License-Identifier: MIT
 *
 * tiny.h - a driver whose objects have at most eight bytes, and take no other memory of the pool. broken.c includes
 * this file after the driver and before the driver's structure.
 */

/*
 * Objects lie in one array; a free one has the number of the next free one, and a handle is a number plus one. The
 * driver obeys its limit, but believes every handle, so only cases about the limit pass.
 */
#ifdef FAULT_tiny_objects
#define BROKEN_SLOTS (UINT64_C(1) << 25)

struct broken_pool {
	pthread_mutex_t lock;
	uint64_t *slots;
	uint64_t used;       /* slots that are or were in use */
	uint64_t first_free; /* a handle, or 0 */
	uint64_t limit_bytes;
};

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct broken_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	/* An array that no case fills. */
	pool->slots = mmap(NULL, BROKEN_SLOTS * sizeof(*pool->slots), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->slots == MAP_FAILED) {
		free(pool);
		return -ENOMEM;
	}
	pthread_mutex_init(&pool->lock, NULL);
	pool->limit_bytes = args->limit_bytes;
	out->pool = pool;
	return 0;
}
#define BROKEN_CREATE broken_create

static void broken_destroy(void *context)
{
	struct broken_pool *pool = context;

	munmap(pool->slots, BROKEN_SLOTS * sizeof(*pool->slots));
	free(pool);
}
#define BROKEN_DESTROY broken_destroy

static uint64_t broken_bytes(uint64_t slots)
{
	return (slots * sizeof(uint64_t) + 4095) / 4096 * 4096;
}

static int broken_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct broken_pool *pool = context;
	int err = 0;

	(void)size;
	pthread_mutex_lock(&pool->lock);
	if (pool->first_free) {
		*handle = pool->first_free;
		pool->first_free = pool->slots[*handle - 1];
	} else if (pool->used == BROKEN_SLOTS ||
		   (pool->limit_bytes && broken_bytes(pool->used + 1) > pool->limit_bytes)) {
		err = -ENOMEM;
	} else {
		*handle = ++pool->used;
	}
	if (!err && (gfp & ZPOOL_GFP_ZERO))
		pool->slots[*handle - 1] = 0;
	pthread_mutex_unlock(&pool->lock);
	return err;
}
#define BROKEN_MALLOC broken_malloc

static int broken_free(void *context, unsigned long handle)
{
	struct broken_pool *pool = context;

	pthread_mutex_lock(&pool->lock);
	pool->slots[handle - 1] = pool->first_free;
	pool->first_free = handle;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}
#define BROKEN_FREE broken_free

static void *broken_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	(void)mode;
	return &((struct broken_pool *)context)->slots[handle - 1];
}
#define BROKEN_MAP broken_map

static int broken_unmap(void *context, unsigned long handle)
{
	(void)context;
	(void)handle;
	return 0;
}
#define BROKEN_UNMAP broken_unmap

static uint64_t broken_total_size(void *context)
{
	return broken_bytes(((struct broken_pool *)context)->used);
}
#define BROKEN_TOTAL_SIZE broken_total_size

static int broken_set_limit(void *context, uint64_t limit_bytes)
{
	((struct broken_pool *)context)->limit_bytes = limit_bytes;
	return 0;
}
#define BROKEN_SET_LIMIT broken_set_limit

#define BROKEN_OBJECT_BYTES 8
#define BROKEN_ALIGNMENT 8
#define BROKEN_OBJ_SIZE NULL
#define BROKEN_SHRINK NULL
#define BROKEN_COMPACT NULL
#define BROKEN_EACH_OBJECT NULL
#define BROKEN_EACH_CLASS NULL
#define BROKEN_STATS NULL
#define BROKEN_TRIM NULL
#define BROKEN_FORK NULL
#endif
