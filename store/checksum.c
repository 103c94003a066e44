/* SPDX-License-Identifier: MIT */
#include "config.h"

#ifdef HAVE_XXHASH
#include <xxhash.h>
#endif

#include "checksum.h"

#ifdef HAVE_XXHASH
bool zps_has_checksum(void)
{
	return true;
}

uint64_t zps_checksum(uint64_t key, const void *data, size_t bytes)
{
	return XXH3_64bits_withSeed(data, bytes, key);
}
#else
bool zps_has_checksum(void)
{
	return false;
}

/* This is never called, because zpool_store_open() refuses to open a store with checksums. */
uint64_t zps_checksum(uint64_t key, const void *data, size_t bytes)
{
	(void)key;
	(void)data;
	return bytes;
}
#endif
