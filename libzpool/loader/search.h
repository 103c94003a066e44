/* SPDX-License-Identifier: MIT
 *
 * search.h - the plugin path, and which names a driver may have
 */
#ifndef ZP_LOADER_SEARCH_H
#define ZP_LOADER_SEARCH_H 1

#include <stdbool.h>
#include <stddef.h>

enum { ZP_TYPE_MAX = 32, ZP_TYPE_BYTES = ZP_TYPE_MAX + 1 };

/*
 * Type names match [a-z][a-z0-9_]{0,31}. A dash is read as an underscore, which is also used in the file name. Returns
 * false if `name` is not valid, and leaves `type` unchanged.
 */
bool zp_type_parse(const char *name, size_t length, char type[ZP_TYPE_BYTES]);

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
