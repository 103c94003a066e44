/* SPDX-License-Identifier: MIT
 *
 * stripes.h - locks for units; units whose numbers differ by a multiple of STRIPES share a lock
 *
 * A request that covers a part of a unit reads the unit, changes it and writes it back.  A concurrent write to the same
 * unit would be lost, so every request that changes a unit holds the unit's lock.  A request that locks a range takes
 * the stripes in ascending order, and a request that holds a single unit takes no other lock, so there is no deadlock.
 */
#ifndef HOSTS_NBDKIT_STRIPES_H
#define HOSTS_NBDKIT_STRIPES_H 1

#include <pthread.h>
#include <stdint.h>

/* The thread sanitizer fails if a thread holds more than 64 locks. */
#if defined(__SANITIZE_THREAD__)
#define STRIPES 32
#else
#define STRIPES 512
#endif

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
