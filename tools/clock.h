/* SPDX-License-Identifier: MIT
 *
 * clock.h - the elapsed time in nanoseconds
 */
#ifndef CLOCK_H
#define CLOCK_H 1

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif /* CLOCK_H */
