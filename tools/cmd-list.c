/* SPDX-License-Identifier: MIT
 *
 * cmd-list.c - zpoolctl list
 */
#include <config.h>

#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>
#include <zpool.h>

#include "drivers.h"
#include "json.h"
#include "message.h"
#include "table.h"
#include "zpoolctl.h"

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	bool *as_json = state->input;

	switch (key) {
	case 'j':
		*as_json = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "list takes no arguments, but \"%s\" was given", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int collect(const struct zpool_driver_info *info, void *user)
{
	return json_array_append_new(user, drivers_describe(info));
}

static const char *text_of(const json_t *driver, const char *key)
{
	return json_string_value(json_object_get(driver, key));
}

static void add_row(struct table *table, const json_t *driver)
{
	const json_t *abi = json_object_get(driver, "abi");
	const char *path = text_of(driver, "path");
	const char *description = text_of(driver, "description");
	char abi_text[24];
	const char *cells[8];

	snprintf(abi_text, sizeof(abi_text), "%u.%u", (unsigned int)json_integer_value(json_object_get(abi, "major")),
		 (unsigned int)json_integer_value(json_object_get(abi, "minor")));
	if (path && !description && !json_is_true(json_object_get(driver, "has_note")))
		description =
			json_is_true(json_object_get(driver, "file_read")) ? "(has no plugin note)" : "(not read)";
	cells[0] = text_of(driver, "type");
	cells[1] = text_of(driver, "kind");
	cells[2] = text_of(driver, "version");
	cells[3] = json_is_object(abi) ? abi_text : NULL;
	cells[4] = json_is_true(json_object_get(driver, "loaded")) ? "yes" : "no";
	cells[5] = path ? path : text_of(driver, "origin");
	cells[6] = description;
	cells[7] = text_of(driver, "fault");
	table_add(table, cells);
}

static bool any_faults(const json_t *drivers)
{
	const json_t *driver;
	size_t i;

	json_array_foreach (drivers, i, driver)
		if (text_of(driver, "fault"))
			return true;
	return false;
}

static void print_table(const json_t *drivers, const char *path)
{
	static const struct table_column columns[] = {
		{ .name = "TYPE" },
		{ .name = "KIND" },
		{ .name = "VERSION", .dropped = 4 },
		{ .name = "ABI", .dropped = 3 },
		{ .name = "LOADED", .dropped = 2 },
		{ .name = "FROM", .dropped = 1 },
		{ .name = "DESCRIPTION", .wrapped = true },
		{ .name = "FAULT", .wrapped = true },
	};
	bool faults = any_faults(drivers);
	struct table *table = table_new(columns, faults ? 8 : 7);
	const json_t *driver;
	size_t i;

	json_array_foreach (drivers, i, driver)
		add_row(table, driver);
	table_print(table);
	if (!json_array_size(drivers))
		warn("no driver found in %s; set ZPOOL_PLUGIN_PATH to search other directories", path);
}

int cmd_list(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "json", .key = 'j', .doc = "print JSON" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Show the drivers that are available, without running their code.",
	};
	bool as_json = false;
	char *path;
	json_t *drivers;
	int status = STATUS_OK;

	if (parse_arguments(&argp, argc, argv, 0, &as_json))
		return STATUS_USAGE;
	drivers = json_array();
	if (!drivers)
		out_of_memory();
	if (zpool_each_driver(collect, drivers)) {
		warn("%s", zpool_last_error());
		status = STATUS_FAILED;
	}
	path = drivers_path();
	if (as_json) {
		json_print(json_pack("{s:o, s:o}", "plugin_path", json_text(path), "drivers", drivers));
	} else {
		/* After a failure the message "no driver found" would be wrong. */
		if (status == STATUS_OK || json_array_size(drivers))
			print_table(drivers, path);
		json_decref(drivers);
	}
	free(path);
	return status;
}
