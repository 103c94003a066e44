/* SPDX-License-Identifier: MIT
 *
 * compressor.h - the table of compressors, and the choice of a compressor and its level by name
 */
#ifndef ZPS_COMPRESSOR_H
#define ZPS_COMPRESSOR_H 1

#include <stdbool.h>

#include "zpool-store.h"

struct zps_choice {
	const struct zpool_store_compressor *compressor; /* is NULL if units are stored as they are */
	int level;
};

/* Parses `text`, which is NAME or NAME:LEVEL.  Returns 0, or -errno with the error set. */
int zps_choose(const char *text, struct zps_choice *choice);

/* Returns true if a state of one of the two can decompress what the other one has compressed. */
bool zps_share_state(const struct zpool_store_compressor *a, const struct zpool_store_compressor *b);

/* These compressors are in lz4.c and zstd.c. */
extern const struct zpool_store_compressor zps_lz4;
extern const struct zpool_store_compressor zps_lz4hc;
extern const struct zpool_store_compressor *zps_zstd(void);

#endif
