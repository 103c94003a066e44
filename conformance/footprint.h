/* SPDX-License-Identifier: MIT
 *
 * footprint.h - the memory of this process
 */
#ifndef CONTRACT_FOOTPRINT_H
#define CONTRACT_FOOTPRINT_H 1

#include <stdint.h>

/*
 * Makes every page of the program and its libraries resident, so that code which first runs later does not count as
 * growth.  Before Linux 5.14 the kernel cannot do that, and such code counts.
 */
void footprint_settle(void);

/*
 * Returns the resident bytes as the kernel counts them page by page, plus page tables.  From the second call on it
 * neither allocates nor touches new memory.  Exits with a message if /proc does not have the numbers.
 */
uint64_t footprint_bytes(void);

/* Returns the bytes of the page tables alone. */
uint64_t footprint_page_table_bytes(void);

#endif
