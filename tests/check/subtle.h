/* SPDX-License-Identifier: MIT
 *
 * subtle.h - faults that show late or elsewhere: when the next thread ends, after a thousand pools, in a forked child.
 * broken.c includes this file after the driver and before the driver's structure.
 */

/* ---- memory that is held and released ---- */

#ifdef FAULT_limit_is_a_page_too_wide
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args wider = *args;

	wider.limit_bytes += args->limit_bytes ? 4096 : 0;
	return slabs_create(&wider, out);
}
#define BROKEN_CREATE broken_create

static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	return slabs_set_limit(pool, limit_bytes ? limit_bytes + 4096 : 0);
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

#ifdef FAULT_threads_pass_the_limit
static _Atomic(uint64_t) broken_limit;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args unlimited = *args;

	unlimited.limit_bytes = 0;
	atomic_store(&broken_limit, args->limit_bytes);
	return slabs_create(&unlimited, out);
}
#define BROKEN_CREATE broken_create

static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	(void)pool;
	atomic_store(&broken_limit, limit_bytes);
	return 0;
}
#define BROKEN_SET_LIMIT broken_set_limit

/* The limit is checked too late: the excess memory is released again, but other threads could see it. */
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	uint64_t limit = atomic_load(&broken_limit), released;
	unsigned long given;
	int err = slabs_malloc(pool, size, gfp, &given);

	if (!err && limit && slabs_total_size(pool) > limit) {
		slabs_free(pool, given);
		slabs_trim(pool, &released);
		atomic_fetch_add(&((struct slabs_pool *)pool)->failed_limit, 1);
		return -ENOMEM;
	}
	if (!err)
		*handle = given;
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_total_size_never_shrinks
static uint64_t broken_total_size(void *pool)
{
	return zp_pages_peak_bytes(&((struct slabs_pool *)pool)->pages);
}
#define BROKEN_TOTAL_SIZE broken_total_size
#endif

#ifdef FAULT_pools_leak_a_record
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static void *volatile record;

	record = malloc(100);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_failed_pools_leak
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static void *volatile record;
	int err = slabs_create(args, out);

	if (err)
		record = malloc(100);
	return err;
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_pools_leak_addresses
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	if (mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return -ENOMEM;
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_pools_leak_descriptors
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
		return -ENOMEM;
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_objects_leak_a_record
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static void *volatile record;
	int err = slabs_malloc(pool, size, gfp, handle);

	if (!err)
		record = malloc(24);
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_thread_caches_stay
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static _Thread_local void *cached_for;
	uint32_t pgno;

	if (cached_for != pool && zp_pages_get(&((struct slabs_pool *)pool)->pages, 1, gfp, &pgno) == 0)
		cached_for = pool;
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_threads_call_back_after_unload
static pthread_key_t broken_key;
static pthread_once_t broken_once = PTHREAD_ONCE_INIT;

static void forget_thread(void *arg)
{
	free(arg);
}

static void make_key(void)
{
	pthread_key_create(&broken_key, forget_thread);
}

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	pthread_once(&broken_once, make_key);
	if (!pthread_getspecific(broken_key))
		pthread_setspecific(broken_key, malloc(16));
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_prints_a_line
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	fprintf(stderr, "a pool is made\n");
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

/* ---- objects ---- */

#ifdef FAULT_class_is_a_byte_too_small
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	return slabs_malloc(pool, size > 1 ? size - 1 : 1, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#define BROKEN_OBJ_SIZE NULL
#endif

#ifdef FAULT_zeroes_a_pointers_size
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size, gfp & ~ZPOOL_GFP_ZERO, handle);

	if (!err && (gfp & ZPOOL_GFP_ZERO)) {
		char *bytes = slabs_map(pool, *handle, ZPOOL_MM_WO);

		memset(bytes, 0, sizeof(bytes));
		slabs_unmap(pool, *handle);
	}
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_failed_malloc_writes_a_handle
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	*handle = ~0ul;
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_nowait_waits_for_a_lock
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	pthread_mutex_lock(&broken_lock);
	int err = slabs_malloc(pool, size, gfp, handle);
	pthread_mutex_unlock(&broken_lock);
	return err;
}
#define BROKEN_MALLOC broken_malloc
#define BROKEN_FORK NULL
#endif

#ifdef FAULT_map_leaves_errno
static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	int before = errno;
	void *address = slabs_map(pool, handle, mode);

	errno = before;
	return address;
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_range_check_overflows
static int64_t broken_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	int64_t size = slabs_obj_size(pool, handle);
	const char *bytes = size >= 0 && offset + len <= (size_t)size ? slabs_map(pool, handle, ZPOOL_MM_RO) : NULL;

	if (!bytes)
		return size >= 0 && offset + len <= (size_t)size ? -errno : -EINVAL;
	memcpy(buf, bytes + offset, len);
	slabs_unmap(pool, handle);
	return (int64_t)len;
}

