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

/* Was the library built with one? */
bool zps_has_checksum(void);

/* Of the bytes, for this key: what belongs to another key has another checksum. */
uint64_t zps_checksum(uint64_t key, const void *data, size_t bytes);

#endif
