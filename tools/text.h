/* SPDX-License-Identifier: MIT
 *
 * text.h - make text from plugins, files and processes safe for a terminal, and compose text
 *
 * All output that the tool did not write itself goes through these functions; tables, messages and usage errors call
 * them. JSON has its own way of escaping, see json.h.
 */
#ifndef TEXT_H
#define TEXT_H 1

#include <stdio.h>

/*
 * Escapes like zpool_escape(); if the locale is not UTF-8, non-ASCII bytes are escaped too. The caller frees the
 * result.
 */
char *text_escape(const char *text);

/*
 * Closes a stream of open_memstream(), which stored its text in *text. Ends the tool if there was no memory for all of
 * it.
 */
void text_end(FILE *stream, char *const *text);

/* Prints the escaped text. */
void text_print(FILE *to, const char *text);

/* Returns the number of terminal columns that a text from text_escape() fills. */
size_t text_columns(const char *text);

/*
 * Returns the number of bytes of the first character of such a text, which must not be empty, and the columns that it
 * fills.
 */
size_t text_next(const char *text, size_t *columns);

#endif /* TEXT_H */
