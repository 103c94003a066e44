/* SPDX-License-Identifier: MIT
 *
 * report.h - the statistics of a disk, at exit and on SIGUSR1
 *
 * The signal handler only writes to an eventfd, because write(2) is safe in any thread that the signal interrupts.  A
 * thread of the plugin reads the eventfd and writes the report.  The handler is installed before nbdkit forks into the
 * background, so that a signal never ends the server; the thread is started afterwards, because threads do not survive
 * fork(2).
 */
#ifndef HOSTS_NBDKIT_REPORT_H
#define HOSTS_NBDKIT_REPORT_H 1

#include "disk.h"
#include "settings.h"

/*
 * Opens the file and installs the handler; nbdkit calls it before the fork.  Returns 0, or -1 after it reported the
 * error.
 */
int report_prepare(const struct settings *of);

/* Starts the thread, after the fork.  Returns 0, or -1 after it reported the error. */
int report_start(struct disk *of);

/* Stops the thread and writes the last report. */
void report_stop(void);

/* Releases what report_prepare() allocated, whether or not the other functions were called. */
void report_fini(void);

#endif
