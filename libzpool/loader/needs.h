/* SPDX-License-Identifier: MIT
 *
 * needs.h - may the libraries that a plugin needs be run with this process's privileges?
 *
 * The dynamic linker loads the libraries that a plugin needs along with it, from the directories of the plugin's run
 * path. All names in the files are checked: run paths, and libraries that are named by a path, of the plugin and of
 * each library that is found that way. Other sources are not checked: LD_LIBRARY_PATH, which the linker ignores in
 * set-user-ID programs, the program's own run path, the linker's cache and the system's directories.
 */
#ifndef ZP_LOADER_NEEDS_H
#define ZP_LOADER_NEEDS_H 1

#include <stddef.h>
#include <stdint.h>

#include "loader/trust.h"

/*
 * fd is open on the plugin's file, `path` is where the search found it, and `resolved` is its real location from
 * zp_trust_resolve(). *bytes_read grows by the bytes that were read from all files: not much more than 16 MiB, whatever
 * sizes they claim.
 *
 * Returns 0, or -EPERM or another -errno with the reason in `why` (a sentence without its end, which calls the plugin
 * "it").
 */
int zp_needs_judge(const struct zp_trust *trust, int fd, const char *path, const char *resolved, uint64_t *bytes_read,
		   char *why, size_t why_bytes);

#endif
