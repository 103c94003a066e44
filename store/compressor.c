/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compressor.h"

#define ADDED_MAX 32
#define NAME_MAX_CHARS 31

/* This lock guards the table, which only grows. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct zpool_store_compressor *added[ADDED_MAX];
static unsigned int added_count;

/* The caller holds table_lock. */
static const struct zpool_store_compressor *at(unsigned int index)
{
	switch (index) {
	case 0:
		return &zps_lz4;
	case 1:
		return &zps_lz4hc;
	case 2:
		return zps_zstd();
	default:
		return index - 3 < added_count ? added[index - 3] : NULL;
	}
}

/* The caller holds table_lock. */
static const struct zpool_store_compressor *find(const char *name, size_t length)
{
	const struct zpool_store_compressor *compressor;

	for (unsigned int i = 0; (compressor = at(i)); i++)
		if (strlen(compressor->name) == length && !memcmp(compressor->name, name, length))
			return compressor;
	return NULL;
}

/* Sets the error for an unknown name.  The caller holds table_lock. */
static int unknown(const char *text)
{
	char names[(ADDED_MAX + 3) * (NAME_MAX_CHARS + 3)] = "";
	const struct zpool_store_compressor *compressor;

	for (unsigned int i = 0; (compressor = at(i)); i++) {
		strcat(names, compressor->name);
		strcat(names, ", ");
	}
	return zpool_set_error(EINVAL, "There is no compressor \"%s\". Choose one of %snone.", text, names);
}

static int parse_level(const struct zpool_store_compressor *compressor, const char *text, int *level)
{
	char *end;
	long value;

	if (!compressor->level_min && !compressor->level_max)
		return zpool_set_error(EINVAL, "The compressor %s has no levels: leave out \":%s\".", compressor->name,
				       text);
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < compressor->level_min || value > compressor->level_max)
		return zpool_set_error(
			EINVAL, "There is no compressor \"%s:%s\": the level of %s must be a number from %d to %d.",
			compressor->name, text, compressor->name, (int)compressor->level_min,
			(int)compressor->level_max);
	*level = (int)value;
	return 0;
}

int zps_choose(const char *text, struct zps_choice *choice)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	int err = 0;

	*choice = (struct zps_choice){ NULL, 0 };
	if (length == 4 && !memcmp(text, "none", 4)) {
		if (colon)
			return zpool_set_error(EINVAL, "The compressor none has no levels: leave out \"%s\".", colon);
		return 0;
	}
	pthread_mutex_lock(&table_lock);
	choice->compressor = find(text, length);
	if (!choice->compressor)
		err = unknown(text);
	pthread_mutex_unlock(&table_lock);
	if (err)
		return err;
	choice->level = choice->compressor->level_default;
	return colon ? parse_level(choice->compressor, colon + 1, &choice->level) : 0;
}

/* A compressor of the program may keep in its state what the decompressor needs, such as the level. */
bool zps_share_state(const struct zpool_store_compressor *a, const struct zpool_store_compressor *b)
{
	bool is_own = a == &zps_lz4 || a == &zps_lz4hc || a == zps_zstd();

	return is_own && a->decompress == b->decompress;
}

int zpool_store_find_compressor(const char *text, const struct zpool_store_compressor **compressor, int *level)
{
	struct zps_choice choice;
	int err;

	if (!text || !compressor || !level)
		return zpool_set_error(EINVAL, "zpool_store_find_compressor() was given a NULL argument.");
	err = zps_choose(text, &choice);
	*compressor = choice.compressor;
	*level = choice.level;
	return err;
}

static bool is_name(const char *name)
{
	size_t length = name ? strlen(name) : 0;

	return length && length <= NAME_MAX_CHARS && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

int zpool_store_add_compressor(const struct zpool_store_compressor *c)
{
	int err = 0;

	if (!c || c->struct_size != sizeof(*c))
		return zpool_set_error(
			EINVAL,
			"zpool_store_add_compressor() was given no compressor, or one whose struct_size is not that of this library.");
	if (!is_name(c->name))
		return zpool_set_error(
			EINVAL,
			"\"%s\" is not a valid compressor name: a name starts with a lower-case letter, has only lower-case letters, digits and underscores, and is at most 31 characters long.",
			c->name ? c->name : "");
	if (!c->create || !c->destroy || !c->context_bytes || !c->compress || !c->decompress)
		return zpool_set_error(EINVAL, "The compressor %s lacks one of its functions.", c->name);
	if (c->level_min > c->level_max || c->level_default < c->level_min || c->level_default > c->level_max)
		return zpool_set_error(
			EINVAL,
			"The levels of the compressor %s are out of order: level_min must not be above level_default, nor level_default above level_max.",
			c->name);
	pthread_mutex_lock(&table_lock);
	if (find(c->name, strlen(c->name)) || !strcmp(c->name, "none"))
		err = zpool_set_error(EEXIST, "There is a compressor %s already.", c->name);
	else if (added_count == ADDED_MAX)
		err = zpool_set_error(ENOSPC, "The table of compressors is full.");
	else
		added[added_count++] = c;
	pthread_mutex_unlock(&table_lock);
	return err;
}
