/* SPDX-License-Identifier: MIT
 *
 * watched.h - pools in a host that is built with the thread sanitizer
 */
#ifndef ZP_CORE_WATCHED_H
#define ZP_CORE_WATCHED_H 1

#include "core/pool.h"

/*
 * Wraps the pool's top driver if the sanitizer watches the host and cannot see into the drivers; otherwise does
 * nothing. Returns 0 or -ENOMEM.
 */
int zp_watched_init(struct zpool *pool);

#endif
