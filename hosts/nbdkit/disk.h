/* SPDX-License-Identifier: MIT
 *
 * disk.h - a range of bytes, stored unit by unit
 *
 * Functions that return int return 0, or -1 after they reported the error to nbdkit.  A request may begin and end
 * inside a unit, but must not exceed the end of the disk.  All requests may run at the same time.
 */
#ifndef HOSTS_NBDKIT_DISK_H
#define HOSTS_NBDKIT_DISK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing.h"
#include "settings.h"
#include "zpool-store.h"

struct nbdkit_extents;
struct disk;

/* Returns NULL after it reported the error.  The backing may be an empty structure, and must outlive the disk. */
struct disk *disk_open(const struct settings *settings, struct backing *backing);

/* Accepts NULL. */
void disk_close(struct disk *disk);

struct zpool_store *disk_store(struct disk *disk);

int disk_read(struct disk *disk, void *buf, size_t bytes, uint64_t offset);
int disk_write(struct disk *disk, const void *buf, size_t bytes, uint64_t offset);

/*
 * Makes a range read as zero.
 *
 * DISK_ZERO        Whole units become zero units that stay allocated.
 * DISK_ZERO_HOLE   Whole units become holes.
 * DISK_TRIM        The same, but a part of a unit keeps its contents if there is no room for the changed unit.
 */
enum disk_zero_mode { DISK_ZERO, DISK_ZERO_HOLE, DISK_TRIM };
int disk_zero(struct disk *disk, uint64_t bytes, uint64_t offset, enum disk_zero_mode mode);

/* These write changes to the backing and make them stable there: flush writes all changes, sync those of a range. */
int disk_flush(struct disk *disk);
int disk_sync(struct disk *disk, uint64_t bytes, uint64_t offset);

/* Loads a range from the backing, as far as the limit allows. */
int disk_prefetch(struct disk *disk, uint64_t bytes, uint64_t offset);

/* Reports the extents of a range to nbdkit, or only the first one. */
int disk_extents(struct disk *disk, uint64_t bytes, uint64_t offset, bool only_first, struct nbdkit_extents *extents);

#endif
