/* SPDX-License-Identifier: MIT
 *
 * backing.h - the image behind a store, and the locks over its units
 *
 * A thread that reads units of the image holds their stripe's lock for reading, and a thread that writes them holds it
 * for writing, until the index agrees with the image again.  A value that was read can therefore be entered in the
 * index if the unit is still absent there, because no thread can have written the image meanwhile.  See doc/store.md.
 */
#ifndef ZPS_BACKING_H
#define ZPS_BACKING_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "zpool-store.h"

#define ZPS_STRIPES 64
#define ZPS_STRIPE_UNITS 256 /* This many consecutive keys share a stripe; it is a multiple of ZPS_LEAF_UNITS. */
#define ZPS_IO_BYTES 65536   /* One call transfers at most this much, which is at least a unit. */

struct zps_backing {
	bool present;
	struct zpool_store_backing call;
	char *name;
	uint64_t bytes;                           /* is the length of the image */
	_Atomic bool cannot_discard, cannot_zero; /* are set after -EOPNOTSUPP */

	/* This lock is held while the backing is flushed, and guards changes of the members below. */
	pthread_mutex_t flush_lock;
	_Atomic uint64_t flushes_begun;
	uint64_t flush_done;             /* is the number of the last flush that succeeded */
	_Atomic uint64_t flush_failures; /* counts the flushes that failed, after all units became dirty again */
	int flush_err;                   /* is the -errno of the last one of these */

	pthread_rwlock_t stripe[ZPS_STRIPES];
};

/* Opens the backing that the arguments name, if any.  Returns 0, or -errno with the error set. */
int zps_backing_open(struct zps_backing *backing, const struct zpool_store_args *args);
void zps_backing_close(struct zps_backing *backing);

/*
 * These complete the whole transfer and return 0, or return -errno with the error set.  The caller of
 * zps_backing_fill() lends it a buffer of at least a unit, which it fills with zero bytes and writes if the backing has
 * neither discard nor zero.
 */
int zps_backing_read(struct zps_backing *backing, void *buf, size_t bytes, uint64_t offset);
int zps_backing_write(struct zps_backing *backing, const void *buf, size_t bytes, uint64_t offset);
int zps_backing_flush(struct zps_backing *backing);
int zps_backing_fill(struct zps_backing *backing, bool discard, uint64_t offset, uint64_t bytes, void *buf,
		     size_t buf_bytes);

/*
 * Opens a file or a block device as the backing, or duplicates its descriptor, and fills in `call` (backing-file.c).
 * Returns 0, or -errno with the error set.
 */
int zps_file_open(struct zpool_store_backing *call, const struct zpool_store_args *args);

static inline pthread_rwlock_t *zps_stripe(struct zps_backing *backing, uint64_t key)
{
	return &backing->stripe[key / ZPS_STRIPE_UNITS % ZPS_STRIPES];
}

/* Returns the last of the consecutive keys that share a stripe with `key`. */
static inline uint64_t zps_stripe_end(uint64_t key)
{
	return key | (ZPS_STRIPE_UNITS - 1);
}

#endif
