/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "json.h"
#include "message.h"

static void *allocate(size_t bytes)
{
	void *block = malloc(bytes);

	if (!block && bytes)
		out_of_memory();
	return block;
}

void json_need_memory(void)
{
	json_set_alloc_funcs(allocate, free);
}

json_t *json_text(const char *text)
{
	json_t *string;
	size_t bytes;
	char *valid;

	if (!text)
		return json_null();
	string = json_string(text);
	if (string)
		return string;
	bytes = zpool_escape(NULL, 0, text) + 1;
	valid = malloc(bytes);
	if (!valid)
		out_of_memory();
	zpool_escape(valid, bytes, text);
	string = json_string(valid);
	free(valid);
	return string;
}

json_t *json_number(unsigned long long number)
{
	return number > LLONG_MAX ? json_null() : json_integer((json_int_t)number);
}

/*
 * jansson escapes every character outside printable ASCII except DEL. main() checks whether standard output accepted
 * the text.
 */
static int print(const char *bytes, size_t count, void *to)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] == '\x7f')
			fputs("\\u007f", to);
		else
			fputc(bytes[i], to);
	return 0;
}

void json_print(json_t *document)
{
	if (!document)
		out_of_memory();
	if (json_dump_callback(document, print, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6) | JSON_ENSURE_ASCII))
		out_of_memory();
	putchar('\n');
	json_decref(document);
}
