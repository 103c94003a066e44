/* SPDX-License-Identifier: MIT
 *
 * orders.h - faults in the order of events: which object is evicted next, what is left when a pool is destroyed, which
 * lock is taken first; and faults in the effect of a parameter's value. broken.c includes this file after the driver
 * and before the driver's structure.
 */

/* ---- the order of eviction ---- */

/* The lock is held across a cancellation point. */
#ifdef FAULT_cancelled_with_the_lock_held
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static unsigned int calls;
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT)
		return -ENOMEM;
	pthread_mutex_lock(&lock);
	if (++calls % 64 == 0)
		usleep(1);
	err = slabs_malloc(pool, size, gfp, handle);
	pthread_mutex_unlock(&lock);
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_evicts_everything
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	unsigned int wanted = pages < 1000000 ? 1000000 : pages;
	int err = slabs_shrink(pool, wanted, reclaimed);

	return *reclaimed >= pages ? 0 : err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_evicts_twice_as_much
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	int err = slabs_shrink(pool, pages > 1 && pages < 1000000 ? 2 * pages : pages, reclaimed);

	return *reclaimed >= pages ? 0 : err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_tells_what_was_asked
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	int err = slabs_shrink(pool, pages, reclaimed);

	if (*reclaimed > pages)
		*reclaimed = pages;
	return err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_a_map_makes_younger
static void *broken_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct slabs_pool *pool = context;
	void *address = slabs_map(pool, handle, mode);
	uint64_t location = 0;

	if (!address)
		return NULL;
	zp_lock(&pool->lock);
	if (zp_handles_lookup(&pool->handles, handle, &location) == 0 && !slab_at(pool, location)->under_reclaim)
		zp_list_move(&slab_at(pool, location)->in_order, &pool->order);
	zp_unlock(&pool->lock);
	return address;
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_used_again_is_not_younger
/* A slab in pages that were used before is inserted as the oldest instead of the youngest. */
static int broken_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static uint32_t highest;
	struct slabs_pool *pool = context;
	int err = slabs_malloc(pool, size, gfp, handle);
	uint64_t location = 0;

	if (err)
		return err;
	zp_lock(&pool->lock);
	if (zp_handles_lookup(&pool->handles, *handle, &location) == 0) {
		struct slab *slab = slab_at(pool, location);

		if (slab->pgno < highest && !slab->under_reclaim) {
			zp_list_del(&slab->in_order);
			zp_list_add(&slab->in_order, pool->order.prev);
		}
		if (slab->pgno > highest)
			highest = slab->pgno;
	}
	zp_unlock(&pool->lock);
	return 0;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_a_refusal_blocks_the_rest
/* A refused object stays the oldest, so shrink asks for it again and again. */
static int broken_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct slabs_pool *pool = context;
	int err = 0;

	*reclaimed = 0;
	if (!pool->evict)
		return -EINVAL;
	while (!err && *reclaimed < pages) {
		zp_lock(&pool->lock);
		if (zp_list_empty(&pool->order)) {
			zp_unlock(&pool->lock);
			return -EINVAL;
		}
		struct slab *slab = zp_list_entry(pool->order.prev, struct slab, in_order);
		slab_leave(slab);
		slab_evict(pool, slab);
		bool emptied = slab->used == 0;
		pool->slabs -= emptied;
		if (!emptied) {
			zp_list_add(&slab->in_class, &pool->classes[slab->class]);
			zp_list_add(&slab->in_order, pool->order.prev);
			err = -EAGAIN;
		}
		zp_unlock(&pool->lock);
		if (emptied) {
			zp_pages_put(&pool->pages, slab->pgno, SLABS_PAGES);
			*reclaimed += SLABS_PAGES;
		}
	}
	return err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_pools_share_a_callback
static int (*broken_asked)(void *context, unsigned long handle);
static void *broken_context;

static int broken_evict(void *context, unsigned long handle)
{
	(void)context;
	return broken_asked(broken_context, handle);
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args other = *args;

	if (args->evict) {
		broken_asked = args->evict;
		broken_context = args->evict_context;
		other.evict = broken_evict;
	}
	return slabs_create(&other, out);
}
#define BROKEN_CREATE broken_create
#endif

/* ---- leaks when a pool is destroyed ---- */

