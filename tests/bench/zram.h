/* SPDX-License-Identifier: MIT
 *
 * zram.h - the kernel's zsmalloc, seen through /dev/zram0
 */
#ifndef BENCH_ZRAM_H
#define BENCH_ZRAM_H 1

#include <stdbool.h>

#include "draw.h"

struct zram_figures {
	double fill, drop, compacted; /* memory used over bytes stored, as the device tells them */
	double compact_ms;
	const char *reason; /* where there are none */
};

/*
 * Write pages that lz4 compresses to about the sizes of the trace, discard three quarters of them, compact.  The device
 * must be unused, and is again afterwards, also where a signal ends the program.  false: it cannot be had.
 */
bool zram_measure(const struct draw_trace *trace, size_t pages, uint64_t seed, struct zram_figures *figures);

#endif
