/* SPDX-License-Identifier: MIT
 *
 * madvise.h - how often drivers and preloaded mallocs call madvise(2)
 *
 * The tool has a madvise() of its own, which the dynamic linker finds before the C library's.  Calls that the C library
 * makes inside itself, as glibc's malloc does, cannot be seen that way.
 */
#ifndef BENCH_MADVISE_H
#define BENCH_MADVISE_H 1

#include <stdint.h>

/* Calls so far, of all threads. */
uint64_t madvise_calls(void);

#endif /* BENCH_MADVISE_H */
