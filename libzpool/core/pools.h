/* SPDX-License-Identifier: MIT
 *
 * pools.h - all pools that live
 */
#ifndef ZP_CORE_POOLS_H
#define ZP_CORE_POOLS_H 1

#include <stdbool.h>
#include <stdint.h>

struct zpool;

void zp_pools_add(struct zpool *pool);

/* Waits until nobody has the pool pinned. */
void zp_pools_remove(struct zpool *pool);

/*
 * For a walk over pools whose owners know nothing of it.  A pinned pool is not destroyed until it is put, so it is
 * pinned for as short as can be, and never while the caller waits for anything.  zp_pools_get_after(): the oldest pool
 * whose number is greater than `number` and at most `last`; NULL: there is none.
 */
uint64_t zp_pools_last(void);
struct zpool *zp_pools_get_after(uint64_t number, uint64_t last);
void zp_pools_put(struct zpool *pool);

/* Around fork(): the list's lock and each pool's own, through its drivers' fork callbacks. */
void zp_pools_fork_prepare(void);
void zp_pools_fork_release(bool child);

#endif
