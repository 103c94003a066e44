/* SPDX-License-Identifier: MIT
 *
 * mock_slabs.h - the sizes in mock_slabs; tests/check/pages.h defines other ones for drivers with large pages
 */
#ifndef MOCK_SLABS_H
#define MOCK_SLABS_H 1

/*
 * SLABS_PAGES_COUNTED  by how many pages a slab counts in zpool_shrink() and in the statistics
 * SLABS_SLOT_BITS      the bits of a location that are the number of the slot
 * SLABS_CLASS_SHIFT    the binary logarithm of the smallest slot's size
 */
#ifndef SLABS_PAGES
#define SLABS_PAGES 5
#define SLABS_PAGES_COUNTED SLABS_PAGES
#define SLABS_HEADER_BYTES 4096
#define SLABS_SLOT_BITS 6
#define SLABS_CLASS_SHIFT 8
#endif

enum {
	SLABS_CLASSES = 5,
	SLABS_SLOTS_MAX = 1 << SLABS_SLOT_BITS,
	SLABS_DATA_BYTES = SLABS_PAGES * 4096 - SLABS_HEADER_BYTES,
	SLABS_TRIES = 8
};

#endif /* MOCK_SLABS_H */
