/* SPDX-License-Identifier: MIT
 *
 * rss.h - how much memory the calling process really has, and arrays that do not change it later
 */
#ifndef RSS_H
#define RSS_H 1

#include <stddef.h>
#include <stdint.h>

/* Resident bytes, exactly, without allocating any.  0: the system does not tell. */
uint64_t rss_bytes(void);

/* Give what malloc holds free back to the system, so that what it hands out next is seen to grow. */
void rss_settle(void);

/* A zeroed array, resident from the start and never given back.  NULL: out of memory. */
void *rss_array(size_t count, size_t size);

/* How much memory processes can still get, swap included, before others would have to give some up; 0: not known. */
uint64_t rss_available_bytes(void);

/* From here on this process gets no more memory than that: what others would have to give up fails with ENOMEM. */
void rss_limit_to_available(void);

#endif /* RSS_H */