#ifdef FAULT_mapped_objects_keep_the_pool
static void broken_destroy(void *context)
{
	struct slabs_pool *pool = context;

	if (zp_handles_mapped(&pool->handles) < 2)
		slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_refused_evictions_leak
static int (*broken_asked)(void *context, unsigned long handle);

static int broken_evict(void *context, unsigned long handle)
{
	static void *volatile record;
	int err = broken_asked(context, handle);

	if (err)
		record = malloc(200);
	return err;
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args other = *args;

	broken_asked = args->evict;
	other.evict = args->evict ? broken_evict : NULL;
	return slabs_create(&other, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_failed_mallocs_leak
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static void *volatile record;
	int err = slabs_malloc(pool, size, gfp, handle);

	if (err == -ENOMEM && !(gfp & ZPOOL_GFP_NOWAIT))
		record = malloc(24);
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_threads_leak_a_record
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static _Thread_local void *record;

	if (!record)
		record = malloc(100);
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

/* The record of a thread is freed together with the pool, but not when the thread ends. */
#ifdef FAULT_records_of_threads_pile_up
struct broken_record {
	struct broken_record *next;
	void *pool;
	char bytes[200];
};
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;
static struct broken_record *broken_records;

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static _Thread_local void *known;
	struct broken_record *record;

	if (known != pool && !(gfp & ZPOOL_GFP_NOWAIT)) {
		record = malloc(sizeof(*record));
		pthread_mutex_lock(&broken_lock);
		record->pool = pool;
		record->next = broken_records;
		broken_records = record;
		pthread_mutex_unlock(&broken_lock);
		known = pool;
	}
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc

static void broken_destroy(void *pool)
{
	pthread_mutex_lock(&broken_lock);
	for (struct broken_record **at = &broken_records, *record; (record = *at);) {
		if (record->pool == pool) {
			*at = record->next;
			free(record);
		} else {
			at = &record->next;
		}
	}
	pthread_mutex_unlock(&broken_lock);
	slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_pools_are_at_most_256
static _Atomic(uint8_t) broken_pools;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	return atomic_fetch_add(&broken_pools, 1) == UINT8_MAX ? -ENOMEM : slabs_create(args, out);
}
#define BROKEN_CREATE broken_create

static void broken_destroy(void *pool)
{
	atomic_fetch_sub(&broken_pools, 1);
	slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

/* ---- threads ---- */

#if defined(FAULT_reads_what_is_freed) || defined(FAULT_writes_to_what_is_freed)
/* The object is looked up without a pin, and another object may be in its slot when it is copied. */
static int64_t broken_copy_range(void *context, unsigned long handle, size_t len, size_t offset, char **at)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	int64_t size = slabs_obj_size(pool, handle);

	if (size < 0 || len == 0 || offset > (size_t)size || len > (size_t)size - offset)
		return -EINVAL;
	if (zp_handles_lookup(&pool->handles, handle, &location))
		return -EINVAL;
	*at = slot_address(slab_at(pool, location), location) + offset;
	sched_yield();
	return (int64_t)len;
}

static int64_t broken_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	char *at = NULL;
	int64_t done = broken_copy_range(pool, handle, len, offset, &at);

	if (done > 0)
		memcpy(buf, at, len);
	return done;
}

static int64_t broken_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	char *at = NULL;
	int64_t done = broken_copy_range(pool, handle, len, offset, &at);

	if (done > 0)
		memcpy(at, buf, len);
	return done;
}
#define BROKEN_COPIES , .read = broken_read, .write = broken_write
#endif

#if defined(FAULT_free_locks_across_compact) || defined(FAULT_shrink_locks_across_stats)
static pthread_mutex_t broken_objects = PTHREAD_MUTEX_INITIALIZER, broken_pages = PTHREAD_MUTEX_INITIALIZER;

static void broken_lock(pthread_mutex_t *first, pthread_mutex_t *second)
{
	pthread_mutex_lock(first);
	sched_yield();
	pthread_mutex_lock(second);
}

static void broken_unlock(void)
{
	pthread_mutex_unlock(&broken_objects);
	pthread_mutex_unlock(&broken_pages);
}
#define BROKEN_FORK NULL
#endif

#ifdef FAULT_free_locks_across_compact
static int broken_free(void *pool, unsigned long handle)
{
	broken_lock(&broken_objects, &broken_pages);
	int err = slabs_free(pool, handle);
	broken_unlock();
	return err;
}
#define BROKEN_FREE broken_free

static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	broken_lock(&broken_pages, &broken_objects);
	int result = slabs_compact(pool, budget, released);
	broken_unlock();
	return result;
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_shrink_locks_across_stats
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	for (int i = 0; i < 50; i++) {
		broken_lock(&broken_objects, &broken_pages);
		broken_unlock();
	}
	return slabs_shrink(pool, pages, reclaimed);
}
#define BROKEN_SHRINK broken_shrink

static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	for (int i = 0; i < 50; i++) {
		broken_lock(&broken_pages, &broken_objects);
		broken_unlock();
	}
	return slabs_stats(pool, stats, stats_size);
}
#define BROKEN_STATS broken_stats
#endif

/* ---- parameters ---- */

#if defined(FAULT_the_greatest_value_overflows) || defined(FAULT_the_least_value_divides) ||                           \
	defined(FAULT_a_choice_loses_a_byte)
static const char *const broken_choices[] = { "first", "best", "worst", NULL };
static const struct zpool_param broken_params[] = {
	{ .key = "batch",
	  .help = "objects to prepare at once",
	  .default_value = "16",
	  .max = UINT32_MAX,
	  .type = ZPOOL_PARAM_UINT },
	{ .key = "fit",
	  .help = "which slot an object gets",
	  .default_value = "first",
	  .choices = broken_choices,
	  .type = ZPOOL_PARAM_ENUM },
};
#define BROKEN_PARAMS , .params = broken_params, .param_count = 2
static _Atomic(uint64_t) broken_batch, broken_fit;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	atomic_store(&broken_batch, args->values[0].number);
	atomic_store(&broken_fit, args->values[1].number);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static atomic_uint calls;
	uint32_t batch = (uint32_t)atomic_load(&broken_batch);
	unsigned int call = atomic_fetch_add(&calls, 1);

#ifdef FAULT_the_greatest_value_overflows
	/* The fault shows from the second call on. */
	if (call && batch + 1 < batch && call % 40 == 39)
		return -ENOSPC;
#endif
#ifdef FAULT_the_least_value_divides
	if (call % 10 == 9 && call % batch == batch)
		return -ENOSPC;
#endif
	int err = slabs_malloc(pool, size, gfp, handle);
#ifdef FAULT_a_choice_loses_a_byte
	/* Two objects get the same slot. */
	static unsigned long last;
	if (!err && atomic_load(&broken_fit) == 2 && last && call % 40 == 39 &&
	    slabs_obj_size(pool, last) >= (int64_t)size) {
		slabs_free(pool, *handle);
		*handle = last;
	} else if (!err) {
		last = *handle;
	}
#endif
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif
