/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
	};
}

void settings_fini(struct settings *settings)
{
	free(settings->backing);
	free(settings->stats_path);
	free(settings->dictionary);
	settings->backing = settings->stats_path = NULL;
	settings->dictionary = NULL;
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

/* Returns where a URI has the path of its socket, if that path is relative, or else NULL. */
static const char *find_relative_socket(const char *uri)
{
	const char *at = strchr(uri, '?');

	while (at && strncmp(at + 1, "socket=", 7))
		at = strpbrk(at + 1, "&;");
	if (!at)
		return NULL;
	at += strlen("?socket=");
	return *at && *at != '/' && strncasecmp(at, "%2f", 3) ? at : NULL;
}

static void print_encoded(FILE *to, const char *path)
{
	for (; *path; path++) {
		unsigned char byte = (unsigned char)*path;

		if ((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
		    strchr("/-._~", byte))
			fputc(byte, to);
		else
			fprintf(to, "%%%02X", byte);
	}
}

/* Puts a directory before the path of a URI's socket.  Returns NULL if there is no memory. */
static char *insert_directory(const char *uri, const char *socket, const char *directory)
{
	char *result = NULL;
	size_t bytes;
	FILE *to = open_memstream(&result, &bytes);

	if (!to)
		return NULL;
	fprintf(to, "%.*s", (int)(socket - uri), uri);
	print_encoded(to, directory);
	fprintf(to, "/%s", socket);
	if (!fclose(to))
		return result;
	free(result);
	return NULL;
}

/* The path of a socket becomes absolute, because nbdkit changes its directory when it goes into the background. */
static int set_uri(char **to, const char *key, const char *value)
{
	const char *socket = find_relative_socket(value);
	char *directory = NULL;

	if (socket) {
		directory = nbdkit_realpath(".");
		if (!directory)
			return -1;
	}
	free(*to);
	*to = socket ? insert_directory(value, socket, directory) : strdup(value);
	free(directory);
	if (*to)
		return 0;
	nbdkit_error("there is no memory for the parameter %s", key);
	return -1;
}

static int set_backing(struct settings *settings, const char *key, const char *value)
{
	return (remote_is_uri(value) ? set_uri : set_path)(&settings->backing, key, value);
}

/* Returns the length of what the file has, at most `room`, or -1 if it cannot be read. */
static int64_t read_file(const char *path, unsigned char *to, size_t room)
{
	FILE *file = fopen(path, "rbe");
	size_t bytes;
	int err;

	if (!file)
		return -1;
	errno = 0;
	bytes = fread(to, 1, room, file);
	err = ferror(file) ? errno : 0;
	fclose(file);
	errno = err;
	return err ? -1 : (int64_t)bytes;
}

/* The file is read at once, so that a wrong one is reported before nbdkit forks and changes its directory. */
static int set_dictionary(struct settings *settings, const char *key, const char *value)
{
	size_t room = ZPOOL_STORE_DICTIONARY_BYTES_MAX + 1;
	int64_t bytes;

	free(settings->dictionary);
	settings->dictionary_bytes = 0;
	settings->dictionary = malloc(room);
	if (!settings->dictionary) {
		nbdkit_error("there is no memory for the parameter %s", key);
		return -1;
	}
	bytes = read_file(value, settings->dictionary, room);
	if (bytes < 0) {
		nbdkit_error("the parameter %s=%s: %m", key, value);
		return -1;
	}
	if ((size_t)bytes == room) {
		nbdkit_error("the parameter %s=%s names a file of more than 1 MiB, which is too long for a dictionary",
			     key, value);
		return -1;
	}
	settings->dictionary_bytes = (uint64_t)bytes;
	return 0;
}

static int set_train(struct settings *settings, const char *key, const char *value)
{
	if (nbdkit_parse_uint64_t(key, value, &settings->train_units))
		return -1;
	if (settings->train_units)
		return 0;
	nbdkit_error("the parameter %s=%s is wrong: a dictionary is trained from at least one unit", key, value);
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
	if (!strcmp(key, "dictionary"))
		return set_dictionary(settings, key, value);
	if (!strcmp(key, "train"))
		return set_train(settings, key, value);
	if (!strcmp(key, "driver"))
		settings->driver = value;
	else if (!strcmp(key, "compressor"))
		settings->compressor = value;
	else {
		nbdkit_error(
			"unknown parameter \"%s\"; the parameters of the zpool plugin are size, driver, compressor, dictionary, train, unit, limit, backing, create, connections and stats",
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
	if (settings->connections && (!settings->backing || !remote_is_uri(settings->backing))) {
		nbdkit_error("the parameter connections=%u needs a backing that is an NBD server",
			     settings->connections);
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
