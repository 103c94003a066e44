/* SPDX-License-Identifier: MIT
 *
 * pool.h - a pool as the core sees it: a stack of layers, one for each part of its spec
 */
#ifndef ZP_CORE_POOL_H
#define ZP_CORE_POOL_H 1

#include <pthread.h>

#include "core/registry.h"
#include "core/spec.h"
#include "zpool-driver.h"

#define ZP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* One part: layer 0 is what callers reach, the last is the driver that has the memory. */
struct zp_layer {
	struct zpool *pool;
	unsigned index;
	bool live; /* its create succeeded, its destroy is due */
	struct zp_record *record;
	const struct zpool_driver *driver; /* the record's */
	struct zpool_value *values;
	struct zpool_created created;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

struct zpool {
	/*
	 * What every malloc, free, map and unmap needs, in one cache line.  Constant while the pool lives, but for a
	 * forked child whose drivers cannot follow, which gets refusing functions.
	 */
	void *driver_pool;
	void *malloc_context; /* driver_pool, or the pool itself where malloc is the core's, which checks the limit */
	int (*malloc)(void *malloc_context, size_t size, zpool_gfp_t gfp, unsigned long *handle);
	int (*free)(void *driver_pool, unsigned long handle);
	void *(*map)(void *driver_pool, unsigned long handle, enum zpool_mapmode mode);
	int (*unmap)(void *driver_pool, unsigned long handle);
	size_t max_object_bytes;
	bool inherited; /* by a forked child, from drivers without a fork callback, which are not called again */

	/* For zp_pool_limited_malloc(): the limit, 0 for none, and what makes its callers take turns. */
	_Atomic uint64_t core_limit_bytes;
	pthread_mutex_t core_limit_lock;

	/* What zpool_get_stats() adds to the driver's own: failures that the driver knows nothing of. */
	_Atomic uint64_t failed_limit, failed_again, refused_handles;
#ifdef ZPOOL_DEBUG_CHECKS
	_Atomic unsigned long calls; /* see verify.h */
#endif
	bool opened;                   /* its owner has it */
	struct zpool *next, *previous; /* pools.c's list, under its lock, as is what follows */
	uint64_t number;               /* in the order in which pools are made, from 1 */
	unsigned pins;                 /* how many threads look at the pool without its owner's knowledge */
	bool leaving;                  /* its owner destroys it: nobody pins it any more */
	struct zp_spec spec;
	char *name;
	uint64_t limit_bytes; /* as the spec gives it */
	struct zpool_open_args args;
	struct zpool_page_source page_source; /* see page_source.h */
	int (*kernel_evict)(struct zpool *pool,
			    unsigned long handle); /* from struct zpool_ops, instead of args.evict */
	unsigned layer_count;
	struct zp_layer layers[];
};

/* In place of the top driver's malloc, for one that leaves the limit to the core; the context is the pool. */
int zp_pool_limited_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle);

/*
 * The counters of one layer; of the top one with what the core counts.  0, or -errno: the driver has none.  It sets no
 * error text of the core's.
 */
int zp_layer_stats(const struct zp_layer *layer, struct zpool_stats *stats);

/* Where the calling thread's last zpool_malloc() was called from. */
const void *zp_pool_malloc_caller(void);

static inline struct zp_layer *zp_pool_top(struct zpool *pool)
{
	return &pool->layers[0];
}

/* A driver's return value, made a sane one: 0 or a negative errno. */
static inline int zp_driver_errno(int64_t err)
{
	return err <= 0 && err >= -4095 ? (int)err : -5 /* EIO */;
}

#endif
