/* SPDX-License-Identifier: MIT
 *
 * spool.h - a temporary file without a name that is written sequentially, or directly, and read anywhere
 *
 * It is in $TMPDIR, or /tmp, and disappears when the last process that has it open ends, however that happens. A child
 * that inherits it may read it, and may write it if its parent no longer does.
 */
#ifndef SPOOL_H
#define SPOOL_H 1

#include <stddef.h>
#include <stdint.h>

#define SPOOL_BUFFER_BYTES ((size_t)1 << 20)

struct spool {
	int fd;
	uint64_t bytes;  /* appended so far, including the buffer */
	size_t buffered; /* the part of them that is in the buffer and not yet in the file */
	unsigned char *buffer;
};

/* Returns 0, or -errno after a message. */
int spool_open(struct spool *spool);
int spool_append(struct spool *spool, const void *data, size_t bytes);
int spool_flush(struct spool *spool);

/* Writes all `bytes` at `offset`, not through the buffer. Returns 0, or -errno after a message. */
int spool_write(struct spool *spool, const void *data, size_t bytes, uint64_t offset);

/* Reads all `bytes` at `offset`, which must have been flushed. Returns 0, or -errno after a message. */
int spool_read(const struct spool *spool, void *data, size_t bytes, uint64_t offset);

void spool_close(struct spool *spool);

#endif /* SPOOL_H */
