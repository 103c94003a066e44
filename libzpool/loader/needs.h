/* SPDX-License-Identifier: MIT
 *
 * needs.h - may the libraries that a plugin names be run with this process's rights?
 *
 * The dynamic linker loads what a plugin needs along with it, from the directories of the plugin's run path.  What is
 * judged here is all that files name: run paths, and libraries with a path of their own, of the plugin and of each
 * library that is found that way.  What comes from elsewhere is not: LD_LIBRARY_PATH, which the linker ignores in
 * set-user-ID programs, the program's own run path, the linker's cache and the system's directories.
 */
#ifndef ZP_LOADER_NEEDS_H
#define ZP_LOADER_NEEDS_H 1

#include <stddef.h>
#include <stdint.h>

#include "loader/trust.h"

/*
 * fd is open on the plugin's file, `path` is where the search found it and `resolved` where zp_trust_resolve() found it
 * to lie.  *bytes_read grows by what was read of all files: not much more than 16 MiB, whatever they say.
 *
 * 0, or -EPERM, another -errno, with the reason in `why` (a sentence without its end, of which the plugin is "it").
 */
int zp_needs_judge(const struct zp_trust *trust, int fd, const char *path, const char *resolved, uint64_t *bytes_read,
		   char *why, size_t why_bytes);

#endif
