/* SPDX-License-Identifier: MIT
 *
 * remote.h - an NBD server as the backing of a store
 *
 * Each request takes one of a few connections, which are made when they are first needed.  A connection that was lost
 * is replaced, and the request is repeated once, which is harmless for all kinds of request.  If the server cannot be
 * reached, the request fails, and the next one tries again.
 *
 * What was written and not flushed when a connection was lost may be lost as well, because the server may have been
 * restarted: the next flush fails then, once.
 */
#ifndef HOSTS_NBDKIT_REMOTE_H
#define HOSTS_NBDKIT_REMOTE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "zpool-store.h"

struct remote;

/* Does the value of backing= name a server and not a file? */
bool remote_is_uri(const char *backing);

/* Connect.  NULL, with the error told to nbdkit: there is no server, or its disk cannot be written in such units. */
struct remote *remote_open(const char *uri, unsigned int connections, uint64_t unit_bytes);

/* NULL is ignored. */
void remote_close(struct remote *remote);

uint64_t remote_size(const struct remote *remote);

/* The table for zpool_store_open(). */
struct zpool_store_backing remote_backing(struct remote *remote);

#endif
