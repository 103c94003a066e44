/* SPDX-License-Identifier: MIT
 *
 * histogram.h - how often each value occurred, in buckets that grow with the value
 *
 * Values below 256 have a bucket each.  Above, every power of two is cut into 128 buckets, so that a value that is read
 * back is at most 1/128 larger than the one that was recorded.  Recording is a few instructions and touches one
 * counter; any uint64_t can be recorded.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H 1

#include <stdint.h>

#define HISTOGRAM_LINEAR_BITS 8
#define HISTOGRAM_STEPS (UINT64_C(1) << (HISTOGRAM_LINEAR_BITS - 1))
#define HISTOGRAM_BUCKETS (2 * HISTOGRAM_STEPS + (64 - HISTOGRAM_LINEAR_BITS) * HISTOGRAM_STEPS)

/* All zero: empty. */
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

/* Count what `from` has in `to` as well. */
void histogram_add(struct histogram *to, const struct histogram *from);

/*
 * The value that a share of all values (0 to 1) does not exceed: that of rank ceil(share * count) in ascending order,
 * or up to 1/128 more.  0 if the histogram is empty.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif /* BENCH_HISTOGRAM_H */
