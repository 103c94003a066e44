/* SPDX-License-Identifier: MIT
 *
 * spec.h - part[+part...], each part name[:key=value[,key=value]...], with %XX for any byte
 */
#ifndef ZP_CORE_SPEC_H
#define ZP_CORE_SPEC_H 1

#include <stddef.h>

#include "loader/search.h"

/* Bounds that no honest spec meets. */
enum { ZP_SPEC_MAX_BYTES = 4096, ZP_SPEC_MAX_PARTS = 16, ZP_SPEC_MAX_KEYS = 64 };

struct zp_spec_key {
	const char *key;
	const char *value; /* unescaped */
};

struct zp_spec_part {
	char type[ZP_TYPE_BYTES];
	size_t rest; /* where the parts below this one begin in the text; its length if there are none */
	unsigned key_count;
	struct zp_spec_key *keys;
};

struct zp_spec {
	char *text;  /* as given */
	char *words; /* what keys and values point into */
	unsigned part_count;
	struct zp_spec_part parts[ZP_SPEC_MAX_PARTS];
};

/* 0, or -EINVAL, -ENOMEM with the error text set and nothing to clear. */
int zp_spec_parse(const char *text, struct zp_spec *spec);
void zp_spec_clear(struct zp_spec *spec);

#endif
