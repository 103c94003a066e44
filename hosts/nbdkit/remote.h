/* SPDX-License-Identifier: MIT
 *
 * remote.h - an NBD server as the backing of a store
 *
 * Each request uses one of a few connections, which are opened when they are first needed.  If a connection is lost,
 * the plugin opens another one and repeats the request once, which is harmless for all kinds of request.  If no further
 * connection can be made, the request waits for one that others use.  If there is none, it fails, and the next one
 * tries again.  But after an attempt that took long, requests fail at once for a moment.
 *
 * When a connection is lost, data that were written on it but not flushed may be lost as well, because the server may
 * have been restarted.  The next flush therefore fails once.
 */
#ifndef HOSTS_NBDKIT_REMOTE_H
#define HOSTS_NBDKIT_REMOTE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "zpool-store.h"

struct remote;

/* Returns true if the value of backing= names a server and not a file. */
bool remote_is_uri(const char *backing);

/*
 * Connects to the server.  Returns NULL after it reported the error: the server cannot be reached, or its disk cannot
 * be written in such units.
 */
struct remote *remote_open(const char *uri, unsigned int connections, uint64_t unit_bytes);

/*
 * Checks that a process that has changed its user since remote_open() can still connect: if not, it could not replace a
 * lost connection.  A server of one connection is not asked for a second one.  Returns 0, or -1 after it reported the
 * error.  Accepts NULL.
 */
int remote_check_user(struct remote *remote);

/* Accepts NULL. */
void remote_close(struct remote *remote);

uint64_t remote_size(const struct remote *remote);

/* Returns the table of callbacks for zpool_store_open(). */
struct zpool_store_backing remote_backing(struct remote *remote);

#endif
