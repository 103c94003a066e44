/* SPDX-License-Identifier: MIT
 *
 * pools.h - the list of all live pools
 */
#ifndef ZP_CORE_POOLS_H
#define ZP_CORE_POOLS_H 1

#include <stdbool.h>
#include <stdint.h>

struct zpool;

void zp_pools_add(struct zpool *pool);

/* Waits until no thread has the pool pinned. */
void zp_pools_remove(struct zpool *pool);

/*
 * For walks over pools by threads that do not own them. A pinned pool is not destroyed until it is unpinned, so pins
 * must be short, and a thread that holds one must not wait for anything. zp_pools_get_after() returns the oldest pool
 * whose number is greater than `number` and at most `last`, or NULL if there is none.
 */
uint64_t zp_pools_last(void);
struct zpool *zp_pools_get_after(uint64_t number, uint64_t last);
void zp_pools_put(struct zpool *pool);

/* For fork(): lock the list, and each pool through the fork callbacks of its drivers. */
void zp_pools_fork_prepare(void);
void zp_pools_fork_release(bool child);

#endif
