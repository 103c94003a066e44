/* SPDX-License-Identifier: MIT
 *
 * stats-report.h - the statistics of pools at work: on SIGUSR1, and at the end of each pool
 *
 * SIGUSR1 prints the statistics of the pool at work on standard error; one that arrives before there is a pool is
 * answered by the next.  If the environment variable ZPOOL_STATS names a file, each pool's statistics go there as a
 * line of JSON before it is destroyed.
 */
#ifndef STATS_REPORT_H
#define STATS_REPORT_H 1

#include <stdbool.h>

/* In the parent, before any child.  false after a message: the file cannot be opened. */
bool stats_report_start(void);

/* In a child, again and again while a pool is at work: answers a signal. */
void stats_report_poll(void);

/* In a child, before its pool is destroyed. */
void stats_report_end(void);

#endif /* STATS_REPORT_H */
