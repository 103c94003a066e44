/* SPDX-License-Identifier: MIT
 *
 * remote_internal.h - shared between the files of the backing that is an NBD server:
 *
 *     remote.c            requests, and what the server's disk is like
 *     remote_connect.c    connections: which of them are in use, how lost ones are replaced
 */
#ifndef HOSTS_NBDKIT_REMOTE_INTERNAL_H
#define HOSTS_NBDKIT_REMOTE_INTERNAL_H 1

#include <libnbd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct connection {
	/* NULL if not connected; used, and changed with the lock, by the thread that has made the connection busy. */
	struct nbd_handle *nbd;
	bool is_busy;
	bool has_unflushed; /* changes were completed on this connection after its last flush */
};

struct remote {
	const char *uri;
	uid_t user; /* of the process when it opened the first connection */
	gid_t group;
	uint64_t size_bytes;
	uint64_t unit_bytes;
	uint64_t io_bytes_max;                 /* the longest read or write */
	bool can_zero, can_flush, can_extents; /* as the first connection reported them */

	pthread_mutex_t lock; /* guards the members below */
	pthread_cond_t one_is_free;
	bool is_in_doubt;      /* a connection was lost that had unflushed changes */
	uint64_t retry_ns;     /* when the next attempt to connect may be made */
	uint64_t connected;    /* how many attempts have succeeded */
	bool is_failure_known; /* suppresses repeated log messages about a server that cannot be reached */
	unsigned int count;
	struct connection connection[];
};

/* ---- remote.c ---- */

/* A server that came back may serve another disk. */
bool remote_is_same_disk(const struct remote *remote, struct nbd_handle *nbd);

/* ---- remote_connect.c ---- */

/* Returns a new connection, or NULL and nbd_get_error() is set. */
struct nbd_handle *remote_new_connection(const char *uri);

/* Waits for a connection and takes it, one that is connected if possible. */
struct connection *remote_take(struct remote *remote);

/* Waits for a connection and takes it, if it has unflushed changes.  Returns false if it has none. */
bool remote_take_unflushed(struct remote *remote, struct connection *connection);

void remote_release(struct remote *remote, struct connection *connection);

/* The caller has taken the connection in all functions below. */

/* Connects it if it is not connected.  Returns 0 or -errno. */
int remote_connect(struct remote *remote, struct connection *connection);

/*
 * Releases a connection that could not be made, and takes one that is connected, for which it waits.  Returns NULL if
 * there is none.
 */
struct connection *remote_exchange(struct remote *remote, struct connection *connection);

/* Returns true if a request failed because the connection was lost. */
bool remote_is_lost(struct nbd_handle *nbd);

/* Closes a lost connection. */
void remote_lose(struct remote *remote, struct connection *connection);

void remote_set_unflushed(struct remote *remote, struct connection *connection, bool has_unflushed);

#endif
