/* SPDX-License-Identifier: MIT
 *
 * units.h - the input, cut into units and prepared for storing
 *
 * A unit is same-filled (it consists of one repeated machine word, and only the word is stored), compressed, or raw
 * (its compressed form would not be smaller). The original goes to one spool, and the form to be stored goes to
 * another, both in the order of the units, so that a walk over them reads both sequentially.
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
	uint64_t stored;       /* offset in the packed spool; for a same-filled unit the word */
	uint32_t bytes;        /* less than the set's unit_bytes at the end of a file */
	uint32_t stored_bytes; /* 0: same-filled; equal to `bytes`: raw */
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

/* Returns 0, or -errno after a message. The set does not own the compressor. */
int units_init(struct units *units, uint32_t unit_bytes, struct compressor *compressor);
void units_fini(struct units *units);

/* Cuts `bytes` into units, the last of which may be short, and adds them. Returns 0, or -errno after a message. */
int units_add(struct units *units, const void *data, size_t bytes);

/* Makes all units readable; no more can be added. Returns 0, or -errno after a message. */
int units_finish(struct units *units);

/* Restores a same-filled unit. */
void unit_fill(const struct unit *unit, void *data);

/* A run of units whose originals, and stored forms, fill at most UNITS_BATCH_BYTES. */
#define UNITS_BATCH_BYTES ((size_t)256 * 1024)
struct units_batch {
	size_t first;
	size_t count;
	uint64_t originals; /* offset of the first unit */
	size_t original_bytes;
	uint64_t packed;
	size_t packed_bytes;
};

/* Advances to the next batch; a batch that is all zero advances to the first. Returns false at the end. */
bool units_next_batch(const struct units *units, struct units_batch *batch);

#endif /* UNITS_H */
