/* SPDX-License-Identifier: MIT
 *
 * scratch.h - a directory of the test's own, that nobody else may write to
 */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H 1

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Makes it; scratch_remove() takes it away with all that is in it. */
void scratch_make(void);
void scratch_remove(void);

/* The path of an entry, in one of a few buffers used in turn.  "" is the directory itself. */
const char *scratch_path(const char *entry);

void scratch_directory(const char *entry, mode_t mode);
void scratch_file(const char *entry, mode_t mode, const void *content, size_t bytes);
void scratch_link(const char *entry, const char *target);
void scratch_copy(const char *entry, const char *from);

/* A plugin as this build made it, in the scratch directory under that name. false: the build has no shared modules. */
bool scratch_plugin(const char *entry, const char *module);

#endif
