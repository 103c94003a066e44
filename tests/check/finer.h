/* SPDX-License-Identifier: MIT
 *
 * finer.h - faults that need two conditions at the same time: a second run, a second thread, a rare value. broken.c
 * includes this file after the driver and before the driver's structure.
 */

/* ---- threads ---- */

#ifdef FAULT_maps_what_is_freed
/* The object is looked up without a pin, so another thread may free it before it is mapped. */
static void *broken_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	int err = zp_handles_lookup(&pool->handles, handle, &location);

	if (err) {
		errno = -err;
		return NULL;
	}
	sched_yield();
	if (!slabs_map(pool, handle, mode) && errno == EBUSY)
		return NULL;
	return slot_address(slab_at(pool, location), location);
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_writes_where_it_was
/* A write does not pin its object, so compaction may move it meanwhile. */
static int64_t broken_read(void *context, unsigned long handle, void *buf, size_t len, size_t offset)
{
	int64_t size = slabs_obj_size(context, handle);
	const char *bytes;

	if (size < 0 || len == 0 || offset > (size_t)size || len > (size_t)size - offset)
		return -EINVAL;
	bytes = slabs_map(context, handle, ZPOOL_MM_RO);
	if (!bytes)
		return -errno;
	memcpy(buf, bytes + offset, len);
	slabs_unmap(context, handle);
	return (int64_t)len;
}

static int64_t broken_write(void *context, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct slabs_pool *pool = context;
	int64_t size = slabs_obj_size(pool, handle);
	uint64_t location = 0;

	if (size < 0 || len == 0 || offset > (size_t)size || len > (size_t)size - offset)
		return -EINVAL;
	if (zp_handles_lookup(&pool->handles, handle, &location))
		return -EINVAL;
	memcpy(slot_address(slab_at(pool, location), location) + offset, buf, len);
	return (int64_t)len;
}
#define BROKEN_COPIES , .read = broken_read, .write = broken_write
#endif

#ifdef FAULT_two_frees_count_twice
/* Two threads may both see the object live, and both subtract it from the count. */
static int broken_free(void *context, unsigned long handle)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	bool live = zp_handles_lookup(&pool->handles, handle, &location) == 0;
	int err = slabs_free(pool, handle);

	if (live && err == -EINVAL) {
		zp_lock(&pool->lock);
		pool->objects--;
		zp_unlock(&pool->lock);
	}
	return err;
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_threads_are_at_most_64
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static atomic_uint threads;
	static _Thread_local unsigned int number;

	if (!number)
		number = atomic_fetch_add(&threads, 1) + 1;
	return number > 64 ? -ENOMEM : slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

/* ---- repetitions ---- */

#ifdef FAULT_a_second_compaction_harms
static int broken_each(unsigned long handle, size_t size, void *user)
{
	char *bytes = slabs_map(user, handle, ZPOOL_MM_RW);

	if (bytes) {
		bytes[0] ^= 1;
		slabs_unmap(user, handle);
	}
	return 1;
}

static int broken_compact(void *context, const struct zpool_budget *budget, uint64_t *released)
{
	struct slabs_pool *pool = context;
	bool again = pool->counted.compact_moved_bytes > 0;
	uint64_t moved = pool->counted.compact_moved_bytes;
	int result = slabs_compact(pool, budget, released);

	if (again && pool->counted.compact_moved_bytes > moved)
		slabs_each_object(pool, broken_each, pool);
	return result;
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_a_full_pool_stays_full
static void *_Atomic broken_full;

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = atomic_load(&broken_full) == pool ? -ENOMEM : slabs_malloc(pool, size, gfp, handle);

	if (err == -ENOMEM && !(gfp & ZPOOL_GFP_NOWAIT))
		atomic_store(&broken_full, pool);
	return err;
}
#define BROKEN_MALLOC broken_malloc

