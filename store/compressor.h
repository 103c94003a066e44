/* SPDX-License-Identifier: MIT
 *
 * compressor.h - the table of compressors, and the choice that a text names
 */
#ifndef ZPS_COMPRESSOR_H
#define ZPS_COMPRESSOR_H 1

#include "zpool-store.h"

struct zps_choice {
	const struct zpool_store_compressor *compressor; /* NULL: units are stored as they are */
	int level;
};

/* `text` is NAME or NAME:LEVEL.  0, or -errno with the error told. */
int zps_choose(const char *text, struct zps_choice *choice);

/* builtin.c */
extern const struct zpool_store_compressor zps_lz4;
extern const struct zpool_store_compressor zps_lz4hc;
extern const struct zpool_store_compressor *zps_zstd(void);

#endif
