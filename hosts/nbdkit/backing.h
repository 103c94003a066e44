/* SPDX-License-Identifier: MIT
 *
 * backing.h - what the parameter backing= names: a file, a block device or an NBD server
 *
 * The file is opened before nbdkit changes its user and directory.  The plugin also connects to a server at that time,
 * to learn what it serves.  The connection stays open when nbdkit forks into the background, because some servers end
 * when their only client leaves.  libnbd has no threads, and the parent process no longer uses the connection.
 */
#ifndef HOSTS_NBDKIT_BACKING_H
#define HOSTS_NBDKIT_BACKING_H 1

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"
#include "zpool-store.h"

struct remote;

struct backing {
	int fd;                /* -1 if there is no file */
	struct remote *remote; /* NULL if not connected to a server */
	uint64_t size_bytes;   /* 0 if there is no backing */
	bool can_grow;         /* it is a regular file */
	struct zpool_store_backing table;
};

void backing_init(struct backing *backing);

/*
 * Opens what the settings name, and compares its size with the disk's.  Returns 0, or -1 after it reported the error.
 */
int backing_open(struct backing *backing, const struct settings *settings);

/*
 * Called after nbdkit has changed its user: checks that this user can reach the server.  Returns 0, or -1 after it
 * reported the error.
 */
int backing_check_user(struct backing *backing);

void backing_close(struct backing *backing);

/* Sets the backing in the arguments of a store. */
void backing_set(struct backing *backing, const struct settings *settings, struct zpool_store_args *args);

#endif
