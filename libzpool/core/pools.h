/* SPDX-License-Identifier: MIT
 *
 * pools.h - all pools that live
 */
#ifndef ZP_CORE_POOLS_H
#define ZP_CORE_POOLS_H 1

#include <stdbool.h>

struct zpool;

void zp_pools_add(struct zpool *pool);
void zp_pools_remove(struct zpool *pool);

/* Around fork(): the list's lock and each pool's own, through its drivers' fork callbacks. */
void zp_pools_fork_prepare(void);
void zp_pools_fork_release(bool child);

#endif