static int64_t broken_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	int64_t size = slabs_obj_size(pool, handle);
	char *bytes = size >= 0 && offset + len <= (size_t)size ? slabs_map(pool, handle, ZPOOL_MM_WO) : NULL;

	if (!bytes)
		return size >= 0 && offset + len <= (size_t)size ? -errno : -EINVAL;
	memcpy(bytes + offset, buf, len);
	slabs_unmap(pool, handle);
	return (int64_t)len;
}
#define BROKEN_COPIES , .read = broken_read, .write = broken_write
#define BROKEN_OBJ_SIZE NULL
#endif

/* ---- evicting and moving ---- */

#ifdef FAULT_evicts_another
static int (*broken_asked)(void *context, unsigned long handle);
static _Atomic(unsigned long) broken_last;

static int broken_evict(void *context, unsigned long handle)
{
	static atomic_uint calls;

	return broken_asked(context, atomic_fetch_add(&calls, 1) % 20 == 19 ? atomic_load(&broken_last) : handle);
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args other = *args;

	broken_asked = args->evict;
	other.evict = args->evict ? broken_evict : NULL;
	return slabs_create(&other, out);
}
#define BROKEN_CREATE broken_create

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size, gfp, handle);

	if (!err)
		atomic_store(&broken_last, *handle);
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_shrink_ends_early
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	return slabs_shrink(pool, pages > 5 ? 5 : pages, reclaimed);
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_shrink_counts_what_was_refused
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	int err = slabs_shrink(pool, pages, reclaimed);

	*reclaimed += err == -EAGAIN ? SLABS_PAGES : 0;
	return err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_ignores_the_time
static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	struct zpool_budget endless = *budget;

	endless.ns = 0;
	return slabs_compact(pool, &endless, released);
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_walks_with_a_lock_held
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	pthread_mutex_lock(&broken_lock);
	int err = slabs_malloc(pool, size, gfp, handle);
	pthread_mutex_unlock(&broken_lock);
	return err;
}
#define BROKEN_MALLOC broken_malloc

static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	pthread_mutex_lock(&broken_lock);
	int result = slabs_each_object(pool, fn, user);
	pthread_mutex_unlock(&broken_lock);
	return result;
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

/* ---- in a forked child ---- */

#ifdef FAULT_fork_takes_no_lock
static void broken_fork(void *pool, enum zpool_fork_phase phase)
{
	(void)pool;
	(void)phase;
}
#define BROKEN_FORK broken_fork
#endif

#ifdef FAULT_child_keeps_the_lock
static void broken_fork(void *pool, enum zpool_fork_phase phase)
{
	if (phase != ZPOOL_FORK_CHILD)
		slabs_fork(pool, phase);
}
#define BROKEN_FORK broken_fork
#endif

#ifdef FAULT_child_shares_the_pages
static void *shared_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	char *at = mmap(NULL, bytes + align_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *start = (char *)(((uintptr_t)at + align_bytes - 1) & ~(uintptr_t)(align_bytes - 1));

	(void)context;
	(void)node;
	if (at == MAP_FAILED)
		return NULL;
	if (start > at)
		munmap(at, (size_t)(start - at));
	munmap(start + bytes, (size_t)(at + align_bytes - start));
	return start;
}

static int shared_commit(void *context, void *address, size_t bytes)
{
	(void)context;
	(void)address;
	(void)bytes;
	return 0;
}

static int shared_decommit(void *context, void *address, size_t bytes)
{
	(void)context;
	return madvise(address, bytes, MADV_REMOVE) ? -errno : 0;
}

static void shared_release(void *context, void *address, size_t bytes)
{
	(void)context;
	munmap(address, bytes);
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static const struct zpool_page_source shared = {
		sizeof(shared), 0, NULL, shared_reserve, shared_commit, shared_decommit, shared_release
	};
	struct zpool_create_args own = *args;

	if (!own.page_source)
		own.page_source = &shared;
	return slabs_create(&own, out);
}
#define BROKEN_CREATE broken_create
#endif

/* ---- statistics ---- */

#ifdef FAULT_stats_drift
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct zpool_stats now;

	slabs_stats(pool, &now, sizeof(now));
	/* Evicted objects are still counted. */
	now.objects += now.evictions;
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_full_classes_look_half_empty
static int (*broken_visit)(const struct zpool_class_stats *stats, size_t size, void *user);

static int broken_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	struct zpool_class_stats wrong = *stats;

	wrong.fullness[5] += wrong.fullness[10];
	wrong.fullness[10] = 0;
	return broken_visit(&wrong, size, user);
}

static int broken_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			     void *user)
{
	broken_visit = fn;
	return slabs_each_class(pool, broken_class, user);
}
#define BROKEN_EACH_CLASS broken_each_class
#endif
