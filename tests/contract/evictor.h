/* SPDX-License-Identifier: MIT
 *
 * evictor.h - a pool whose evict callback is watched
 */
#ifndef CT_EVICTOR_H
#define CT_EVICTOR_H 1

#include "objects.h"

/*
 * decide     what to do with the object at a position of the set: the callback's return value
 * asked      calls of the callback; evicted: objects that it freed
 * order      where not NULL, receives the age of each object evicted: its tag less first_tag
 * depth      calls of zpool_shrink() inside of callbacks
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

/* Everything that was not evicted is still there; ends the pool. */
void ct_evictor_close(struct ct_evictor *evictor);

/* Decisions: read the object back and free it; refuse; one of the two by chance. */
int ct_evict_save(struct ct_evictor *evictor, size_t position);
int ct_evict_refuse(struct ct_evictor *evictor, size_t position);
int ct_evict_sometimes(struct ct_evictor *evictor, size_t position);

#endif /* CT_EVICTOR_H */
