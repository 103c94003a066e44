/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "counts.h"

#include <string.h>

struct zpool_stats zp_stats_begin(struct zp_pages *pages, struct zp_handles *handles, const struct zp_counts *counts)
{
	uint64_t held = zp_pages_held_bytes(pages);

	/* The peak is at least what is reported as held. */
	zp_account_raise_peak(&pages->account, held);
	return (struct zpool_stats){
		.pool_bytes = held,
		.pool_bytes_peak = zp_pages_peak_bytes(pages),
		.mapped_handles = zp_handles_mapped(handles),
		.malloc_failed_limit = atomic_load(&counts->failed_limit),
		.malloc_failed_memory = atomic_load(&counts->failed_memory),
		.malloc_failed_again = atomic_load(&counts->failed_again),
		.refused_handles = atomic_load(&counts->refused_handles),
	};
}

int zp_stats_end(const struct zpool_stats *now, struct zpool_stats *stats, size_t stats_size)
{
	memcpy(stats, now, stats_size < sizeof(*now) ? stats_size : sizeof(*now));
	return 0;
}

struct visit {
	int64_t (*obj_size)(void *pool, unsigned long handle);
	void *pool;
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long handle, uint64_t location, void *user)
{
	const struct visit *visit = user;
	int64_t size = visit->obj_size(visit->pool, handle);

	(void)location;
	/* Skip the object if it was freed after the walk saw it. */
	return size < 0 ? 0 : visit->fn(handle, (size_t)size, visit->user);
}

int zp_each_object(struct zp_handles *handles, int64_t (*obj_size)(void *pool, unsigned long handle), void *pool,
		   int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct visit visit = { obj_size, pool, fn, user };

	return zp_handles_each(handles, visit_object, &visit);
}
