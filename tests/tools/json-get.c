/* SPDX-License-Identifier: MIT
 *
 * json-get [KEY...]: read a JSON document from standard input, and print the value that the keys lead to. A key is the
 * name of a member, the number of an element, or NAME=VALUE for the element that has such a member; "length" is the
 * length of an array. The exit status is 0, or 1 if the input is not JSON or has no such value.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static const json_t *find_element(const json_t *array, const char *key)
{
	const char *equals = strchr(key, '=');
	const json_t *element, *found = NULL;
	char *name;
	size_t i;

	if (!equals)
		return json_array_get(array, strtoul(key, NULL, 10));
	name = strndup(key, (size_t)(equals - key));
	json_array_foreach (array, i, element) {
		const char *value = name ? json_string_value(json_object_get(element, name)) : NULL;

		if (value && !strcmp(value, equals + 1) && !found)
			found = element;
	}
	free(name);
	return found;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *document = json_loadf(stdin, 0, &error);
	const json_t *value = document;

	if (!document) {
		fprintf(stderr, "not JSON: %s, line %d\n", error.text, error.line);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		if (json_is_array(value) && !strcmp(argv[i], "length")) {
			printf("%zu\n", json_array_size(value));
			json_decref(document);
			return 0;
		}
		value = json_is_array(value) ? find_element(value, argv[i]) : json_object_get(value, argv[i]);
		if (!value) {
			fprintf(stderr, "there is no value at %s\n", argv[i]);
			json_decref(document);
			return 1;
		}
	}
	if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	putchar('\n');
	json_decref(document);
	return 0;
}
