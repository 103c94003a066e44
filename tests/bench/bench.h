/* SPDX-License-Identifier: MIT
 *
 * bench.h - what the benchmarks share: clocks and a median
 */
#ifndef ZPOOL_TESTS_BENCH_H
#define ZPOOL_TESTS_BENCH_H 1

#include <stdlib.h>
#include <time.h>

static inline double bench_clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double bench_now_ns(void)
{
	return bench_clock_ns(CLOCK_MONOTONIC);
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Sorts the values. */
static inline double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), bench_compare);
	return values[count / 2];
}

#endif
