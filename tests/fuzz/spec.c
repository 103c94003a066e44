/* SPDX-License-Identifier: MIT
 *
 * spec.c - specs and parameters: the first line of an input is a spec, the others are `key=value'
 *
 * zp_spec_parse() must give either a message that says what is wrong, or parts that match the text, of which those
 * below the first are also the result of parsing the rest of the text alone.  zpoolctl's own parser must agree, because
 * it decides which specs of untrusted files are opened.  Then a pool of the spec is created, and the other lines are
 * set as parameters.
 */
#include "config.h"

#include "fuzz.h"

#include <errno.h>

#include "core/spec.h"
#include "zpool.h"

#include "../../tools/preload.h"
#include "../../tools/shipped.h"
#include "../../tools/spec.h"

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
	for (unsigned int i = 0; i < part->key_count; i++) {
		for (unsigned int k = 0; k < i; k++)
			fuzz_assert(strcmp(part->keys[i].key, part->keys[k].key) != 0);
		fuzz_assert(strlen(part->keys[i].key) + strlen(part->keys[i].value) < ZP_SPEC_MAX_BYTES);
	}
}

static void check_same_part(const struct zp_spec_part *a, const struct zp_spec_part *b)
{
	fuzz_assert(strcmp(a->type, b->type) == 0 && a->key_count == b->key_count);
	for (unsigned int i = 0; i < a->key_count; i++)
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
	for (unsigned int i = 0; i < rest.part_count; i++)
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
	for (unsigned int i = 0; i < part->key_count; i++) {
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

/* The parser of zpoolctl may accept more than the library, but never see other parts and keys. */
static void check_tool(const struct zp_spec *spec)
{
	struct spec tool;

	fuzz_assert(spec_parse(&tool, spec->text));
	fuzz_assert(tool.part_count == spec->part_count);
	for (unsigned int p = 0; p < spec->part_count; p++) {
		fuzz_assert(strcmp(tool.parts[p].type, spec->parts[p].type) == 0);
		fuzz_assert(tool.parts[p].key_count == spec->parts[p].key_count);
		for (unsigned int k = 0; k < spec->parts[p].key_count; k++) {
			fuzz_assert(strcmp(tool.parts[p].keys[k].key, spec->parts[p].keys[k].key) == 0);
			fuzz_assert(strcmp(tool.parts[p].keys[k].value, spec->parts[p].keys[k].value) == 0);
		}
	}
	spec_free(&tool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Pools
 */

/* Only this project's own drivers are tried, and no part that names a file. */
static bool may_be_opened(const char *text)
{
	struct spec spec;
	const char *key = NULL;
	bool may = spec_parse(&spec, text);

	if (!may)
		return false;
	for (size_t i = 0; i < spec.part_count && may; i++)
		may = is_shipped(spec.parts[i].type) && !spec_find_file_key(&spec.parts[i], &key) && !key;
	spec_free(&spec);
	return may;
}

static void check_sentence(void)
{
	const char *text = zpool_last_error();
	size_t length = strlen(text);

	fuzz_check(length > 0 && text[length - 1] == '.', "\"%s\" is not a sentence", text);
}

static void set_params(struct zpool *pool, char *lines)
{
	for (char *line = lines; line;) {
		char *next = strchr(line, '\n'), *equals;
		int err;

		if (next)
			*next++ = '\0';
		equals = strchr(line, '=');
		if (equals)
			*equals = '\0';
		err = zpool_set_param(pool, line, equals ? equals + 1 : "");
		fuzz_check(err == 0 || err == -EINVAL || err == -EOPNOTSUPP, "%s: %d", line, err);
		if (err)
			check_sentence();
		line = next;
	}
}

static void use_pool(struct zpool *pool, char *lines)
{
	static const char word[8] = "content";
	unsigned long handle = 0;
	char back[8];

	set_params(pool, lines);
	if (zpool_malloc(pool, sizeof(word), 0, &handle) == 0) {
		if (zpool_obj_write(pool, handle, word, sizeof(word), 0) == sizeof(word) &&
		    zpool_obj_read(pool, handle, back, sizeof(back), 0) == sizeof(back))
			fuzz_assert(!memcmp(word, back, sizeof(word)));
		zpool_free(pool, handle);
	}
	zpool_destroy_pool(pool);
}

static void open_pool(const char *text, bool is_valid, char *lines)
{
	bool could = zpool_has_pool(text);
	struct zpool *pool;

	errno = 0;
	pool = zpool_open(text, NULL, 0);
	if (!pool) {
		fuzz_assert(errno > 0);
		check_sentence();
		return;
	}
	fuzz_assert(is_valid && could);
	fuzz_assert(strcmp(zpool_get_spec(pool), text) == 0);
	use_pool(pool, lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_spec spec;
	char *text = malloc(size + 1), *lines;
	int err;

	fuzz_assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	lines = strchr(text, '\n');
	if (lines)
		*lines++ = '\0';
	err = zp_spec_parse(text, &spec);
	if (err) {
		check_refusal(&spec, err);
	} else {
		fuzz_assert(strcmp(spec.text, text) == 0);
		fuzz_assert(spec.part_count >= 1 && spec.part_count <= ZP_SPEC_MAX_PARTS);
		for (unsigned int i = 0; i < spec.part_count; i++)
			check_part(&spec.parts[i]);
		check_rest(&spec);
		check_escaped(&spec);
		check_tool(&spec);
		zp_spec_clear(&spec);
	}
	if (may_be_opened(text))
		open_pool(text, !err, lines);
	free(text);
	return 0;
}

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
			buf[size++] = (uint8_t)specials[fuzz_below(sizeof(specials) - 1)];
			continue;
		}
		const char *piece = pieces[fuzz_below(sizeof(pieces) / sizeof(*pieces))];
		while (*piece)
			buf[size++] = (uint8_t)*piece++;
	}
	return size;
}

static void start(void)
{
	preload_drivers();
	fuzz_check(zpool_has_pool("guard+zsmalloc"), "%s", zpool_last_error());
}

const struct fuzz_target fuzz_target = { .name = "spec", .runs = 4000, .start = start, .generate = make_spec };
