/* SPDX-License-Identifier: MIT
 *
 * spec-files.c - which parts of a spec name a file
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "message.h"
#include "spec.h"

struct search {
	const struct spec_part *part;
	const char *key;
};

static int find_text(const struct zpool_param *param, size_t size, void *user)
{
	struct search *search = user;

	(void)size;
	if (param->type != ZPOOL_PARAM_STRING)
		return 0;
	for (size_t i = 0; i < search->part->key_count; i++)
		if (!strcmp(search->part->keys[i].key, param->key))
			search->key = search->part->keys[i].key;
	return search->key != NULL;
}

int spec_find_file_key(const struct spec_part *part, const char **key)
{
	struct search search = { part, NULL };
	int error = zpool_each_param(part->type, find_text, &search);

	*key = search.key;
	return error < 0 ? error : 0;
}

char *spec_without_files(const char *text)
{
	char *left = calloc(1, strlen(text) + 1);
	bool names_file = false;
	const char *key;
	struct spec spec;

	if (!left)
		out_of_memory();
	if (!spec_parse(&spec, text))
		return strcpy(left, text);
	for (size_t i = 0; i < spec.part_count; i++) {
		const struct spec_part *part = &spec.parts[i];

		/*
		 * A driver whose parameters cannot be read stays in the spec, so that opening the spec reports the
		 * reason.
		 */
		(void)spec_find_file_key(part, &key);
		names_file = key != NULL;
		if (names_file)
			continue;
		if (*left)
			strcat(left, "+");
		strncat(left, part->text, part->bytes);
	}
	spec_free(&spec);
	if (!names_file)
		return left;
	/* The last part is the driver itself, which cannot be left out. */
	free(left);
	return NULL;
}
