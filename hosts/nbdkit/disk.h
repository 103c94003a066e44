/* SPDX-License-Identifier: MIT
 *
 * disk.h - a range of bytes, kept in a store unit by unit
 *
 * Functions that return int return 0, or -1 after they told nbdkit the error.  A request may begin and end inside a
 * unit, and does not go beyond the end of the disk.  All requests may run at the same time.
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

/* NULL, with the error told.  The backing may be one without anything in it, and outlives the disk. */
struct disk *disk_open(const struct settings *settings, struct backing *backing);

/* NULL is ignored. */
void disk_close(struct disk *disk);

struct zpool_store *disk_store(struct disk *disk);

int disk_read(struct disk *disk, void *buf, size_t bytes, uint64_t offset);
int disk_write(struct disk *disk, const void *buf, size_t bytes, uint64_t offset);

/* Let a range read as zero; its whole units become holes, or zero units that stay allocated. */
int disk_zero(struct disk *disk, uint64_t bytes, uint64_t offset, bool is_hole);

/* Write to the backing, and let it be stable there: everything, or what a range has. */
int disk_flush(struct disk *disk);
int disk_sync(struct disk *disk, uint64_t bytes, uint64_t offset);

/* Load a range from the backing, as far as there is room. */
int disk_prefetch(struct disk *disk, uint64_t bytes, uint64_t offset);

/* Tell nbdkit the extents of a range, or only the first one. */
int disk_extents(struct disk *disk, uint64_t bytes, uint64_t offset, bool only_first, struct nbdkit_extents *extents);

#endif
