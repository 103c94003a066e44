/* SPDX-License-Identifier: MIT
 *
 * text.h - text that plugins, files and processes chose, made safe for a terminal
 *
 * Whatever the tool prints that it did not write itself goes through here: tables, messages and usage errors do so on
 * their own.  JSON has its own way of escaping, see json.h.
 */
#ifndef TEXT_H
#define TEXT_H 1

#include <stdio.h>

/* As zpool_escape() writes it; where the locale is not UTF-8, bytes that are not ASCII are escaped too.  Free it. */
char *text_escape(const char *text);

/* Print it so. */
void text_print(FILE *to, const char *text);

/* The columns of a terminal that a text fills, which text_escape() gave. */
size_t text_columns(const char *text);

/* The bytes of the character at the beginning of such a text, which is not empty, and the columns that it fills. */
size_t text_next(const char *text, size_t *columns);

#endif /* TEXT_H */
