/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "json.h"
#include "message.h"
#include "text.h"

const char *drivers_origin_name(enum zpool_driver_origin origin)
{
	switch (origin) {
	case ZPOOL_ORIGIN_REGISTERED:
		return "registered";
	case ZPOOL_ORIGIN_PRELOADED:
		return "linked in";
	case ZPOOL_ORIGIN_FILE:
		return "plugin";
	}
	return "unknown";
}

const char *drivers_kind_name(enum zpool_driver_kind kind)
{
	switch (kind) {
	case ZPOOL_KIND_DRIVER:
		return "driver";
	case ZPOOL_KIND_FILTER:
		return "filter";
	case ZPOOL_KIND_UNKNOWN:
		break;
	}
	return NULL;
}

json_t *drivers_describe(const struct zpool_driver_info *info)
{
	/* The kind of a file that was not read is unknown. */
	json_t *has_note = info->path && !info->file_read ? json_null() : json_boolean(info->has_note);
	json_t *abi = json_null();
	json_t *driver;

	if (info->abi_major)
		abi = json_pack("{s:I, s:I}", "major", (json_int_t)info->abi_major, "minor",
				(json_int_t)info->abi_minor);
	driver = json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:b, s:o, s:o}", "type", info->type, "kind",
			   json_text(drivers_kind_name(info->kind)), "origin", drivers_origin_name(info->origin),
			   "path", json_text(info->path), "version", json_text(info->version), "abi", abi, "file_read",
			   info->file_read, "has_note", has_note, "loaded", info->loaded, "description",
			   json_text(info->description), "fault", json_text(info->fault));
	if (!driver)
		out_of_memory();
	return driver;
}

struct names {
	char **at;
	size_t count;
};

static int add_name(const struct zpool_driver_info *info, void *user)
{
	struct names *names = user;

	if (info->fault)
		return 0;
	names->at = reallocarray(names->at, names->count + 2, sizeof(*names->at));
	if (!names->at)
		out_of_memory();
	names->at[names->count] = strdup(info->type);
	if (!names->at[names->count++])
		out_of_memory();
	names->at[names->count] = NULL;
	return 0;
}

char **drivers_usable(void)
{
	struct names names = { calloc(1, sizeof(*names.at)), 0 };

	if (!names.at)
		out_of_memory();
	if (zpool_each_driver(add_name, &names))
		warn("%s", zpool_last_error());
	return names.at;
}

void drivers_free(char **types)
{
	for (size_t i = 0; types && types[i]; i++)
		free(types[i]);
	free(types);
}

char *drivers_path(void)
{
	char nothing[1];
	int length = zpool_get_plugin_path(nothing, sizeof(nothing));
	char *path = length < 0 ? NULL : malloc((size_t)length + 1);

	/* Nothing else can be the reason for a failure, and the tool does not change the path meanwhile. */
	if (!path || zpool_get_plugin_path(path, (size_t)length + 1) < 0)
		out_of_memory();
	return path;
}

void drivers_complain(const char *spec, int error, const char *message)
{
	char **types;

	warn("%s: %s", spec, *message ? message : strerror(-error));
	if (error != -ENOENT)
		return;
	types = drivers_usable();
	if (types[0]) {
		fputs("Available drivers:", stderr);
		for (size_t i = 0; types[i]; i++) {
			fputs(i ? ", " : " ", stderr);
			text_print(stderr, types[i]);
		}
		fputs(".\n", stderr);
	} else {
		char *path = drivers_path();

		fputs("No driver found in ", stderr);
		text_print(stderr, path);
		free(path);
		fputs("; set ZPOOL_PLUGIN_PATH to search other directories.\n", stderr);
	}
	drivers_free(types);
}
