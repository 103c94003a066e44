/* SPDX-License-Identifier: MIT
 *
 * zram.h - the kernel's zsmalloc, measured through /dev/zram0
 *
 * The measurement writes pages that lz4 compresses to the sizes of the objects, discards three quarters of them, and
 * compacts the device's pool. The memory that it uses is taken from the device's own statistics, which count neither
 * handles nor page tables.
 */
#ifndef BENCH_ZRAM_H
#define BENCH_ZRAM_H 1

#include "bench.h"

/* Returns the reason why it cannot be measured, or NULL if it can. */
const char *zram_problem(const struct sizes *sizes);

/*
 * Measures fill, drop and compact, or notes in the row why that failed. The device must be unused, and is unused again
 * afterwards, even if a signal ends the tool.
 */
void zram_measure(const struct bench *bench, struct bench_row *row);

#endif /* BENCH_ZRAM_H */
