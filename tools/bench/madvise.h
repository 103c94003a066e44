/* SPDX-License-Identifier: MIT
 *
 * madvise.h - count the calls of madvise(2) that drivers and preloaded mallocs make
 *
 * The tool defines a madvise() of its own, which the dynamic linker finds before the C library's. Calls that the C
 * library makes internally, as glibc's malloc does, cannot be counted this way.
 */
#ifndef BENCH_MADVISE_H
#define BENCH_MADVISE_H 1

#include <stdint.h>

/* Returns the number of calls so far, of all threads. */
uint64_t madvise_calls(void);

#endif /* BENCH_MADVISE_H */
