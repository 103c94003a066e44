/* SPDX-License-Identifier: MIT
 *
 * timed.h - the compressor that the user chose, with a clock around it
 *
 * A program can add compressors to the table of libzpool-store. The tool adds one that calls the chosen one and
 * measures it, so that the time of the compressor and the rest of a put or get can be reported separately.
 */
#ifndef TIMED_H
#define TIMED_H 1

#include <stdbool.h>
#include <stdint.h>

struct timed_totals {
	uint64_t compress_ns;
	uint64_t decompress_ns;
	uint64_t decompressed;
};

/*
 * Chooses a compressor: NAME or NAME:LEVEL. Returns false, with the reason in zpool_last_error(), if it is not valid.
 */
bool timed_choose(const char *text);

/* Returns the name of the chosen compressor with the level that is used, such as "zstd:3". */
const char *timed_name(void);

/* Returns the name for struct zpool_store_args, for a store with units of this length. */
const char *timed_in_store(uint32_t bytes);

/* What the compressor has done in this process so far; a child begins with the totals of its parent. */
const struct timed_totals *timed_totals(void);

#endif /* TIMED_H */
