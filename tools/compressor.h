/* SPDX-License-Identifier: MIT
 *
 * compressor.h - one interface for LZ4 and zstd
 */
#ifndef COMPRESSOR_H
#define COMPRESSOR_H 1

#include <stdbool.h>
#include <stddef.h>

struct compressor;

#define COMPRESSOR_TEXT 256

/* `text` is "lz4", "zstd" or "zstd:LEVEL". Returns NULL, with the reason in `problem`, if it is not valid. */
struct compressor *compressor_new(const char *text, char problem[COMPRESSOR_TEXT]);
void compressor_free(struct compressor *compressor);

/* Returns the name with the level that is used, such as "zstd:3". */
const char *compressor_name(const struct compressor *compressor);

/* Returns the number of compressed bytes, or 0 if they do not fit into `room`. */
size_t compressor_pack(struct compressor *compressor, const void *data, size_t bytes, void *packed, size_t room);

/* Returns false if `packed` does not decompress to exactly `bytes`. */
bool compressor_unpack(struct compressor *compressor, const void *packed, size_t packed_bytes, void *data,
		       size_t bytes);

#endif /* COMPRESSOR_H */
