/* SPDX-License-Identifier: MIT
 *
 * counts.h - counters of failed calls, and the part of the statistics that is the same for all drivers
 */
#ifndef ZP_SUPPORT_COUNTS_H
#define ZP_SUPPORT_COUNTS_H

#include "handles.h"

/* The structure is zero at the start. */
struct zp_counts {
	_Atomic(uint64_t) failed_limit, failed_memory, failed_again; /* mallocs */
	_Atomic(uint64_t) refused_handles;
};

static inline void zp_count(_Atomic(uint64_t) *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/*
 * Counts a malloc that failed with err, and returns err; by_limit: it failed at the pool's limit (see
 * zp_pages_limit_refusals()).
 */
static inline int zp_counts_malloc_failed(struct zp_counts *counts, int err, bool by_limit)
{
	zp_count(err == -EAGAIN ? &counts->failed_again : by_limit ? &counts->failed_limit : &counts->failed_memory);
	return err;
}

/* Counts a handle that was refused with err, and returns err. */
static inline int zp_counts_refused(struct zp_counts *counts, int err)
{
	zp_count(&counts->refused_handles);
	return err;
}

/* Returns statistics with the members that the three arguments contain.  Reads every used slot of the handle table. */
struct zpool_stats zp_stats_begin(struct zp_pages *pages, struct zp_handles *handles, const struct zp_counts *counts);

/* Copies the members that fit into the caller's structure.  Returns 0, as the driver's callback must. */
int zp_stats_end(const struct zpool_stats *now, struct zpool_stats *stats, size_t stats_size);

/* Visits every live object for a driver's each_object callback, with the size that the driver's obj_size returns. */
int zp_each_object(struct zp_handles *handles, int64_t (*obj_size)(void *pool, unsigned long handle), void *pool,
		   int (*fn)(unsigned long handle, size_t size, void *user), void *user);

#endif
