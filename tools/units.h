/* SPDX-License-Identifier: MIT
 *
 * units.h - the input, cut into units, and how libzpool-store stores each of them
 *
 * The units are in a spool, one after the other. Each of them is also put into a store whose driver keeps nothing,
 * to find out how many bytes the unit needs: none if it repeats one machine word (it is same-filled), its own length if
 * it does not shrink (it is raw), or else the length of its object, which includes a header.
 */
#ifndef UNITS_H
#define UNITS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool.h"

#define UNIT_BYTES_DEFAULT 4096

struct zpool_store;

struct unit {
	uint32_t bytes;        /* less than the set's unit_bytes at the end of a file */
	uint32_t stored_bytes; /* 0: same-filled */
};

struct units {
	uint32_t unit_bytes;
	struct spool originals;
	struct unit *at;
	size_t count;
	size_t room;
	struct zpool_store *measured; /* NULL once all units were added */

	uint64_t same_filled;
	uint64_t raw;
	uint64_t stored_bytes;
	uint64_t compress_ns;
};

static inline bool unit_is_same_filled(const struct unit *unit)
{
	return !unit->stored_bytes;
}

/* Begins a set whose units are compressed as timed_choose() says. Returns 0, or -errno after a message. */
int units_init(struct units *units, uint32_t unit_bytes);
void units_fini(struct units *units);

/* Cuts `bytes` into units, the last of which may be short, and adds them. Returns 0, or -errno after a message. */
int units_add(struct units *units, const void *data, size_t bytes);

/* Makes all units readable; no more can be added. Returns 0, or -errno after a message. */
int units_finish(struct units *units);

/* A run of units that fill at most UNITS_BATCH_BYTES. */
#define UNITS_BATCH_BYTES ((size_t)256 * 1024)
struct units_batch {
	size_t first;
	size_t count;
	uint64_t offset; /* of the first unit */
	size_t bytes;
};

/* Advances to the next batch; a batch that is all zero advances to the first. Returns false at the end. */
bool units_next_batch(const struct units *units, struct units_batch *batch);

#endif /* UNITS_H */
