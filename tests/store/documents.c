/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "documents.h"

#define RECORD_BYTES_MAX 400

static const char *const words[] = { "amber",  "basalt",  "cedar", "delta",  "ember",  "fjord",  "garnet", "harbor",
				     "indigo", "juniper", "kelp",  "lagoon", "meadow", "nectar", "opal",   "pebble" };

static uint32_t draw(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* The names of a kind's members are words of its own, so a dictionary of one kind is of little use for another. */
static void name_of(char *name, unsigned int kind, unsigned int member)
{
	uint32_t seed = (kind + 1) * 2654435761U + member * 40503U;
	unsigned int length = 6 + draw(&seed) % 8;

	for (unsigned int i = 0; i < length; i++)
		name[i] = (char)('a' + draw(&seed) % 26);
	name[length] = '\0';
}

static size_t record(char *to, size_t room, unsigned int kind, uint32_t *seed)
{
	size_t at = 0;

	for (unsigned int member = 0; member < 8; member++) {
		char name[16];

		name_of(name, kind, member);
		at += (size_t)snprintf(to + at, room - at, "%s\"%s\":", member ? "," : "{", name);
		if (member % 3 == 0)
			at += (size_t)snprintf(to + at, room - at, "%" PRIu32, draw(seed) % 100000);
		else if (member % 3 == 1)
			at += (size_t)snprintf(to + at, room - at, "\"%s %s\"", words[draw(seed) % 16],
					       words[draw(seed) % 16]);
		else
			at += (size_t)snprintf(to + at, room - at, "%s", draw(seed) % 2 ? "true" : "null");
	}
	return at + (size_t)snprintf(to + at, room - at, "}\n");
}

size_t document_make(unsigned char *to, size_t room, unsigned int kind, uint64_t number)
{
	uint32_t seed = (uint32_t)(number * 2654435761U + kind) | 1;
	char text[RECORD_BYTES_MAX];
	size_t bytes = 0;

	for (unsigned int records = 1 + draw(&seed) % (unsigned int)(room / 256); records; records--) {
		size_t length = record(text, sizeof(text), kind, &seed);

		if (length > room - bytes)
			break;
		memcpy(to + bytes, text, length);
		bytes += length;
	}
	return bytes;
}
