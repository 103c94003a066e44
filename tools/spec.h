/* SPDX-License-Identifier: MIT
 *
 * spec.h - what the text of a spec shows without opening a pool
 *
 * A spec is part[+part...], each part name[:key=value[,key=value]...], with %XX for any byte of a key or a value. Only
 * the library decides whether a spec is valid; the tool parses one to add a limit, and to find out what opening it
 * would do.
 */
#ifndef SPEC_H
#define SPEC_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPEC_PARTS_MAX 16
#define SPEC_TYPE_BYTES 33

struct spec_key {
	char *key, *value; /* with escapes decoded */
};

struct spec_part {
	const char *text; /* points into the parsed text, up to the '+' or the end */
	size_t bytes;
	char type[SPEC_TYPE_BYTES]; /* of a-z, 0-9 and '_', which the text may write as '-' */
	struct spec_key *keys;
	size_t key_count;
};

struct spec {
	struct spec_part parts[SPEC_PARTS_MAX];
	size_t part_count;
	struct spec_key *keys; /* of all parts, one after the other */
	char *words;           /* keys and values point into this buffer */
};

/*
 * Returns false if the text cannot be a spec; there is nothing to free then. zpool_open() reports what is wrong with
 * it.
 */
bool spec_parse(struct spec *spec, const char *text);
void spec_free(struct spec *spec);

/* Returns the value of the last part that has `key`, or NULL if no part has it. It lives as long as the spec. */
const char *spec_value(const struct spec *spec, const char *key);

/* Returns true if any part sets a limit. */
bool spec_is_limited(const char *text);
/* Returns the text with a limit added to its last part. The caller frees it. */
char *spec_add_limit(const char *text, uint64_t limit_bytes);

/* ------------------------------------------------------------------------------------------------------------------
 * spec-files.c: these load the drivers that the spec names, so they are for child processes only.
 */

/*
 * *key is the key of the part's first value that may name a file, which is any value of a parameter of type
 * ZPOOL_PARAM_STRING, but not numbers and choices; NULL if there is none. Returns -errno if the driver's parameters
 * cannot be read.
 */
int spec_find_file_key(const struct spec_part *part, const char **key);

/*
 * Returns the text without filters that are given the name of a file: a pool of that spec can be opened for a trial
 * without touching a file. Returns NULL if the driver itself is given a file name. A spec that cannot be parsed is
 * returned unchanged. The caller frees the result.
 */
char *spec_without_files(const char *text);

#endif /* SPEC_H */
