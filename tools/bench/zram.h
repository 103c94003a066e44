/* SPDX-License-Identifier: MIT
 *
 * zram.h - the kernel's zsmalloc, seen through /dev/zram0
 *
 * Pages are written that lz4 compresses to the sizes of the objects, three quarters of them discarded, and the device's
 * pool compacted.  What it uses is what the device says, which counts neither handles nor page tables.
 */
#ifndef BENCH_ZRAM_H
#define BENCH_ZRAM_H 1

#include "bench.h"

/* Why it cannot be measured; NULL: it can. */
const char *zram_problem(const struct sizes *sizes);

/*
 * Measure fill, drop and compact; or note in the row why that failed.  The device is unused before and is again
 * afterwards, also where a signal ends the tool.
 */
void zram_measure(const struct bench *bench, struct bench_row *row);

#endif /* BENCH_ZRAM_H */
