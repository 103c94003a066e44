/* SPDX-License-Identifier: MIT
 *
 * units.h - the input, cut into units and made ready to be stored
 *
 * Each unit is one of three: same-filled (one machine word over and over, of which the word is all that is kept),
 * compressed, or raw (its compressed form would be no smaller).  What it was goes to one spool, what is to be stored to
 * another, both in the order of the units, so that a walk over them reads both from front to end.
 */
#ifndef UNITS_H
#define UNITS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compressor.h"
#include "spool.h"

#define UNIT_BYTES_MIN 512
#define UNIT_BYTES_MAX 65536
#define UNIT_BYTES_DEFAULT 4096

struct unit {
	uint64_t stored;       /* offset in the packed spool; of a same-filled unit the word */
	uint32_t bytes;        /* less than the set's unit_bytes at the end of a file */
	uint32_t stored_bytes; /* 0: same-filled; as many as `bytes`: raw */
};

struct units {
	uint32_t unit_bytes;
	struct compressor *compressor;
	struct spool originals;
	struct spool packed;
	struct unit *at;
	size_t count;
	size_t room;
	unsigned char *scratch; /* unit_bytes */

	uint64_t same_filled;
	uint64_t raw;
	uint64_t compress_ns;
};

static inline bool unit_is_same_filled(const struct unit *unit)
{
	return !unit->stored_bytes;
}

static inline bool unit_is_raw(const struct unit *unit)
{
	return unit->stored_bytes == unit->bytes;
}

/* 0, or -errno after a message.  The set does not own the compressor. */
int units_init(struct units *units, uint32_t unit_bytes, struct compressor *compressor);
void units_fini(struct units *units);

/* Cut `bytes` into units, the last of which may be short, and add them.  0, or -errno after a message. */
int units_add(struct units *units, const void *data, size_t bytes);

/* No more to add: make all of it readable.  0, or -errno after a message. */
int units_finish(struct units *units);

/* Bring a same-filled unit back. */
void unit_fill(const struct unit *unit, void *data);

/* A run of units whose originals fill at most UNITS_BATCH_BYTES; so does what is stored of them. */
#define UNITS_BATCH_BYTES ((size_t)256 * 1024)
struct units_batch {
	size_t first;
	size_t count;
	uint64_t originals; /* offset of the first */
	size_t original_bytes;
	uint64_t packed;
	size_t packed_bytes;
};

/* The batch after this one; the first after one that is all zero.  false: there is none. */
bool units_next_batch(const struct units *units, struct units_batch *batch);

#endif /* UNITS_H */
