/* SPDX-License-Identifier: MIT
 *
 * histogram.h - how often each value occurred, in buckets that grow with the value
 *
 * Each value below 256 has its own bucket. Above that, every power of two is divided into 128 buckets, so a value that
 * is read back is at most 1/128 larger than the recorded one. Recording takes a few instructions and changes one
 * counter. Any uint64_t can be recorded.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H 1

#include <stdint.h>

#define HISTOGRAM_LINEAR_BITS 8
#define HISTOGRAM_STEPS (UINT64_C(1) << (HISTOGRAM_LINEAR_BITS - 1))
#define HISTOGRAM_BUCKETS (2 * HISTOGRAM_STEPS + (64 - HISTOGRAM_LINEAR_BITS) * HISTOGRAM_STEPS)

/* A histogram that is all zero is empty. */
struct histogram {
	uint64_t count;
	uint64_t largest;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int shift;

	if (value < 2 * HISTOGRAM_STEPS)
		return (unsigned int)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - (HISTOGRAM_LINEAR_BITS - 1);
	return (unsigned int)(shift * HISTOGRAM_STEPS + (value >> shift));
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->buckets[histogram_bucket(value)]++;
	if (value > histogram->largest)
		histogram->largest = value;
}

/* Adds the counts of `from` to those of `to`. */
void histogram_add(struct histogram *to, const struct histogram *from);

/*
 * Returns the value that a share of all values (0 to 1) does not exceed: the value of rank ceil(share * count) in
 * ascending order, or up to 1/128 more. Returns 0 if the histogram is empty.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif /* BENCH_HISTOGRAM_H */
