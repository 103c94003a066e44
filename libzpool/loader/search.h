/* SPDX-License-Identifier: MIT
 *
 * search.h - the plugin path
 */
#ifndef ZP_LOADER_SEARCH_H
#define ZP_LOADER_SEARCH_H 1

#include <stdbool.h>

/* NULL restores the default. Returns 0, or -errno with the error text set. */
int zp_search_set_path(const char *path);

/* Returns the current path, which the caller frees, or NULL if memory runs out. */
char *zp_search_get_path(void);

/*
 * Returns the next directory of a path. *cursor starts at the path and advances. `directory` has PATH_MAX bytes and
 * ends without a slash. Returns false at the end. Entries that are not absolute or too long are skipped with a warning.
 */
bool zp_search_next(const char **cursor, char *directory);

/*
 * Returns the next entry that zp_search_next() skips, truncated to ZP_REFUSED_BYTES - 1, for messages that name it.
 * Returns false at the end.
 */
#define ZP_REFUSED_BYTES 201
bool zp_search_next_refused(const char **cursor, char refused[ZP_REFUSED_BYTES]);

/* For fork(). */
void zp_search_lock(void);
void zp_search_unlock(void);

#endif
