/* SPDX-License-Identifier: MIT
 *
 * json.h - a JSON document on standard output
 */
#ifndef JSON_H
#define JSON_H 1

#include <jansson.h>

/* A string; of what is not UTF-8 only the ASCII stays, `?' for the rest: JSON has no room for it.  NULL: null. */
json_t *json_text(const char *text);

/* A number above what JSON readers hold is null. */
json_t *json_number(unsigned long long number);

/* Print and free.  NULL: the document could not be made, the tool is out of memory. */
void json_print(json_t *document);

#endif /* JSON_H */
