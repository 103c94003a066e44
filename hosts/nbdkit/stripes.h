/* SPDX-License-Identifier: MIT
 *
 * stripes.h - a lock for each unit, shared by the units whose numbers differ by a multiple of STRIPES
 *
 * A request that covers a part of a unit reads the unit, changes it and writes it back.  A write to the same unit in
 * between would be lost, so everything that changes a unit holds the unit's lock.  A range is locked in ascending order
 * of the stripes, and whoever holds one unit takes no other, so there is no deadlock.
 */
#ifndef HOSTS_NBDKIT_STRIPES_H
#define HOSTS_NBDKIT_STRIPES_H 1

#include <pthread.h>
#include <stdint.h>

#define STRIPES 512

struct stripes {
	struct {
		_Alignas(64) pthread_mutex_t lock;
	} stripe[STRIPES];
};

void stripes_init(struct stripes *stripes);
void stripes_fini(struct stripes *stripes);

void stripes_lock(struct stripes *stripes, uint64_t first, uint64_t count);
void stripes_unlock(struct stripes *stripes, uint64_t first, uint64_t count);

#endif
