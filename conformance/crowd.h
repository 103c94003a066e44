/* SPDX-License-Identifier: MIT
 *
 * crowd.h - a pool and its objects, shared by threads
 */
#ifndef CT_CROWD_H
#define CT_CROWD_H 1

#include "objects.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * The set has the objects that no thread is using.  A thread takes an object out before it uses it, so that operations
 * on one object are ordered.  The lock is held only for the set, and never during a call on the pool.
 *
 * busy      threads that evict, walk and so on check it to see how much the others have done
 */
struct ct_crowd {
	struct zpool *pool;
	pthread_mutex_t lock;
	struct ct_set set;
	atomic_ulong done;
	atomic_uint asked;
	atomic_uint evicted;
	int (*before_evict)(struct ct_crowd *crowd);
};

void ct_crowd_open(struct ct_crowd *crowd, size_t capacity);

/* Checks the contents of every object that is left, and destroys the pool. */
void ct_crowd_close(struct ct_crowd *crowd);

/* Takes out a random object, or the one with a given handle.  Returns false if there is none. */
bool ct_crowd_take(struct ct_crowd *crowd, struct ct_rng *rng, struct ct_object *object);
bool ct_crowd_take_handle(struct ct_crowd *crowd, unsigned long handle, struct ct_object *object);

/* Puts an object back into the set, or frees it if the set is full. */
void ct_crowd_put(struct ct_crowd *crowd, const struct ct_object *object);

/* Returns the number of objects that no thread is using. */
size_t ct_crowd_count(struct ct_crowd *crowd);

/* Stores, checks, rewrites or frees an object. */
void ct_crowd_step(struct ct_crowd *crowd, struct ct_rng *rng);

/* Visits all objects, if the driver supports it. */
void ct_crowd_walk(struct ct_crowd *crowd);

/* Trims, reads sizes, statistics and classes, sets limits, and compacts. */
void ct_crowd_tend(struct ct_crowd *crowd, struct ct_rng *rng);

/* Sleeps for a moment. */
void ct_nap(void);

#endif /* CT_CROWD_H */
