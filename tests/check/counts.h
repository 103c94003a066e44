/* SPDX-License-Identifier: MIT
 *
 * counts.h - faults in a driver's counters, and single calls that leak. broken.c includes this file after the driver
 * and before the driver's structure.
 */

#if defined(FAULT_moves_are_counted_as_objects) || defined(FAULT_used_slots_are_called_free) ||                        \
	defined(FAULT_errors_are_not_zero) || defined(FAULT_pages_are_counted_twice) ||                                \
	defined(FAULT_large_pages_are_counted_twice)
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct zpool_stats now = { 0 };

	slabs_stats(pool, &now, sizeof(now));
#ifdef FAULT_moves_are_counted_as_objects
	now.compact_moved_bytes /= 256;
#elif defined(FAULT_errors_are_not_zero)
	now.errors = now.objects;
#elif defined(FAULT_pages_are_counted_twice) || defined(FAULT_large_pages_are_counted_twice)
	now.pages *= 2;
#else
	now.free_slots += now.objects;
#endif
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_mapped_objects_are_called_dead
static int broken_free(void *pool, unsigned long handle)
{
	int err = slabs_free(pool, handle);

	return err == -EBUSY ? -EINVAL : err;
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_failed_mallocs_count_as_objects
static int broken_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct slabs_pool *pool = context;
	int err = slabs_malloc(pool, size, gfp, handle);

	if (err && !(gfp & ZPOOL_GFP_NOWAIT)) {
		zp_lock(&pool->lock);
		pool->objects++;
		zp_unlock(&pool->lock);
	}
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_long_names_leak
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static char *volatile copy;

	if (strlen(args->name) > 32)
		copy = strdup(args->name);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_statistics_leak
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	static void *volatile record;

	record = malloc(100);
	return slabs_stats(pool, stats, stats_size);
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_refused_frees_leak
static int broken_free(void *pool, unsigned long handle)
{
	static void *volatile record;
	int err = slabs_free(pool, handle);

	if (err)
		record = malloc(64);
	return err;
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_trims_leak_descriptors
static int broken_trim(void *pool, uint64_t *released)
{
	(void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
	return slabs_trim(pool, released);
}
#define BROKEN_TRIM broken_trim
#endif

#ifdef FAULT_forked_children_print
static void broken_fork(void *pool, enum zpool_fork_phase phase)
{
	slabs_fork(pool, phase);
	if (phase == ZPOOL_FORK_CHILD)
		fprintf(stderr, "this is the child\n");
}
#define BROKEN_FORK broken_fork
#endif

/* This is no fault: the driver accepts small objects only. */
#ifdef FAULT_small_objects
#define BROKEN_OBJECT_BYTES 200
#endif
