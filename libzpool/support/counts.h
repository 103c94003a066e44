/* SPDX-License-Identifier: MIT
 *
 * counts.h - what every driver counts of calls that fail, and the part of the statistics that is alike in all of them
 */
#ifndef ZP_SUPPORT_COUNTS_H
#define ZP_SUPPORT_COUNTS_H

#include "handles.h"

/* Zero to begin with. */
struct zp_counts {
	_Atomic(uint64_t) failed_limit, failed_memory, failed_again; /* mallocs */
	_Atomic(uint64_t) refused_handles;
};

static inline void zp_count(_Atomic(uint64_t) *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* A malloc fails with err, which is returned; by_limit: because of the pool's limit (see zp_pages_limit_refusals()). */
static inline int zp_counts_malloc_failed(struct zp_counts *counts, int err, bool by_limit)
{
	zp_count(err == -EAGAIN ? &counts->failed_again : by_limit ? &counts->failed_limit : &counts->failed_memory);
	return err;
}

/* A handle is refused with err, which is returned. */
static inline int zp_counts_refused(struct zp_counts *counts, int err)
{
	zp_count(&counts->refused_handles);
	return err;
}

/* Statistics with what these three know filled in.  Looks at every slot of the handle table that is taken. */
struct zpool_stats zp_stats_begin(struct zp_pages *pages, struct zp_handles *handles, const struct zp_counts *counts);

/* Copy as much as the caller knows of.  Returns 0, as the driver's callback does. */
int zp_stats_end(const struct zpool_stats *now, struct zpool_stats *stats, size_t stats_size);

/* Visit every live object for a driver's each_object callback, with its size, which the driver's own obj_size tells. */
int zp_each_object(struct zp_handles *handles, int64_t (*obj_size)(void *pool, unsigned long handle), void *pool,
		   int (*fn)(unsigned long handle, size_t size, void *user), void *user);

#endif
