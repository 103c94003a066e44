/* SPDX-License-Identifier: MIT
 *
 * compressor.h - LZ4 and zstd behind one pair of calls
 */
#ifndef COMPRESSOR_H
#define COMPRESSOR_H 1

#include <stdbool.h>
#include <stddef.h>

struct compressor;

#define COMPRESSOR_TEXT 256

/*
 * `text` is "lz4", "zstd" or "zstd:LEVEL".  NULL, and `problem` says what is wrong with it.
 */
struct compressor *compressor_new(const char *text, char problem[COMPRESSOR_TEXT]);
void compressor_free(struct compressor *compressor);

/* Its name with the level in force, such as "zstd:3". */
const char *compressor_name(const struct compressor *compressor);

/* The bytes of the compressed form, or 0: it does not fit into `room`. */
size_t compressor_pack(struct compressor *compressor, const void *data, size_t bytes, void *packed, size_t room);

/* false: `packed` does not unpack to exactly `bytes`. */
bool compressor_unpack(struct compressor *compressor, const void *packed, size_t packed_bytes, void *data,
		       size_t bytes);

#endif /* COMPRESSOR_H */
