/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "message.h"

json_t *json_text(const char *text)
{
	json_t *string;
	char *ascii;

	if (!text)
		return json_null();
	string = json_string(text);
	if (string)
		return string;
	ascii = strdup(text);
	if (!ascii)
		out_of_memory();
	for (char *c = ascii; *c; c++)
		if (*c & 0x80)
			*c = '?';
	string = json_string(ascii);
	free(ascii);
	return string;
}

json_t *json_number(unsigned long long number)
{
	return number > LLONG_MAX ? json_null() : json_integer((json_int_t)number);
}

void json_print(json_t *document)
{
	if (!document)
		out_of_memory();
	json_dumpf(document, stdout,
		   JSON_INDENT(2) | JSON_REAL_PRECISION(6)); /* main() looks whether standard output took it */
	putchar('\n');
	json_decref(document);
}
