/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/search.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/error.h"
#include "base/log.h"
#include "support/cancel.h"
#include "zpool.h"

/* Guards chosen_path. Only the log's lock may be taken while it is held. */
static pthread_mutex_t path_lock = PTHREAD_MUTEX_INITIALIZER;
static char *chosen_path;

/* Returns the length of the next entry of a path, without trailing slashes, or 0 at the end of the path. */
static size_t next_entry(const char **cursor, const char **entry)
{
	while (**cursor) {
		size_t length = strcspn(*cursor, ":");
		*entry = *cursor;
		*cursor += length + ((*cursor)[length] == ':');
		while (length > 1 && (*entry)[length - 1] == '/')
			length--;
		if (length)
			return length;
	}
	return 0;
}

static bool is_refused(const char *entry, size_t length)
{
	return entry[0] != '/' || length >= PATH_MAX;
}

bool zp_search_next_refused(const char **cursor, char refused[ZP_REFUSED_BYTES])
{
	const char *entry;
	size_t length;

	while ((length = next_entry(cursor, &entry)) != 0)
		if (is_refused(entry, length)) {
			(void)snprintf(refused, ZP_REFUSED_BYTES, "%.*s", (int)(length < PATH_MAX ? length : PATH_MAX),
				       entry);
			return true;
		}
	return false;
}

bool zp_search_next(const char **cursor, char *directory)
{
	const char *entry;
	size_t length;

	while ((length = next_entry(cursor, &entry)) != 0) {
		if (is_refused(entry, length)) {
			zp_log(ZPOOL_LOG_WARNING,
			       "Plugin directory \"%.*s\" is ignored: only absolute paths are searched.",
			       (int)(length < 200 ? length : 200), entry);
			continue;
		}
		memcpy(directory, entry, length);
		directory[length] = '\0';
		return true;
	}
	return false;
}

int zp_search_set_path(const char *path)
{
	char *copy = NULL;
	if (path) {
		bool any = false;
		for (const char *at = path; *at; at += strcspn(at, ":"), at += *at == ':') {
			size_t length = strcspn(at, ":");
			if (length && (at[0] != '/' || length >= PATH_MAX))
				return zp_fail(
					EINVAL,
					"\"%.*s\" cannot be a plugin directory: give absolute directories, separated by colons.",
					(int)(length < 200 ? length : 200), at);
			any = any || length;
		}
		if (!any)
			return zp_fail(
				EINVAL,
				"The plugin path is empty: give absolute directories, separated by colons, or NULL for the default.");
		copy = strdup(path);
		if (!copy)
			return zp_fail(ENOMEM, "Out of memory for the plugin path.");
	}
	pthread_mutex_lock(&path_lock);
	char *previous = chosen_path;
	chosen_path = copy;
	pthread_mutex_unlock(&path_lock);
	free(previous);
	return 0;
}

char *zp_search_get_path(void)
{
	char *copy = NULL;
	pthread_mutex_lock(&path_lock);
	bool chosen = chosen_path != NULL;
	if (chosen)
		copy = strdup(chosen_path);
	pthread_mutex_unlock(&path_lock);
	if (chosen)
		return copy;
	const char *environment = zp_secure_getenv("ZPOOL_PLUGIN_PATH");
	return strdup(environment && *environment ? environment : ZPOOL_PLUGINDIR);
}

void zp_search_lock(void)
{
	pthread_mutex_lock(&path_lock);
}

void zp_search_unlock(void)
{
	pthread_mutex_unlock(&path_lock);
}

int zpool_set_plugin_path(const char *path)
{
	ZP_CANCEL_DISABLED_HERE;
	return zp_search_set_path(path);
}

int zpool_get_plugin_path(char *buf, size_t size)
{
	ZP_CANCEL_DISABLED_HERE;
	if (!buf && size)
		return zp_fail(EINVAL, "zpool_get_plugin_path() was given no buffer.");
	char *path = zp_search_get_path();
	if (!path)
		return zp_fail(ENOMEM, "Out of memory for the plugin path.");
	int length = snprintf(buf, size, "%s", path);
	free(path);
	return length;
}
