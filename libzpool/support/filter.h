/* SPDX-License-Identifier: MIT
 *
 * filter.h - what filters share: the driver below, handles of the filter's own, eviction, and forwarded calls
 *
 * A filter is a driver with ZPOOL_DRIVER_FILTER among its required flags.  It is a layer above another driver, which it
 * creates in its own create callback.  Its pool begins with a struct zp_filter, so that the zp_filter_ functions below
 * can be used as callbacks directly: a filter writes the callbacks that it adds something to, and uses these for the
 * rest.
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
 * Handles.  A filter must not give out the handles of the driver below: every other stack on that driver would accept
 * them, so a call on the wrong stack would go undetected.  The simple way is the veil, a random number for each pool:
 * the filter's handle is the lower handle XOR the veil.  It costs one instruction and needs no memory, and a handle
 * that is stale or foreign below is stale or foreign above.  A filter that keeps a record for each object uses the
 * handle table of handles.h instead, finds its own handle for a lower one itself, and calls the callbacks of `lower`
 * directly; zp_filter_init() and the callbacks without a handle argument work for such a filter too.
 *
 * Limit.  total_size includes the layers below.  The core passes the limit of the whole stack to the top layer; each
 * filter passes it on to the driver below, less the memory that it holds itself (zp_filter_limit()).  If the driver
 * below has no set_limit, the core enforces the limit, whatever the filter does.
 *
 * Locks.  A filter holds no lock while it calls shrink of the driver below, or evict.  Its locks come before the locks
 * of the driver below.
 */
#ifndef ZP_SUPPORT_FILTER_H
#define ZP_SUPPORT_FILTER_H

#include <zpool-driver.h>

/*
 * The properties that a filter declares in its own structure; zp_filter_init() replaces them by those of the driver
 * below.
 */
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
 * For create: creates the driver below, and sets in *out what the filter can do, which is what the driver below can do.
 * `evict` is called with the filter (the start of the pool) and a handle of the lower driver; pass zp_filter_evict, or
 * a function of the filter's own.  The filter must not move afterwards.  Returns 0, or the result of the lower driver's
 * create.
 */
int zp_filter_init(struct zp_filter *filter, const struct zpool_create_args *args, struct zpool_created *out,
		   int (*evict)(void *filter, unsigned long below));

/* For destroy, and for a create that fails after zp_filter_init(). */
void zp_filter_fini(struct zp_filter *filter);

/* Sets the limit of the driver below to the part of the limit (0: none) that the filter's own bytes do not use. */
int zp_filter_limit(struct zp_filter *filter, uint64_t limit_bytes, uint64_t own_bytes);

/* Sets the message that the driver below does not have this callback.  Returns -EOPNOTSUPP. */
int zp_filter_unsupported(struct zp_filter *filter, const char *call);

/* Convert between handles of the filter and of the driver below, in both directions.  The result is never 0. */
static inline unsigned long zp_filter_veil(const struct zp_filter *filter, unsigned long handle)
{
	return handle == filter->veil ? handle : handle ^ filter->veil;
}

/* Asks the owner to evict an object for the lower driver. */
int zp_filter_evict(void *filter, unsigned long below);

/* Callbacks that use the veil.  If the driver below lacks the callback, they return -EOPNOTSUPP with a message. */
int zp_filter_malloc(void *filter, size_t size, zpool_gfp_t gfp, unsigned long *handle);
int zp_filter_free(void *filter, unsigned long handle);
void *zp_filter_map(void *filter, unsigned long handle, enum zpool_mapmode mode);
int zp_filter_unmap(void *filter, unsigned long handle);
int64_t zp_filter_obj_size(void *filter, unsigned long handle);
int zp_filter_each_object(void *filter, int (*fn)(unsigned long handle, size_t size, void *user), void *user);

/* The callbacks that copy use the lower driver's read and write, or a map. */
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

/* For a filter that holds no memory worth limiting. */
int zp_filter_set_limit(void *filter, uint64_t limit_bytes);

/* For a filter that has no locks. */
void zp_filter_fork(void *filter, enum zpool_fork_phase phase);

#endif
