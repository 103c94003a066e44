/* SPDX-License-Identifier: MIT
 *
 * spec.h - part[+part...], each part name[:key=value[,key=value]...], with %XX for any byte
 */
#ifndef ZP_CORE_SPEC_H
#define ZP_CORE_SPEC_H 1

#include <stddef.h>

#include "base/name.h"

/* Limits that no legitimate spec reaches. */
enum { ZP_SPEC_MAX_BYTES = 4096, ZP_SPEC_MAX_PARTS = 16, ZP_SPEC_MAX_KEYS = 64 };

struct zp_spec_key {
	const char *key;
	const char *value; /* with the escapes decoded */
};

struct zp_spec_part {
	char type[ZP_TYPE_BYTES];
	size_t rest; /* offset in the text at which the parts below this one begin; the length of the text if there
	              * are none */
	unsigned int key_count;
	struct zp_spec_key *keys;
};

struct zp_spec {
	char *text;  /* as given */
	char *words; /* keys and values point into this buffer */
	unsigned int part_count;
	struct zp_spec_part parts[ZP_SPEC_MAX_PARTS];
};

/* Returns 0, or -EINVAL or -ENOMEM with the error text set. After an error there is nothing to clear. */
int zp_spec_parse(const char *text, struct zp_spec *spec);
void zp_spec_clear(struct zp_spec *spec);

#endif
