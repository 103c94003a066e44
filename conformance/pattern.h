/* SPDX-License-Identifier: MIT
 *
 * pattern.h - seeded random numbers, and byte patterns that identify their object
 */
#ifndef CT_PATTERN_H
#define CT_PATTERN_H 1

#include <stddef.h>
#include <stdint.h>

struct ct_rng {
	uint64_t state;
};

uint64_t ct_rng_next(struct ct_rng *rng);

/* Returns a number from 0 to bound - 1.  bound is at least 1. */
uint64_t ct_rng_below(struct ct_rng *rng, uint64_t bound);

/*
 * Returns an object size from 1 to max: mostly sizes typical of compressed pages, some tiny, some at boundaries, some
 * random.
 */
size_t ct_rng_size(struct ct_rng *rng, size_t max);

/* Returns a different seed for each text, so that a case draws the same numbers alone and in a full run. */
uint64_t ct_seed_for(uint64_t seed, const char *text);

/* Fills memory with the bytes of a tag, starting at the tag's byte number `from`. */
void ct_pattern_fill(void *at, size_t bytes, uint64_t tag, size_t from);

/* Returns the offset of the first byte that does not belong to the tag, or `bytes` if all do. */
size_t ct_pattern_differs(const void *at, size_t bytes, uint64_t tag, size_t from);

#endif /* CT_PATTERN_H */
