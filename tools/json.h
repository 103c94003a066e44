/* SPDX-License-Identifier: MIT
 *
 * json.h - a JSON document on standard output
 */
#ifndef JSON_H
#define JSON_H 1

#include <jansson.h>

/* A string; one that is not valid UTF-8, which JSON has no room for, is written as zpool_escape() does.  NULL: null. */
json_t *json_text(const char *text);

/* A number above what JSON readers hold is null. */
json_t *json_number(unsigned long long number);

/*
 * Print, in ASCII, so that no character of a string acts on a terminal, and free.  NULL: the document could not be
 * made, the tool is out of memory.
 */
void json_print(json_t *document);

#endif /* JSON_H */
