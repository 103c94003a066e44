/* SPDX-License-Identifier: MIT
 *
 * bits.h - sets of 1024 bits, one for each page of a segment, and the search for runs of set bits
 */
#ifndef ZP_SUPPORT_BITS_H
#define ZP_SUPPORT_BITS_H

#include <stdbool.h>
#include <stdint.h>

enum { ZP_BITS = 1024, ZP_BITS_WORDS = ZP_BITS / 64 };

struct zp_bits {
	uint64_t word[ZP_BITS_WORDS];
};

void zp_bits_set(struct zp_bits *bits, unsigned int first, unsigned int count);
void zp_bits_clear(struct zp_bits *bits, unsigned int first, unsigned int count);
unsigned int zp_bits_count(const struct zp_bits *bits, unsigned int first, unsigned int count);

/* Returns the first bit at or after `from` that is set (or clear), or ZP_BITS if there is none. */
unsigned int zp_bits_next_set(const struct zp_bits *bits, unsigned int from);
unsigned int zp_bits_next_clear(const struct zp_bits *bits, unsigned int from);

/* Returns one more than the last set bit before `before`, or 0 if there is none. */
unsigned int zp_bits_after_prev_set(const struct zp_bits *bits, unsigned int before);

/*
 * Keeps bit i only if the bits i to i + count - 1 are all set: these are the positions where a run of that length may
 * begin.
 */
void zp_bits_starts(struct zp_bits *bits, unsigned int count);

/* Moves every bit down by `by` positions. */
void zp_bits_shift_down(struct zp_bits *bits, unsigned int by);

unsigned int zp_bits_longest_run(const struct zp_bits *bits);

/* a &= b, and a &= ~b */
static inline void zp_bits_and(struct zp_bits *a, const struct zp_bits *b)
{
	for (unsigned int i = 0; i < ZP_BITS_WORDS; i++)
		a->word[i] &= b->word[i];
}

static inline void zp_bits_and_not(struct zp_bits *a, const struct zp_bits *b)
{
	for (unsigned int i = 0; i < ZP_BITS_WORDS; i++)
		a->word[i] &= ~b->word[i];
}

/*
 * Finds the next maximal run of set bits at or after *first, and sets its position and length.  Returns false if there
 * is none.
 */
static inline bool zp_bits_next_run(const struct zp_bits *bits, unsigned int *first, unsigned int *count)
{
	unsigned int start = zp_bits_next_set(bits, *first);

	if (start == ZP_BITS)
		return false;
	*first = start;
	*count = zp_bits_next_clear(bits, start) - start;
	return true;
}

#endif
