/* SPDX-License-Identifier: MIT
 *
 * pattern.c - seeded random numbers, and byte patterns that identify their object
 */
#include "pattern.h"

#include <string.h>

/* The finalizer of splitmix64: every bit of the input affects every bit of the output. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

uint64_t ct_rng_next(struct ct_rng *rng)
{
	rng->state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(rng->state);
}

uint64_t ct_rng_below(struct ct_rng *rng, uint64_t bound)
{
	return ct_rng_next(rng) % bound;
}

static size_t clamp(size_t size, size_t max)
{
	if (size < 1)
		return 1;
	return size < max ? size : max;
}

size_t ct_rng_size(struct ct_rng *rng, size_t max)
{
	uint64_t kind = ct_rng_below(rng, 100);

	if (kind < 20)
		return clamp(1 + ct_rng_below(rng, 256), max);
	if (kind < 80)
		return clamp(300 + ct_rng_below(rng, 2800), max);
	if (kind < 90)
		return clamp(64 * ct_rng_below(rng, max / 64 + 1) + ct_rng_below(rng, 3) - 1, max);
	if (kind < 95)
		return clamp(max - ct_rng_below(rng, 3), max);
	return 1 + ct_rng_below(rng, max);
}

uint64_t ct_seed_for(uint64_t seed, const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return mix(hash);
}

static uint64_t word_of(uint64_t tag, size_t index)
{
	return mix(tag * UINT64_C(0x9e3779b97f4a7c15) + index);
}

static unsigned char byte_of(uint64_t tag, size_t offset)
{
	uint64_t word = word_of(tag, offset / 8);
	unsigned char bytes[8];

	memcpy(bytes, &word, 8);
	return bytes[offset % 8];
}

void ct_pattern_fill(void *at, size_t bytes, uint64_t tag, size_t from)
{
	unsigned char *p = at;
	size_t i = 0;

	while (i < bytes) {
		if ((from + i) % 8 == 0 && bytes - i >= 8) {
			uint64_t word = word_of(tag, (from + i) / 8);

			memcpy(p + i, &word, 8);
			i += 8;
		} else {
			p[i] = byte_of(tag, from + i);
			i++;
		}
	}
}

size_t ct_pattern_differs(const void *at, size_t bytes, uint64_t tag, size_t from)
{
	const unsigned char *p = at;
	size_t i = 0;

	while (i < bytes) {
		if ((from + i) % 8 == 0 && bytes - i >= 8) {
			uint64_t word = word_of(tag, (from + i) / 8);

			if (memcmp(p + i, &word, 8) == 0) {
				i += 8;
				continue;
			}
		}
		if (p[i] != byte_of(tag, from + i))
			return i;
		i++;
	}
	return bytes;
}
