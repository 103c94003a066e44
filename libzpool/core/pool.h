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

/* One part of the spec: layer 0 is the one that callers use, the last layer is the driver that holds the memory. */
struct zp_layer {
	struct zpool *pool;
	unsigned int index;
	bool live; /* create succeeded, so destroy must be called */
	struct zp_record *record;
	const struct zpool_driver *driver; /* the record's driver */
	struct zpool_value *values;
	struct zpool_created created;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

struct zpool {
	/*
	 * The members that every malloc, free, map and unmap needs, in one cache line. They are constant while the pool
	 * lives, except in a forked child: there, drivers without fork support are replaced by functions that refuse
	 * every call.
	 */
	void *driver_pool;
	void *malloc_context; /* driver_pool, or the pool itself if malloc is the core's, which checks the limit */
	int (*malloc)(void *malloc_context, size_t size, zpool_gfp_t gfp, unsigned long *handle);
	int (*free)(void *driver_pool, unsigned long handle);
	void *(*map)(void *driver_pool, unsigned long handle, enum zpool_mapmode mode);
	int (*unmap)(void *driver_pool, unsigned long handle);
	size_t max_object_bytes;
	bool inherited; /* set in a forked child for drivers without a fork callback, which are never called again */

	/*
	 * For zp_pool_limited_malloc(): the limit, 0 for none; the size that the pool may keep if the limit was set
	 * below it; and the lock that serialises the callers.
	 */
	_Atomic uint64_t core_limit_bytes, core_kept_bytes;
	pthread_mutex_t core_limit_lock; /* the two parts of a lock, see object.c */
	_Atomic bool core_limit_taken;

	/* Failures that the driver does not know about; zpool_get_stats() adds them to the driver's own counters. */
	_Atomic uint64_t failed_limit, failed_again, refused_handles;
#ifdef ZPOOL_DEBUG_CHECKS
	_Atomic unsigned long calls; /* see verify.h */
#endif
	bool opened;                   /* owned by a caller: neither destroyed nor being destroyed */
	struct zpool *next, *previous; /* the list in pools.c; its lock guards this and the following members */
	uint64_t number;               /* counts up from 1 in the order of creation */
	unsigned int pins;             /* the number of threads that look at the pool without owning it */
	bool leaving;                  /* the owner is destroying the pool, so it must not be pinned any more */
	struct zp_spec spec;
	char *name;
	uint64_t limit_bytes; /* as given in the spec */
	struct zpool_open_args args;
	struct zpool_page_source page_source; /* see page_source.h */
	int (*kernel_evict)(struct zpool *pool,
			    unsigned long handle); /* from struct zpool_ops, in place of args.evict */
	unsigned int layer_count;
	struct zp_layer layers[];
};

/* Takes the place of the top driver's malloc if that driver leaves the limit to the core; the context is the pool. */
int zp_pool_limited_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle);

/* For fork(): the lock that serialises mallocs on a pool whose limit the core enforces. */
void zp_pool_lock_limit(struct zpool *pool);
void zp_pool_unlock_limit(struct zpool *pool);

/*
 * These two enclose the owner's evict function, which a driver may call in the middle of a malloc: the calling thread
 * releases the core_limit_lock of every pool whose malloc it is in, and takes them again. The function may then fork,
 * wait for another thread, or call malloc. They nest.
 */
struct zp_turn;
/* Returns false in a NOWAIT malloc of such a pool: to take the lock again, the thread would have to wait. */
bool zp_pool_may_evict(void);
const struct zp_turn *zp_pool_give_up_turns(void);
void zp_pool_take_back_turns(const struct zp_turn *given_up);

/*
 * The counters of one layer; for the top layer, with those of the core added. Returns 0, or -errno if the driver has
 * none. The core sets no error text.
 */
int zp_layer_stats(const struct zp_layer *layer, struct zpool_stats *stats);

/* The address from which the calling thread last called zpool_malloc(). */
const void *zp_pool_malloc_caller(void);

static inline struct zp_layer *zp_pool_top(struct zpool *pool)
{
	return &pool->layers[0];
}

/* Maps a driver's return value to a valid one: 0 or a negative errno. */
static inline int zp_driver_errno(int64_t err)
{
	return err <= 0 && err >= -4095 ? (int)err : -5 /* EIO */;
}

#endif
