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
 * Objects that no thread has in its hands are in the set.  A thread takes one out before it does anything with it, so
 * that operations on one object are ordered, and the lock is held for the set only, never across a call on the pool.
 *
 * busy      threads that evict, walk and so on may ask how often the others got something done
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

/* Every object left is whole; ends the pool. */
void ct_crowd_close(struct ct_crowd *crowd);

/* Take an object out at random, or that of a handle.  false: there is none. */
bool ct_crowd_take(struct ct_crowd *crowd, struct ct_rng *rng, struct ct_object *object);
bool ct_crowd_take_handle(struct ct_crowd *crowd, unsigned long handle, struct ct_object *object);

/* Put one in that is nobody's any more; frees it where the set is full. */
void ct_crowd_put(struct ct_crowd *crowd, const struct ct_object *object);

/* How many objects no thread has in its hands. */
size_t ct_crowd_count(struct ct_crowd *crowd);

/* Store, check, rewrite or free an object. */
void ct_crowd_step(struct ct_crowd *crowd, struct ct_rng *rng);

/* Visit all objects, if the driver can. */
void ct_crowd_walk(struct ct_crowd *crowd);

/* Trim, ask for sizes, statistics and classes, set limits, compact. */
void ct_crowd_tend(struct ct_crowd *crowd, struct ct_rng *rng);

/* Sleep for a moment. */
void ct_nap(void);

#endif /* CT_CROWD_H */
