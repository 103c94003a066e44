/* SPDX-License-Identifier: MIT
 *
 * evict.h - the locations of a pool's units, and the callback that evicts them
 *
 * A unit is in the pool (it has a handle), in the spool (it was evicted), or in neither (it was refused, or is
 * same-filled). The arrays are allocated and touched before the pool is created, so that they do not count as its
 * memory.
 */
#ifndef EVICT_H
#define EVICT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zpool.h>

#include "spool.h"
#include "units.h"

struct evict_slot {
	unsigned long handle; /* 0: the slot is free */
	size_t unit;
};

struct evict {
	const struct units *units;
	unsigned long *handles; /* for each unit; 0: not in the pool */
	uint64_t *saved;        /* for each unit: offset in the spool plus 1; 0: not there */
	struct spool *spool;    /* NULL: no eviction, and all members below are unused */

	/* Finds the unit of a handle: open addressing, never more than half full. */
	struct evict_slot *slots;
	size_t slot_mask;

	unsigned char *buffer; /* one unit */
	uint64_t count;
	uint64_t bytes;
	int error; /* -errno if the spool could not store a unit */
};

/* Returns 0 or -ENOMEM. */
int evict_init(struct evict *evict, const struct units *units, struct spool *spool);

/* Records that the unit is in the pool now. */
void evict_placed(struct evict *evict, size_t unit, unsigned long handle);

/* For struct zpool_open_args; `user` is the struct evict. */
int evict_callback(struct zpool *pool, unsigned long handle, void *user);

static inline bool evict_is_saved(const struct evict *evict, size_t unit)
{
	return evict->saved && evict->saved[unit];
}

/* Reads an evicted unit back. Returns 0, or -errno after a message. */
int evict_load(const struct evict *evict, size_t unit, void *data);

#endif /* EVICT_H */
