/* SPDX-License-Identifier: MIT
 *
 * rss.h - the exact memory use of the calling process, and arrays that do not change it later
 */
#ifndef RSS_H
#define RSS_H 1

#include <stddef.h>
#include <stdint.h>

/* Returns the resident bytes exactly, without allocating memory, or 0 if the system does not report them. */
uint64_t rss_bytes(void);

/* Returns malloc's free memory to the system, so that later allocations are visible as growth. */
void rss_settle(void);

/* Returns a zeroed array that is resident from the start and never released, or NULL if memory runs out. */
void *rss_array(size_t count, size_t size);

/* Returns how much memory processes can still get, swap included, before the system is out of memory; 0: unknown. */
uint64_t rss_available_bytes(void);

/*
 * Limits this process to that amount from now on: further allocations fail with ENOMEM instead of taking memory from
 * other processes.
 */
void rss_limit_to_available(void);

#endif /* RSS_H */
