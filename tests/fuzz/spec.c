/* SPDX-License-Identifier: MIT
 *
 * Fuzzes zp_spec_parse() with any text. The result must be either a message that says what is wrong, or parts that
 * match the text, of which those below the first are also the result of parsing the rest of the text alone.
 */
#include "config.h"

#include "fuzz.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "core/spec.h"
#include "zpool.h"

static void check_refusal(const struct zp_spec *spec, int err)
{
	const char *message = zpool_last_error();
	size_t length = strlen(message);
	fuzz_assert(err == -EINVAL);
	fuzz_assert(length > 0 && length < 1000 && message[length - 1] == '.');
	fuzz_assert(!spec->text && !spec->words && spec->part_count == 0);
}

static void check_part(const struct zp_spec_part *part)
{
	char type[ZP_TYPE_BYTES];
	fuzz_assert(zp_type_parse(part->type, strlen(part->type), type));
	fuzz_assert(strcmp(type, part->type) == 0);
	fuzz_assert(part->key_count <= ZP_SPEC_MAX_KEYS);
	for (unsigned i = 0; i < part->key_count; i++) {
		for (unsigned k = 0; k < i; k++)
			fuzz_assert(strcmp(part->keys[i].key, part->keys[k].key) != 0);
		fuzz_assert(strlen(part->keys[i].key) + strlen(part->keys[i].value) < ZP_SPEC_MAX_BYTES);
	}
}

static void check_same_part(const struct zp_spec_part *a, const struct zp_spec_part *b)
{
	fuzz_assert(strcmp(a->type, b->type) == 0 && a->key_count == b->key_count);
	for (unsigned i = 0; i < a->key_count; i++)
		fuzz_assert(strcmp(a->keys[i].key, b->keys[i].key) == 0 &&
			    strcmp(a->keys[i].value, b->keys[i].value) == 0);
}

/* A filter receives the text from `rest` on, which must lead to exactly the same parts. */
static void check_rest(const struct zp_spec *spec)
{
	struct zp_spec rest;
	size_t at = spec->parts[0].rest;
	fuzz_assert(at <= strlen(spec->text));
	if (spec->part_count == 1) {
		fuzz_assert(spec->text[at] == '\0');
		return;
	}
	fuzz_assert(zp_spec_parse(spec->text + at, &rest) == 0);
	fuzz_assert(rest.part_count == spec->part_count - 1);
	for (unsigned i = 0; i < rest.part_count; i++)
		check_same_part(&rest.parts[i], &spec->parts[i + 1]);
	zp_spec_clear(&rest);
}

/* A word with every byte written as %XX must give the same word. */
static void check_escaped(const struct zp_spec *spec)
{
	const struct zp_spec_part *part = &spec->parts[spec->part_count - 1];
	char *text = malloc(4 * ZP_SPEC_MAX_BYTES + ZP_TYPE_BYTES), *to = text;
	struct zp_spec escaped;

	fuzz_assert(text != NULL);
	to += sprintf(to, "%s", part->type);
	for (unsigned i = 0; i < part->key_count; i++) {
		*to++ = i ? ',' : ':';
		for (const char *from = part->keys[i].key; *from; from++)
			to += sprintf(to, "%%%02x", (unsigned char)*from);
		*to++ = '=';
		for (const char *from = part->keys[i].value; *from; from++)
			to += sprintf(to, "%%%02X", (unsigned char)*from);
	}
	*to = '\0';
	if (to - text <= ZP_SPEC_MAX_BYTES) {
		fuzz_assert(zp_spec_parse(text, &escaped) == 0);
		fuzz_assert(escaped.part_count == 1);
		check_same_part(&escaped.parts[0], part);
		zp_spec_clear(&escaped);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_spec spec;
	char *text = malloc(size + 1);
	if (!text)
		return EXIT_FAILURE;
	memcpy(text, data, size);
	text[size] = '\0';
	int err = zp_spec_parse(text, &spec);
	if (err) {
		check_refusal(&spec, err);
	} else {
		fuzz_assert(strcmp(spec.text, text) == 0);
		fuzz_assert(spec.part_count >= 1 && spec.part_count <= ZP_SPEC_MAX_PARTS);
		for (unsigned i = 0; i < spec.part_count; i++)
			check_part(&spec.parts[i]);
		check_rest(&spec);
		check_escaped(&spec);
		zp_spec_clear(&spec);
	}
	free(text);
	return EXIT_SUCCESS;
}

#ifndef FUZZ_WITHOUT_MAIN

/* Half of the inputs are nearly valid specs, so that they pass the first checks. */
static size_t make_spec(uint8_t *buf)
{
	static const char *const pieces[] = { "zbud", "guard",   "a",   "my-drv",    "+",   ":",   ":",   "=",
					      ",",    "chain=8", "k=v", "limit=64M", "%2b", "%25", "%00", "%" };
	static const char specials[] = "abz09AZ_-+:=,%./ \n\t\x01\x7f\x80\xff";
	bool wild = fuzz_below(2);
	size_t size = 0, wanted = fuzz_below(64) ? fuzz_below(40) : fuzz_below(ZP_SPEC_MAX_BYTES);

	for (size_t i = 0; i < wanted; i++) {
		if (wild && fuzz_below(2)) {
			buf[size++] = (uint8_t)specials[fuzz_below(sizeof specials - 1)];
			continue;
		}
		const char *piece = pieces[fuzz_below(sizeof pieces / sizeof *pieces)];
		while (*piece)
			buf[size++] = (uint8_t)*piece++;
	}
	return size;
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, make_spec);
}

#endif
