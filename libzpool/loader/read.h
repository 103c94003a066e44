/* SPDX-License-Identifier: MIT
 *
 * read.h - reads of a plugin's file that a signal or a short read does not end early
 */
#ifndef ZP_LOADER_READ_H
#define ZP_LOADER_READ_H 1

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads `bytes` bytes at the offset. Returns how many were read, which are fewer only where the file ends, or -errno.
 * No file reaches the offsets for which pread() would return EINVAL, so 0 is returned for them.
 */
ssize_t zp_read_at(int fd, void *to, size_t bytes, uint64_t offset);

#endif