static void broken_destroy(void *pool)
{
	if (atomic_load(&broken_full) == pool)
		atomic_store(&broken_full, NULL);
	slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_limits_are_never_lifted
static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	return limit_bytes ? slabs_set_limit(pool, limit_bytes) : 0;
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

#ifdef FAULT_lower_limits_are_refused
static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	return limit_bytes && limit_bytes < slabs_total_size(pool) ? -EBUSY : slabs_set_limit(pool, limit_bytes);
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

/* ---- rare values ---- */

#if defined(FAULT_reads_are_partial) || defined(FAULT_writes_are_partial)
static int64_t broken_copy(void *pool, unsigned long handle, void *to, const void *from, size_t len, size_t offset)
{
	int64_t size = slabs_obj_size(pool, handle);
	char *bytes;

	if (size < 0 || len == 0 || offset > (size_t)size || len > (size_t)size - offset)
		return -EINVAL;
	bytes = slabs_map(pool, handle, ZPOOL_MM_RW);
	if (!bytes)
		return -errno;
#ifdef FAULT_reads_are_partial
	len = to && len > 3000 ? 3000 : len;
#else
	/* The callback reports that all bytes were written. */
	if (from && len > 3000) {
		memcpy(bytes + offset, from, 3000);
		slabs_unmap(pool, handle);
		return (int64_t)len;
	}
#endif
	memcpy(to ? to : bytes + offset, to ? bytes + offset : from, len);
	slabs_unmap(pool, handle);
	return (int64_t)len;
}

static int64_t broken_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	return broken_copy(pool, handle, buf, NULL, len, offset);
}

static int64_t broken_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	return broken_copy(pool, handle, NULL, buf, len, offset);
}
#define BROKEN_COPIES , .read = broken_read, .write = broken_write
#endif

#ifdef FAULT_shrink_multiplies_in_32_bits
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	unsigned int bytes = pages * 4096;

	return slabs_shrink(pool, bytes / 4096, reclaimed);
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_deadlines_overflow
static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	struct zpool_budget signed_time = *budget;

	if ((int64_t)budget->ns < 0)
		signed_time.ns = 1;
	return slabs_compact(pool, &signed_time, released);
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_zeroes_one_page_only
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size, gfp & ~ZPOOL_GFP_ZERO, handle);

	if (!err && (gfp & ZPOOL_GFP_ZERO)) {
		memset(slabs_map(pool, *handle, ZPOOL_MM_WO), 0, size > 4000 ? 4000 : size);
		slabs_unmap(pool, *handle);
	}
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_maps_are_at_most_2048
static atomic_uint broken_maps;

static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	void *address;

	if (atomic_fetch_add(&broken_maps, 1) >= 2048) {
		atomic_fetch_sub(&broken_maps, 1);
		errno = EBUSY;
		return NULL;
	}
	address = slabs_map(pool, handle, mode);
	if (!address)
		atomic_fetch_sub(&broken_maps, 1);
	return address;
}
#define BROKEN_MAP broken_map

static int broken_unmap(void *pool, unsigned long handle)
{
	int err = slabs_unmap(pool, handle);

	if (!err)
		atomic_fetch_sub(&broken_maps, 1);
	return err;
}
#define BROKEN_UNMAP broken_unmap
#endif

#ifdef FAULT_handles_have_32_bits
static int broken_each_as_int(unsigned long handle, size_t size, void *user)
{
	struct broken_walk {
		int (*fn)(unsigned long handle, size_t size, void *user);
		void *user;
	} *walk = user;

	return walk->fn((uint32_t)handle, size, walk->user);
}

static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct {
		int (*fn)(unsigned long handle, size_t size, void *user);
		void *user;
	} walk = { fn, user };

	return slabs_each_object(pool, broken_each_as_int, &walk);
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

/* ---- results and statistics ---- */

#ifdef FAULT_walks_do_not_stop
struct broken_walk {
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
	int result;
};

static int broken_visit(unsigned long handle, size_t size, void *user)
{
	struct broken_walk *walk = user;
	int result = walk->fn(handle, size, walk->user);

	walk->result = walk->result ? walk->result : result;
	return 0;
}

static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct broken_walk walk = { fn, user, 0 };

	slabs_each_object(pool, broken_visit, &walk);
	return walk.result;
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

