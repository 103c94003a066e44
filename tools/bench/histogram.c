/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "histogram.h"

void histogram_add(struct histogram *to, const struct histogram *from)
{
	to->count += from->count;
	if (from->largest > to->largest)
		to->largest = from->largest;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

/* Returns the largest value that is counted in a bucket. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * HISTOGRAM_STEPS)
		return bucket;
	shift = (unsigned int)(bucket / HISTOGRAM_STEPS) - 1;
	return ((bucket - shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	double exact = share * (double)histogram->count;
	uint64_t rank = (uint64_t)exact, seen = 0;

	if ((double)rank < exact || !rank)
		rank++;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank && histogram->buckets[i]) {
			uint64_t end = bucket_end(i);

			return end < histogram->largest ? end : histogram->largest;
		}
	}
	return histogram->largest;
}
