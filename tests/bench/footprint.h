/* SPDX-License-Identifier: MIT
 *
 * footprint.h - what this process costs in memory
 */
#ifndef BENCH_FOOTPRINT_H
#define BENCH_FOOTPRINT_H 1

#include <stdint.h>

/*
 * Resident bytes as the kernel counts them page by page, and page tables.  Neither allocates nor touches memory that it
 * has not touched before, from the second call on.  Exits after a message where /proc does not tell.
 */
uint64_t footprint_bytes(void);

#endif
