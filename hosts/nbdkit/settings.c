/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "nbdkit.h"
#include "remote.h"
#include "settings.h"
#include "zpool-store.h"

#define CONNECTIONS_MAX 64

void settings_init(struct settings *settings)
{
	*settings = (struct settings){
		.unit_bytes = 4096,
		.driver = "zsmalloc",
		.compressor = "lz4",
		.connections = 4,
	};
}

void settings_fini(struct settings *settings)
{
	free(settings->backing);
	free(settings->stats_path);
	settings->backing = settings->stats_path = NULL;
}

/* nbdkit_parse_size() reports what is wrong, but does not name the parameter. */
static int set_size(uint64_t *to, const char *key, const char *value)
{
	int64_t bytes = nbdkit_parse_size(value);

	if (bytes < 0) {
		nbdkit_error("the parameter %s=%s is not a size", key, value);
		return -1;
	}
	*to = (uint64_t)bytes;
	return 0;
}

static int set_path(char **to, const char *key, const char *value)
{
	if (!*value) {
		nbdkit_error("the parameter %s= needs a path", key);
		return -1;
	}
	free(*to);
	*to = nbdkit_absolute_path(value);
	return *to ? 0 : -1;
}

static int set_backing(struct settings *settings, const char *key, const char *value)
{
	if (!remote_is_uri(value))
		return set_path(&settings->backing, key, value);
	free(settings->backing);
	settings->backing = strdup(value);
	if (settings->backing)
		return 0;
	nbdkit_error("there is no memory for the parameter %s", key);
	return -1;
}

static int set_connections(struct settings *settings, const char *key, const char *value)
{
	unsigned int count;

	if (nbdkit_parse_unsigned(key, value, &count))
		return -1;
	if (count < 1 || count > CONNECTIONS_MAX) {
		nbdkit_error("the parameter %s=%s is not a number from 1 to %d", key, value, CONNECTIONS_MAX);
		return -1;
	}
	settings->connections = count;
	return 0;
}

static int set_bool(bool *to, const char *key, const char *value)
{
	int result = nbdkit_parse_bool(value);

	if (result < 0) {
		nbdkit_error("the parameter %s=%s is neither yes nor no", key, value);
		return -1;
	}
	*to = result;
	return 0;
}

int settings_set(struct settings *settings, const char *key, const char *value)
{
	if (!strcmp(key, "size")) {
		if (set_size(&settings->size_bytes, key, value))
			return -1;
		if (settings->size_bytes)
			return 0;
		nbdkit_error("the parameter size=%s is wrong: a disk has at least one byte", value);
		return -1;
	}
	if (!strcmp(key, "unit"))
		return set_size(&settings->unit_bytes, key, value);
	if (!strcmp(key, "limit"))
		return set_size(&settings->limit_bytes, key, value);
	if (!strcmp(key, "stats"))
		return set_path(&settings->stats_path, key, value);
	if (!strcmp(key, "backing"))
		return set_backing(settings, key, value);
	if (!strcmp(key, "create"))
		return set_bool(&settings->create, key, value);
	if (!strcmp(key, "connections"))
		return set_connections(settings, key, value);
	if (!strcmp(key, "driver"))
		settings->driver = value;
	else if (!strcmp(key, "compressor"))
		settings->compressor = value;
	else {
		nbdkit_error(
			"unknown parameter \"%s\"; the parameters of the zpool plugin are size, driver, compressor, unit, limit, backing, create, connections and stats",
			key);
		return -1;
	}
	return 0;
}

int settings_check(const struct settings *settings)
{
	uint64_t unit_bytes = settings->unit_bytes;

	if (!settings->size_bytes && (!settings->backing || settings->create)) {
		nbdkit_error(
			"the size of the disk is missing: give it as the first parameter, such as \"nbdkit zpool 16G\"");
		return -1;
	}
	if (settings->create && (!settings->backing || remote_is_uri(settings->backing))) {
		nbdkit_error("the parameter create=yes needs a backing that is a file");
		return -1;
	}
	if (unit_bytes < ZPOOL_STORE_UNIT_BYTES_MIN || unit_bytes > ZPOOL_STORE_UNIT_BYTES_MAX ||
	    (unit_bytes & (unit_bytes - 1))) {
		nbdkit_error("the parameter unit=%" PRIu64 " is not a power of two from %d to %d", unit_bytes,
			     ZPOOL_STORE_UNIT_BYTES_MIN, ZPOOL_STORE_UNIT_BYTES_MAX);
		return -1;
	}
	return 0;
}
