/* SPDX-License-Identifier: MIT
 *
 * search.h - where plugins are looked for, and what a driver may be called
 */
#ifndef ZP_LOADER_SEARCH_H
#define ZP_LOADER_SEARCH_H 1

#include <stdbool.h>
#include <stddef.h>

enum { ZP_TYPE_MAX = 32, ZP_TYPE_BYTES = ZP_TYPE_MAX + 1 };

/*
 * Type names match [a-z][a-z0-9_]{0,31}; a dash is read as an underscore, which is also what the file is called.
 * false: not a name, and `type` is untouched.
 */
bool zp_type_parse(const char *name, size_t length, char type[ZP_TYPE_BYTES]);

/* NULL: back to the default.  0 or -errno with the error text set. */
int zp_search_set_path(const char *path);

/* The path in force, to be freed; NULL: out of memory. */
char *zp_search_get_path(void);

/*
 * The next directory of a path: *cursor starts at the path and moves on.  `directory` has PATH_MAX bytes and ends
 * without a slash.  false at the end.  Entries that are not absolute or too long are passed over with a warning.
 */
bool zp_search_next(const char **cursor, char *directory);

/*
 * The next entry of a path that zp_search_next() passes over, cut to ZP_REFUSED_BYTES - 1: for messages that name it.
 * false at the end.
 */
#define ZP_REFUSED_BYTES 201
bool zp_search_next_refused(const char **cursor, char refused[ZP_REFUSED_BYTES]);

/* Around fork(). */
void zp_search_lock(void);
void zp_search_unlock(void);

#endif
