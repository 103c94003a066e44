/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "zpool-driver.h"

/* the most bytes of an untrusted string that a message quotes */
#define QUOTE_FORMAT "%.*s%s"
#define QUOTE(text, length) (int)((length) > 64 ? 64 : (length)), (text), (length) > 64 ? "..." : ""

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Copies a word to *out with its escapes decoded, and advances *out past the NUL. */
static int take_word(const char *from, size_t length, char **out, const char **word)
{
	char *to = *out;
	*word = to;
	for (size_t i = 0; i < length; i++) {
		if (from[i] != '%') {
			*to++ = from[i];
			continue;
		}
		if (length - i < 3 || hex_digit(from[i + 1]) < 0 || hex_digit(from[i + 2]) < 0 ||
		    (from[i + 1] == '0' && from[i + 2] == '0'))
			return zp_fail(
				EINVAL,
				"In the spec, \"" QUOTE_FORMAT
				"\" has a %% that is not followed by two hexadecimal digits of a byte other than 0; write %%25 for a percent sign.",
				QUOTE(from, length));
		*to++ = (char)(hex_digit(from[i + 1]) * 16 + hex_digit(from[i + 2]));
		i += 2;
	}
	*to++ = '\0';
	*out = to;
	return 0;
}

static int parse_name(const char *text, size_t length, struct zp_spec_part *part)
{
	if (length == 0)
		return zp_fail(
			EINVAL,
			"The spec is missing a driver's name: it is empty, begins or ends with '+', or has two of them in a row.");
	if (!zp_type_parse(text, length, part->type))
		return zp_fail(
			EINVAL,
			"\"" QUOTE_FORMAT
			"\" (%zu byte%s) is not a valid driver name: a name is a lower-case letter, followed by lower-case letters, digits and underscores, at most 32 characters in all.",
			QUOTE(text, length), length, ZPOOL_PLURAL(length));
	return 0;
}

static int parse_key(const char *text, size_t length, struct zp_spec_part *part, char **words)
{
	const char *equals = memchr(text, '=', length);
	if (!equals || equals == text)
		return zp_fail(EINVAL,
			       "In the spec, driver \"%s\" is given \"" QUOTE_FORMAT
			       "\", which does not have the form key=value.",
			       part->type, QUOTE(text, length));
	if (part->key_count == ZP_SPEC_MAX_KEYS)
		return zp_fail(EINVAL, "In the spec, driver \"%s\" is given more than %d keys.", part->type,
			       ZP_SPEC_MAX_KEYS);
	struct zp_spec_key *key = &part->keys[part->key_count];
	size_t key_length = (size_t)(equals - text);
	int err = take_word(text, key_length, words, &key->key);
	if (!err)
		err = take_word(equals + 1, length - key_length - 1, words, &key->value);
	if (err)
		return err;
	for (unsigned int i = 0; i < part->key_count; i++)
		if (strcmp(part->keys[i].key, key->key) == 0)
			return zp_fail(EINVAL, "In the spec, driver \"%s\" has the key \"%s\" twice.", part->type,
				       key->key);
	part->key_count++;
	return 0;
}

static int parse_part(const char *text, size_t length, struct zp_spec_part *part, char **words)
{
	const char *colon = memchr(text, ':', length);
	size_t name_length = colon ? (size_t)(colon - text) : length;
	int err = parse_name(text, name_length, part);
	if (err || !colon)
		return err;
	part->keys = calloc(ZP_SPEC_MAX_KEYS, sizeof(*part->keys));
	if (!part->keys)
		return zp_fail(ENOMEM, "Out of memory while reading a spec.");

	const char *at = colon + 1, *end = text + length;
	while (!err) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;
		err = parse_key(at, (size_t)(stop - at), part, words);
		if (!comma)
			break;
		at = comma + 1;
	}
	return err;
}

int zp_spec_parse(const char *text, struct zp_spec *spec)
{
	size_t length = strnlen(text, ZP_SPEC_MAX_BYTES + 1);
	*spec = (struct zp_spec){ 0 };
	if (length > ZP_SPEC_MAX_BYTES)
		return zp_fail(EINVAL, "The spec \"" QUOTE_FORMAT "\" is longer than %d bytes.", QUOTE(text, length),
			       ZP_SPEC_MAX_BYTES);
	spec->text = strdup(text);
	/* A decoded word is never longer than its text, and its NUL fits where the text has a separator. */
	spec->words = malloc(length + 2);
	if (!spec->text || !spec->words) {
		zp_spec_clear(spec);
		return zp_fail(ENOMEM, "Out of memory while reading a spec.");
	}
	char *words = spec->words;
	size_t at = 0;
	int err = 0;
	for (;;) {
		size_t part_length = strcspn(text + at, "+");
		if (spec->part_count == ZP_SPEC_MAX_PARTS) {
			err = zp_fail(EINVAL, "The spec has more than %d parts.", ZP_SPEC_MAX_PARTS);
			break;
		}
		struct zp_spec_part *part = &spec->parts[spec->part_count++];
		bool last = text[at + part_length] == '\0';
		part->rest = last ? length : at + part_length + 1;
		err = parse_part(text + at, part_length, part, &words);
		if (err || last)
			break;
		at = part->rest;
	}
	if (err)
		zp_spec_clear(spec);
	return err;
}

void zp_spec_clear(struct zp_spec *spec)
{
	for (unsigned int i = 0; i < spec->part_count; i++)
		free(spec->parts[i].keys);
	free(spec->words);
	free(spec->text);
	*spec = (struct zp_spec){ 0 };
}
