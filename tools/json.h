/* SPDX-License-Identifier: MIT
 *
 * json.h - a JSON document on standard output
 */
#ifndef JSON_H
#define JSON_H 1

#include <jansson.h>

/*
 * Must be called before any other function of JSON. From then on, the tool ends with a message where there is no memory
 * for JSON. Otherwise, members would be missing from a document, because few results of jansson's functions are
 * checked.
 */
void json_need_memory(void);

/*
 * Returns a string. Text that is not valid UTF-8, which JSON cannot represent, is escaped as by zpool_escape(). NULL
 * becomes null.
 */
json_t *json_text(const char *text);

/* Returns a number, or null if it exceeds what JSON readers can represent. */
json_t *json_number(unsigned long long number);

/*
 * Prints the document in ASCII, so that no character of a string acts on a terminal, and frees it.
 */
void json_print(json_t *document);

#endif /* JSON_H */
