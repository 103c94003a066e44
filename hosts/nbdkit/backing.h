/* SPDX-License-Identifier: MIT
 *
 * backing.h - what the parameter backing= names: a file, a block device, or an NBD server
 *
 * The file is opened before nbdkit changes its user and directory.  A server is connected to at the same time, to see
 * what it serves, and once more after nbdkit went into the background.
 */
#ifndef HOSTS_NBDKIT_BACKING_H
#define HOSTS_NBDKIT_BACKING_H 1

#include "settings.h"
#include "zpool-store.h"

struct remote;

struct backing {
	int fd;                /* -1: no file */
	struct remote *remote; /* NULL: not connected to a server */
	uint64_t size_bytes;   /* 0: there is no backing */
	struct zpool_store_backing table;
};

void backing_init(struct backing *backing);

/* Open what the settings name, and compare its size with the disk's.  0, or -1 with the error told to nbdkit. */
int backing_open(struct backing *backing, const struct settings *settings);

/* Connect to the server again; a file stays open.  0, or -1 with the error told. */
int backing_reopen(struct backing *backing, const struct settings *settings);

void backing_close(struct backing *backing);

/* Name the backing in the arguments of a store. */
void backing_set(struct backing *backing, const struct settings *settings, struct zpool_store_args *args);

#endif
