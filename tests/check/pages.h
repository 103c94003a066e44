/* SPDX-License-Identifier: MIT
 *
 * pages.h - correct drivers with larger pages: a slab is one page of 12 KiB, 64 KiB or 2 MiB. broken.c includes this
 * file before the driver.
 */

#ifdef FAULT_pages_of_12_kib
#define SLABS_PAGES 3
#define SLABS_HEADER_BYTES 1024
#define SLABS_SLOT_BITS 6
#define SLABS_CLASS_SHIFT 8
#endif

/* The second driver has a fault in counts.h as well. */
#if defined(FAULT_pages_of_64_kib) || defined(FAULT_large_pages_are_counted_twice)
#define SLABS_PAGES 16
#define SLABS_HEADER_BYTES 4096
#define SLABS_SLOT_BITS 8
#define SLABS_CLASS_SHIFT 8
#endif

/* The smallest slots have 1024 bytes here, because the driver searches the slots of a slab one after the other. */
#ifdef FAULT_pages_of_2_mib
#define SLABS_PAGES 512
#define SLABS_HEADER_BYTES 20480
#define SLABS_SLOT_BITS 11
#define SLABS_CLASS_SHIFT 10
#endif

#ifdef SLABS_PAGES
#define SLABS_PAGES_COUNTED 1
#endif
