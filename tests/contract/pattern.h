/* SPDX-License-Identifier: MIT
 *
 * pattern.h - random numbers from a seed, and bytes that tell whose they are
 */
#ifndef CT_PATTERN_H
#define CT_PATTERN_H 1

#include <stddef.h>
#include <stdint.h>

struct ct_rng {
	uint64_t state;
};

uint64_t ct_rng_next(struct ct_rng *rng);

/* A number from 0 to bound - 1.  bound is at least 1. */
uint64_t ct_rng_below(struct ct_rng *rng, uint64_t bound);

/* An object's size, 1 to max: mostly what compressed pages have, some tiny, some at edges, some of any size. */
size_t ct_rng_size(struct ct_rng *rng, size_t max);

/* Another seed for each text: a case draws the same numbers whether it runs alone or among others. */
uint64_t ct_seed_for(uint64_t seed, const char *text);

/* Fill memory with the bytes of a tag, the first of which is the tag's byte number `from`. */
void ct_pattern_fill(void *at, size_t bytes, uint64_t tag, size_t from);

/* The offset of the first byte that is not the tag's; `bytes` if all are. */
size_t ct_pattern_differs(const void *at, size_t bytes, uint64_t tag, size_t from);

#endif /* CT_PATTERN_H */
