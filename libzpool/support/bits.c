/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "bits.h"

/* Returns the bits of a word that lie between the bits first and end of the whole set. */
static uint64_t word_mask(unsigned int word, unsigned int first, unsigned int end)
{
	uint64_t mask = UINT64_MAX;

	if (word == first / 64)
		mask &= UINT64_MAX << (first % 64);
	if (word == (end - 1) / 64)
		mask &= UINT64_MAX >> (63 - (end - 1) % 64);
	return mask;
}

void zp_bits_set(struct zp_bits *bits, unsigned int first, unsigned int count)
{
	unsigned int end = first + count, i;

	for (i = first / 64; count && i <= (end - 1) / 64; i++)
		bits->word[i] |= word_mask(i, first, end);
}

void zp_bits_clear(struct zp_bits *bits, unsigned int first, unsigned int count)
{
	unsigned int end = first + count, i;

	for (i = first / 64; count && i <= (end - 1) / 64; i++)
		bits->word[i] &= ~word_mask(i, first, end);
}

unsigned int zp_bits_count(const struct zp_bits *bits, unsigned int first, unsigned int count)
{
	unsigned int end = first + count, total = 0, i;

	for (i = first / 64; count && i <= (end - 1) / 64; i++)
		total += (unsigned int)__builtin_popcountll(bits->word[i] & word_mask(i, first, end));
	return total;
}

static unsigned int next(const struct zp_bits *bits, unsigned int from, uint64_t flip)
{
	unsigned int i = from / 64;
	uint64_t word;

	if (from >= ZP_BITS)
		return ZP_BITS;
	word = (bits->word[i] ^ flip) & (UINT64_MAX << (from % 64));
	while (word == 0) {
		if (++i == ZP_BITS_WORDS)
			return ZP_BITS;
		word = bits->word[i] ^ flip;
	}
	return i * 64 + (unsigned int)__builtin_ctzll(word);
}

unsigned int zp_bits_next_set(const struct zp_bits *bits, unsigned int from)
{
	return next(bits, from, 0);
}

unsigned int zp_bits_next_clear(const struct zp_bits *bits, unsigned int from)
{
	return next(bits, from, UINT64_MAX);
}

unsigned int zp_bits_after_prev_set(const struct zp_bits *bits, unsigned int before)
{
	unsigned int i;
	uint64_t word;

	if (before == 0)
		return 0;
	i = (before - 1) / 64;
	word = bits->word[i] & (UINT64_MAX >> (63 - (before - 1) % 64));
	while (word == 0) {
		if (i-- == 0)
			return 0;
		word = bits->word[i];
	}
	return i * 64 + 64 - (unsigned int)__builtin_clzll(word);
}

void zp_bits_shift_down(struct zp_bits *bits, unsigned int by)
{
	unsigned int words = by / 64, rest = by % 64, i;

	for (i = 0; i < ZP_BITS_WORDS; i++) {
		uint64_t low = i + words < ZP_BITS_WORDS ? bits->word[i + words] : 0;
		uint64_t high = i + words + 1 < ZP_BITS_WORDS ? bits->word[i + words + 1] : 0;

		bits->word[i] = rest ? low >> rest | high << (64 - rest) : low;
	}
}

/* Keeps the bits for which the bit `by` positions higher is set too. */
static bool narrow(struct zp_bits *bits, unsigned int by)
{
	struct zp_bits above = *bits;
	uint64_t any = 0;
	unsigned int i;

	zp_bits_shift_down(&above, by);
	for (i = 0; i < ZP_BITS_WORDS; i++)
		any |= bits->word[i] &= above.word[i];
	return any != 0;
}

void zp_bits_starts(struct zp_bits *bits, unsigned int count)
{
	unsigned int have = 1;

	while (have < count) {
		unsigned int by = have < count - have ? have : count - have;

		if (!narrow(bits, by))
			return;
		have += by;
	}
}

unsigned int zp_bits_longest_run(const struct zp_bits *bits)
{
	/*
	 * Doubles the length while runs of that length exist, and then adds each smaller power of two that still fits.
	 */
	struct zp_bits starts = *bits, trial;
	unsigned int have = 1, step;

	if (zp_bits_next_set(bits, 0) == ZP_BITS)
		return 0;
	for (trial = starts; have < ZP_BITS && narrow(&trial, have); have *= 2)
		starts = trial;
	for (step = have / 2; step > 0; step /= 2) {
		trial = starts;
		if (narrow(&trial, step)) {
			starts = trial;
			have += step;
		}
	}
	return have;
}
