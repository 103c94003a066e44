/* SPDX-License-Identifier: MIT
 *
 * progress.h - a progress bar on standard error, if that is a terminal
 */
#ifndef PROGRESS_H
#define PROGRESS_H 1

#include <stdint.h>

/* Begins a bar. `label` is not copied. A total of 0 means unknown; only the finished amount is shown then. */
void progress_start(const char *label, uint64_t total);

/* This is cheap, because it draws at most ten times a second. */
void progress_update(uint64_t done);

void progress_end(void);

/* Wipes the line to make room for other text on the terminal; the next update draws it again. */
void progress_hide(void);

#endif /* PROGRESS_H */
