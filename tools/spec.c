/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "spec.h"

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return digit ? (int)(digit - digits) : -1;
}

/* Works in place, because the unescaped text is never longer. */
static bool unescape(char *word)
{
	char *to = word;

	for (const char *from = word; *from; from++) {
		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		if (hex_digit(from[1]) < 0 || hex_digit(from[2]) < 0)
			return false;
		*to = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
		if (!*to++)
			return false;
		from += 2;
	}
	*to = '\0';
	return true;
}

static bool parse_key(char *word, struct spec_key *key)
{
	char *equals = strchr(word, '=');

	if (!equals || equals == word)
		return false;
	*equals = '\0';
	*key = (struct spec_key){ word, equals + 1 };
	return unescape(key->key) && unescape(key->value);
}

/* `word` is the part's own copy of its text. */
static bool parse_part(char *word, struct spec_part *part, struct spec_key *keys)
{
	char *colon = strchr(word, ':');
	size_t length = colon ? (size_t)(colon - word) : strlen(word);

	if (!length || length >= SPEC_TYPE_BYTES || strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_-") != length)
		return false;
	for (size_t i = 0; i < length; i++)
		part->type[i] = (char)(word[i] == '-' ? '_' : word[i]);
	part->keys = keys;
	for (char *next = colon; next;) {
		char *key = next + 1;

		next = strchr(key, ',');
		if (next)
			*next = '\0';
		if (!parse_key(key, &keys[part->key_count++]))
			return false;
	}
	return true;
}

bool spec_parse(struct spec *spec, const char *text)
{
	size_t key_room = 1;
	char *word, *next;
	bool good = true;

	for (const char *c = text; *c; c++)
		key_room += *c == ':' || *c == ',';
	*spec = (struct spec){ .words = strdup(text), .keys = calloc(key_room, sizeof(*spec->keys)) };
	if (!spec->words || !spec->keys)
		out_of_memory();
	key_room = 0;
	for (word = spec->words; good && word; word = next) {
		struct spec_part *part = &spec->parts[spec->part_count];

		next = strchr(word, '+');
		if (next)
			*next++ = '\0';
		good = spec->part_count < SPEC_PARTS_MAX;
		if (good) {
			spec->part_count++;
			part->text = text + (word - spec->words);
			part->bytes = strlen(word);
			good = parse_part(word, part, spec->keys + key_room);
			key_room += part->key_count;
		}
	}
	if (!good)
		spec_free(spec);
	return good;
}

void spec_free(struct spec *spec)
{
	free(spec->words);
	free(spec->keys);
	*spec = (struct spec){ .part_count = 0 };
}

const char *spec_value(const struct spec *spec, const char *key)
{
	const char *value = NULL;

	for (size_t p = 0; p < spec->part_count; p++)
		for (size_t k = 0; k < spec->parts[p].key_count; k++)
			if (!strcmp(spec->parts[p].keys[k].key, key))
				value = spec->parts[p].keys[k].value;
	return value;
}

bool spec_is_limited(const char *text)
{
	struct spec spec;
	bool limited;

	if (!spec_parse(&spec, text))
		return false;
	limited = spec_value(&spec, "limit") != NULL;
	spec_free(&spec);
	return limited;
}

char *spec_add_limit(const char *text, uint64_t limit_bytes)
{
	const char *part = strrchr(text, '+');
	char *limited;

	if (asprintf(&limited, "%s%climit=%" PRIu64, text, strchr(part ? part : text, ':') ? ',' : ':', limit_bytes) <
	    0)
		out_of_memory();
	return limited;
}
