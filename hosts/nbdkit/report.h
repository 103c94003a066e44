/* SPDX-License-Identifier: MIT
 *
 * report.h - the statistics of a disk, at exit and on SIGUSR1
 *
 * The signal's handler writes to an eventfd, which is all that it may do in whatever thread it interrupts; a thread
 * waits for that and writes the report.  The handler is set before nbdkit forks into the background, so that a signal
 * never ends the server; the thread is started afterwards, since threads do not survive fork(2).
 */
#ifndef HOSTS_NBDKIT_REPORT_H
#define HOSTS_NBDKIT_REPORT_H 1

#include "disk.h"
#include "settings.h"

/* Before the fork: open the file, set the handler.  0, or -1 with the error told. */
int report_prepare(const struct settings *settings);

/* After it: start the thread.  0, or -1 with the error told. */
int report_start(struct disk *disk);

/* End the thread, and report for the last time. */
void report_stop(void);

/* The end of what report_prepare() made, whether or not the others were called. */
void report_fini(void);

#endif
