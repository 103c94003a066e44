/* SPDX-License-Identifier: MIT
 *
 * spec.h - what can be learned from the text of a spec without opening a pool
 *
 * A spec is part[+part...], each part name[:key=value[,key=value]...], with %XX for any byte of a key or a value.  The
 * library alone decides whether a spec is valid; the tool looks into one to add a limit, and to find out what opening
 * it would do.
 */
#ifndef SPEC_H
#define SPEC_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPEC_PARTS_MAX 16
#define SPEC_TYPE_BYTES 33

struct spec_key {
	char *key, *value; /* unescaped */
};

struct spec_part {
	const char *text; /* in the text that was parsed, up to its '+' or its end */
	size_t bytes;
	char type[SPEC_TYPE_BYTES]; /* of a-z, 0-9 and '_', which the text may write as '-' */
	struct spec_key *keys;
	size_t key_count;
};

struct spec {
	struct spec_part parts[SPEC_PARTS_MAX];
	size_t part_count;
	struct spec_key *keys; /* of all parts, one after the other */
	char *words;           /* what keys and values point into */
};

/* false: no spec looks like that; there is nothing to free.  zpool_open() says what is wrong with it. */
bool spec_parse(struct spec *spec, const char *text);
void spec_free(struct spec *spec);

/* The value of the last part that has `key`; NULL: no part has it.  It lives as long as the spec. */
const char *spec_value(const struct spec *spec, const char *key);

/* Does any part set a limit? */
bool spec_is_limited(const char *text);
/* The text with a limit added to its last part.  Free it. */
char *spec_add_limit(const char *text, uint64_t limit_bytes);

/* ------------------------------------------------------------------------------------------------------------------
 * spec-files.c: these load the drivers that the spec names, so they are for child processes only.
 */

/*
 * *key: that of the part's first value that may name a file, which is any value of a parameter of type
 * ZPOOL_PARAM_STRING: numbers and choices cannot.  NULL: there is none.  -errno: the driver cannot be asked.
 */
int spec_find_file_key(const struct spec_part *part, const char **key);

/*
 * The text without the filters that are given a file's name: a pool of that spec can be opened for a try, and touches
 * no file.  NULL: the driver itself is given one.  A spec that cannot be parsed comes back as it is.  Free it.
 */
char *spec_without_files(const char *text);

#endif /* SPEC_H */
