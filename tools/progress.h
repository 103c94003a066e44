/* SPDX-License-Identifier: MIT
 *
 * progress.h - one bar on standard error, if that is a terminal; nothing otherwise
 */
#ifndef PROGRESS_H
#define PROGRESS_H 1

#include <stdint.h>

/* Begin a bar.  `label` is not copied.  total 0: not known, only what is done is shown. */
void progress_start(const char *label, uint64_t total);

/* Cheap: draws at most ten times a second. */
void progress_update(uint64_t done);

void progress_end(void);

/* Wipe the line, for other text on the terminal; the next update draws it anew. */
void progress_hide(void);

#endif /* PROGRESS_H */
