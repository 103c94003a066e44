/* SPDX-License-Identifier: MIT
 *
 * evictor.h - a pool with an evict callback that checks and counts its calls
 */
#ifndef CT_EVICTOR_H
#define CT_EVICTOR_H 1

#include "objects.h"

/*
 * decide     chooses what to do with the object at a position of the set, and returns the callback's result
 * asked      the number of calls of the callback; evicted: of objects that it freed
 * order      if not NULL, receives the age of each evicted object: its tag minus first_tag
 * depth      the depth of nested calls of zpool_shrink() in callbacks
 */
struct ct_evictor {
	struct zpool *pool;
	struct ct_set set;
	int (*decide)(struct ct_evictor *evictor, size_t position);
	unsigned int asked;
	unsigned int evicted;
	size_t *order;
	uint64_t first_tag;
	unsigned int depth;
};

void ct_evictor_open(struct ct_evictor *evictor, int (*decide)(struct ct_evictor *evictor, size_t position),
		     size_t capacity);

/* Checks that every object that was not evicted is still there, and destroys the pool. */
void ct_evictor_close(struct ct_evictor *evictor);

/* Functions for decide: read the object back and free it; refuse; one of the two at random. */
int ct_evict_save(struct ct_evictor *evictor, size_t position);
int ct_evict_refuse(struct ct_evictor *evictor, size_t position);
int ct_evict_sometimes(struct ct_evictor *evictor, size_t position);

#endif /* CT_EVICTOR_H */
