/* SPDX-License-Identifier: MIT
 *
 * stats-report.h - the statistics of the current pool, on SIGUSR1 and at the end of each pool
 *
 * SIGUSR1 prints the statistics of the current pool on standard error; a signal that arrives before there is a pool
 * takes effect for the next one. If the environment variable ZPOOL_STATS names a file, the statistics of each pool are
 * written to it as a line of JSON before the pool is destroyed.
 */
#ifndef STATS_REPORT_H
#define STATS_REPORT_H 1

#include <stdbool.h>

/* The parent calls this before it creates a child. Returns false, after a message, if the file cannot be opened. */
bool stats_report_start(void);

/* A child calls this regularly while it uses a pool. Handles the signal. */
void stats_report_poll(void);

/* A child calls this before it destroys its pool. A failure is reported with a message. */
void stats_report_end(void);

/* Returns true, in the parent, if a child could not write to the file. */
bool stats_report_failed(void);

#endif /* STATS_REPORT_H */
