/* SPDX-License-Identifier: MIT
 *
 * scratch.h - a directory of the test's own, to which nobody else may write
 */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H 1

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Creates the directory. scratch_remove() removes it with its contents. */
void scratch_make(void);
void scratch_remove(void);

/* Returns the path of an entry, in one of a few buffers that are used in turn. "" is the directory itself. */
const char *scratch_path(const char *entry);

void scratch_directory(const char *entry, mode_t mode);
void scratch_file(const char *entry, mode_t mode, const void *content, size_t bytes);
void scratch_link(const char *entry, const char *target);
void scratch_copy(const char *entry, const char *from);

/*
 * Copies a plugin of this build to the scratch directory under this name. Returns false if the build has no shared
 * modules.
 */
bool scratch_plugin(const char *entry, const char *module);

#endif
