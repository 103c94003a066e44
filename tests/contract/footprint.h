/* SPDX-License-Identifier: MIT
 *
 * footprint.h - what this process costs in memory
 */
#ifndef CONTRACT_FOOTPRINT_H
#define CONTRACT_FOOTPRINT_H 1

#include <stdint.h>

/*
 * Have every page of the programs and libraries here, so that code which runs for the first time later does not count
 * as memory that was asked for.  Where the kernel does not do that (before Linux 5.14), it counts.
 */
void footprint_settle(void);

/*
 * Resident bytes as the kernel counts them page by page, and page tables.  Neither allocates nor touches memory that it
 * has not touched before, from the second call on.  Exits after a message where /proc does not tell.
 */
uint64_t footprint_bytes(void);

/* The page tables alone. */
uint64_t footprint_page_table_bytes(void);

#endif