#ifdef FAULT_walks_leave_out_what_is_mapped
struct broken_walk {
	struct slabs_pool *pool;
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int broken_visit(unsigned long handle, size_t size, void *user)
{
	struct broken_walk *walk = user;
	uint64_t location;

	if (zp_handles_begin_move(&walk->pool->handles, zp_handle_slot(handle), &location) != 0)
		return 0;
	zp_handles_end_move(&walk->pool->handles, zp_handle_slot(handle), location);
	return walk->fn(handle, size, walk->user);
}

static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct broken_walk walk = { pool, fn, user };

	return slabs_each_object(pool, broken_visit, &walk);
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

#ifdef FAULT_a_class_is_not_told
static int (*broken_told)(const struct zpool_class_stats *stats, size_t size, void *user);

static int broken_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	return stats->object_bytes == 512 ? 0 : broken_told(stats, size, user);
}

static int broken_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			     void *user)
{
	broken_told = fn;
	return slabs_each_class(pool, broken_class, user);
}
#define BROKEN_EACH_CLASS broken_each_class
#endif

#if defined(FAULT_the_peak_is_what_is_held) || defined(FAULT_mapped_handles_stay_at_zero) ||                           \
	defined(FAULT_stored_bytes_only_rise)
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct zpool_stats now = { 0 };

	slabs_stats(pool, &now, sizeof(now));
#ifdef FAULT_the_peak_is_what_is_held
	now.pool_bytes_peak = now.pool_bytes;
#elif defined(FAULT_mapped_handles_stay_at_zero)
	now.mapped_handles = 0;
#else
	static _Atomic(uint64_t) most;
	if (now.stored_bytes > atomic_load(&most))
		atomic_store(&most, now.stored_bytes);
	now.stored_bytes = now.objects ? atomic_load(&most) : 0;
#endif
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_trim_tells_nothing
static int broken_trim(void *pool, uint64_t *released)
{
	int err = slabs_trim(pool, released);

	*released = 0;
	return err;
}
#define BROKEN_TRIM broken_trim
#endif

#ifdef FAULT_total_size_omits_the_handles
static uint64_t broken_total_size(void *context)
{
	struct slabs_pool *pool = context;

	return pool->slabs * SLABS_PAGES * 4096;
}
#define BROKEN_TOTAL_SIZE broken_total_size
#endif

/* ---- pools and processes ---- */

#ifdef FAULT_children_cannot_compact
static pid_t broken_parent;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	broken_parent = getpid();
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create

static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	*released = 0;
	return getpid() == broken_parent ? slabs_compact(pool, budget, released) : -EIO;
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_an_evict_error_passes_through
static int (*broken_asked)(void *context, unsigned long handle);
static _Thread_local int broken_refusal;

static int broken_evict(void *context, unsigned long handle)
{
	int err = broken_asked(context, handle);

	broken_refusal = err ? err : broken_refusal;
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

static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	int err;

	broken_refusal = 0;
	err = slabs_shrink(pool, pages, reclaimed);
	return err && broken_refusal ? broken_refusal : err;
}
#define BROKEN_SHRINK broken_shrink
#endif

/* Shrink gives up at the first mapped object, although other pages have none. */
#ifdef FAULT_one_map_ends_a_shrink
static int broken_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct slabs_pool *pool = context;

	*reclaimed = 0;
	return zp_handles_mapped(&pool->handles) ? -EAGAIN : slabs_shrink(pool, pages, reclaimed);
}
#define BROKEN_SHRINK broken_shrink
#endif

/* If there is no room for a new object, the driver loses the object that was stored last. */
#ifdef FAULT_a_refused_page_loses_an_object
static int broken_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct slabs_pool *pool = context;
	static _Atomic(unsigned long) last;
	int err = slabs_malloc(pool, size, gfp, handle);

	if (!err)
		atomic_store(&last, *handle);
	else if (!(gfp & ZPOOL_GFP_NOWAIT))
		slabs_free(pool, atomic_load(&last));
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif
