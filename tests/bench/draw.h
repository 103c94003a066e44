/* SPDX-License-Identifier: MIT
 *
 * draw.h - object sizes drawn from a trace, and the bytes that go into objects
 *
 * A trace is a text file with the size of a real object in each line.  The same seed draws the same sizes and the same
 * victims for every subject.
 */
#ifndef BENCH_DRAW_H
#define BENCH_DRAW_H 1

#include <stddef.h>
#include <stdint.h>

/* Objects are at most this large. */
#define DRAW_BYTES_MAX ((size_t)65536)

struct draw_trace {
	char name[64]; /* of the file, without folders */
	uint32_t *sizes;
	size_t count;
};

struct draw_rng {
	uint64_t state;
};

static inline uint64_t draw_next(struct draw_rng *rng)
{
	uint64_t x = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* Below `bound`, which is less than 2^32. */
static inline uint32_t draw_below(struct draw_rng *rng, size_t bound)
{
	return (uint32_t)((draw_next(rng) >> 32) * bound >> 32);
}

static inline uint32_t draw_size(struct draw_rng *rng, const struct draw_trace *trace)
{
	return trace->sizes[draw_below(rng, trace->count)];
}

/* Exits after a message where the file is none of that kind. */
void draw_trace_read(struct draw_trace *trace, const char *path);

/* The numbers below `count` in random order. */
void draw_shuffle(struct draw_rng *rng, uint32_t *numbers, size_t count);

/* Incompressible bytes that depend on `which` alone; at least DRAW_BYTES_MAX of them. */
const void *draw_bytes(uint64_t which);

/*
 * Zeroed memory that is wholly there at once, so that using it later does not show as growth.  Exits where there is
 * none.  Never freed.
 */
void *draw_array(size_t count, size_t size);

#endif
