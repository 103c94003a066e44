/* SPDX-License-Identifier: MIT
 *
 * filter.h - what filters share: the driver below, handles of the filter's own, eviction, and calls passed on
 *
 * A filter is a driver with ZPOOL_DRIVER_FILTER among its required flags.  It stands in front of another, which it
 * makes inside its own create.  Its pool begins with a struct zp_filter, so that the zp_filter_ functions below are
 * callbacks as they stand: a filter writes those that it has something to add to, and names these for the rest.
 *
 *     struct tally_pool { struct zp_filter filter; _Atomic(uint64_t) frees; };
 *
 *     static int tally_free(void *pool_, unsigned long handle)
 *     {
 *             struct tally_pool *pool = pool_;
 *             int err = zp_filter_free(&pool->filter, handle);
 *             ...
 *
 *     ZPOOL_DRIVER_DEFINE(tally, "1.0", "counts frees", .flags_required = ZPOOL_DRIVER_FILTER,
 *             .flags_ignorable = ZP_FILTER_FLAGS, .max_object_bytes = ZP_FILTER_OBJECT_BYTES_MAX,
 *             .alignment_bytes = ZP_FILTER_ALIGNMENT_BYTES, .create = tally_create, .destroy = tally_destroy,
 *             .malloc = zp_filter_malloc, .free = tally_free, .total_size = zp_filter_total_size, ...)
 *
 * Handles.  A filter must not give out the handles of the driver below: they would pass for its own in every other
 * stack on that driver, and one filter too many or too few in a caller's hands would go unseen.  The simple way is the
 * veil, a random number of the pool's: a handle is the lower one with the bits of the veil turned over.  It costs one
 * instruction, needs no memory, and what is stale or foreign below is so above.  A filter that keeps a record for each
 * object takes the handle table of handles.h instead, finds its own way from lower handles to its own, and uses
 * `lower` directly; zp_filter_init() and those callbacks that take no handle serve it as well.
 *
 * Limit.  total_size includes what is below.  The core tells the limit of the whole stack to every layer, the lowest
 * first; a filter that holds memory of its own leaves the driver below so much less (zp_filter_limit()).  Where the
 * driver below has no set_limit the core sees to the limit, whatever the filter does.
 *
 * Locks.  A filter holds none while it calls shrink below, or evict.  Locks of its own come before those below.
 */
#ifndef ZP_SUPPORT_FILTER_H
#define ZP_SUPPORT_FILTER_H

#include <zpool-driver.h>

/* What a filter's own structure says; zp_filter_init() replaces it by what the driver below has. */
enum { ZP_FILTER_OBJECT_BYTES_MAX = 1 << 30, ZP_FILTER_ALIGNMENT_BYTES = 8 };
#define ZP_FILTER_FLAGS (ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_MOVABLE | ZPOOL_DRIVER_NOWAIT)

struct zp_filter {
	struct zpool_lower lower;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	unsigned long veil;
};

/*
 * In create: make the driver below, and tell in *out what the filter can do, which is what that can do.  `evict` is
 * called with the filter (the start of the pool) and a handle of the lower driver's: zp_filter_evict, or a function of
 * the filter's own.  The filter must not move afterwards.  0, or what the lower driver's create gave.
 */
int zp_filter_init(struct zp_filter *filter, const struct zpool_create_args *args, struct zpool_created *out,
		   int (*evict)(void *filter, unsigned long below));

/* In destroy, and in a create that fails after zp_filter_init(). */
void zp_filter_fini(struct zp_filter *filter);

/* Leave the driver below the part of the limit (0: none) that the filter's own bytes do not take. */
int zp_filter_limit(struct zp_filter *filter, uint64_t limit_bytes, uint64_t own_bytes);

/* Says that the driver below has no such call: -EOPNOTSUPP. */
int zp_filter_unsupported(struct zp_filter *filter, const char *call);

/* Between handles of the filter's and of the driver below, in both directions.  Neither is ever 0. */
static inline unsigned long zp_filter_veil(const struct zp_filter *filter, unsigned long handle)
{
	return handle == filter->veil ? handle : handle ^ filter->veil;
}

/* Ask the owner, for the lower driver, to let an object go. */
int zp_filter_evict(void *filter, unsigned long below);

/* Callbacks, by the veil.  What the driver below lacks gives -EOPNOTSUPP, with a message. */
int zp_filter_malloc(void *filter, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zp_filter_free(void *filter, unsigned long handle);
void *zp_filter_map(void *filter, unsigned long handle, enum zpool_mapmode mode);
int zp_filter_unmap(void *filter, unsigned long handle);
int64_t zp_filter_obj_size(void *filter, unsigned long handle);
int zp_filter_each_object(void *filter, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* ... and those that copy: by the lower driver's own read and write, or through a map. */
int64_t zp_filter_read(void *filter, unsigned long handle, void *buf, size_t len, size_t offset);
int64_t zp_filter_write(void *filter, unsigned long handle, const void *buf, size_t len, size_t offset);

/* Callbacks without handles. */
uint64_t zp_filter_total_size(void *filter);
int zp_filter_shrink(void *filter, unsigned int pages, unsigned int *reclaimed);
int zp_filter_compact(void *filter, const struct zpool_budget *budget, uint64_t *released);
int zp_filter_stats(void *filter, struct zpool_stats *stats, size_t stats_size);
int zp_filter_each_class(void *filter, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			 void *user);
int zp_filter_trim(void *filter, uint64_t *released);

/* For a filter that holds nothing worth a limit. */
int zp_filter_set_limit(void *filter, uint64_t limit_bytes);

/* For a filter that has nothing to lock. */
void zp_filter_fork(void *filter, enum zpool_fork_phase phase);

#endif
