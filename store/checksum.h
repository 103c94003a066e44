/* SPDX-License-Identifier: MIT
 *
 * checksum.h - the checksum of an object
 */
#ifndef ZPS_CHECKSUM_H
#define ZPS_CHECKSUM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZPS_CHECKSUM_BYTES sizeof(uint64_t)

/* Returns true if the library was built with checksums. */
bool zps_has_checksum(void);

/*
 * Returns the checksum of the bytes, seeded with the key, so that the value of another key does not pass for this
 * one's.
 */
uint64_t zps_checksum(uint64_t key, const void *data, size_t bytes);

#endif
