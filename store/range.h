/* SPDX-License-Identifier: MIT
 *
 * range.h - functions that the calls on ranges of keys share
 */
#ifndef ZPS_RANGE_H
#define ZPS_RANGE_H 1

#include "store.h"

/* Stores the last key of a range and returns 0, or returns -EINVAL with the error set. */
int zps_check_range(const struct zpool_store *store, uint64_t first, uint64_t count, uint64_t *last);

/* Returns true if a walk over all leaves is shorter than one over the keys. */
static inline bool zps_is_longer_than_store(const struct zpool_store *store, uint64_t first, uint64_t last)
{
	return (last - first) / ZPS_LEAF_UNITS > atomic_load(&store->index.leaf_count);
}

#endif
