/* SPDX-License-Identifier: MIT
 *
 * cmd-info.c - zpoolctl info
 *
 * Parameters and limits are known only after a driver is loaded. A child process loads the driver and sends its
 * description to the parent as JSON.
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <zpool.h>

#include "child.h"
#include "drivers.h"
#include "json.h"
#include "message.h"
#include "size.h"
#include "table.h"
#include "text.h"
#include "zpoolctl.h"

#define TIMEOUT_SECONDS 10

static const struct {
	uint32_t cap;
	const char *key;
	const char *words;
} capabilities[] = {
	{ ZPOOL_CAP_EVICT, "evict", "evict objects (zpool_shrink)" },
	{ ZPOOL_CAP_MAP, "map", "map objects (zpool_map_handle)" },
	{ ZPOOL_CAP_COMPACT, "compact", "move objects together (zpool_compact)" },
	{ ZPOOL_CAP_STATS, "stats", "report statistics (zpool_get_stats)" },
	{ ZPOOL_CAP_CLASSES, "classes", "report its size classes (zpool_each_class)" },
	{ ZPOOL_CAP_OBJECTS, "objects", "list its live objects (zpool_each_object)" },
	{ ZPOOL_CAP_OBJ_SIZE, "obj_size", "report the size of an object (zpool_obj_size)" },
	{ ZPOOL_CAP_TRIM, "trim", "return free pages to the system on request (zpool_trim)" },
	{ ZPOOL_CAP_FORK, "fork", "work in a forked child" },
	{ ZPOOL_CAP_MOVABLE, "movable", "use movable memory (ZPOOL_GFP_MOVABLE)" },
	{ ZPOOL_CAP_SLEEP_MAPPED, "sleep_mapped", "let a thread sleep while it has an object mapped" },
	{ ZPOOL_CAP_NOWAIT, "nowait", "allocate without waiting (ZPOOL_GFP_NOWAIT)" },
	{ ZPOOL_CAP_FILTER, "filter", "run on top of another driver (a filter)" },
};
#define CAPABILITY_COUNT (sizeof(capabilities) / sizeof(capabilities[0]))

/* ------------------------------------------------------------------------------------------------------------------
 * In the child: load and describe
 */

static const char *type_name(uint32_t type)
{
	static const char *const names[] = { "unknown", "bool", "uint", "size", "enum", "string" };

	return names[type < sizeof(names) / sizeof(names[0]) ? type : 0];
}

static json_t *describe_choices(const struct zpool_param *param)
{
	json_t *choices;

	if (param->type != ZPOOL_PARAM_ENUM || !param->choices)
		return json_null();
	choices = json_array();
	for (size_t i = 0; param->choices[i]; i++)
		json_array_append_new(choices, json_text(param->choices[i]));
	return choices;
}

static int add_param(const struct zpool_param *param, size_t size, void *user)
{
	bool ranged =
		param->type == ZPOOL_PARAM_UINT || param->type == ZPOOL_PARAM_SIZE || param->type == ZPOOL_PARAM_STRING;
	/* A string has no bounds. A minimum of 0 and the maximum of the type are not shown as bounds either. */
	bool bounded = ranged && !(param->type == ZPOOL_PARAM_STRING && !param->max);

	(void)size;
	return json_array_append_new(
		user, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:b, s:o}", "key", json_text(param->key), "type",
				type_name(param->type), "default", json_text(param->default_value), "min",
				ranged ? json_number(param->min) : json_null(), "max",
				bounded ? json_number(param->max) : json_null(), "choices", describe_choices(param),
				"runtime", (param->flags & ZPOOL_PARAM_RUNTIME) != 0, "help", json_text(param->help)));
}

struct question {
	const char *type;
	json_t *answer;
};

static int find_driver(const struct zpool_driver_info *info, void *user)
{
	struct question *question = user;
	json_t *can;

	if (strcmp(info->type, question->type) != 0)
		return 0;
	question->answer = drivers_describe(info);
	can = json_object();
	for (size_t i = 0; i < CAPABILITY_COUNT; i++)
		json_object_set_new(can, capabilities[i].key, json_boolean(info->caps & capabilities[i].cap));
	json_object_set_new(question->answer, "max_object_bytes", json_number(info->max_object_bytes));
	json_object_set_new(question->answer, "alignment_bytes", json_number(info->alignment_bytes));
	json_object_set_new(question->answer, "capabilities", can);
	return 1;
}

static int write_out(const char *bytes, size_t count, void *out)
{
	child_report(*(const int *)out, bytes, count);
	return 0;
}

static void describe_in_child(int out, void *arg)
{
	struct question *question = arg;
	json_t *params = json_array();
	int error = zpool_each_param(question->type, add_param, params);

	if (!error && zpool_each_driver(find_driver, question) != 1)
		error = -ENOENT;
	if (error)
		question->answer = json_pack("{s:i, s:o}", "errno", -error, "error", json_text(zpool_last_error()));
	else
		json_object_set_new(question->answer, "parameters", params);
	json_dump_callback(question->answer, write_out, &out, JSON_COMPACT);
}

/* ------------------------------------------------------------------------------------------------------------------
 * In the parent: print
 */

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static unsigned long long number_of(const json_t *object, const char *key)
{
	return (unsigned long long)json_integer_value(json_object_get(object, key));
}

static void add_line(struct table *table, const char *label, const char *text)
{
	char indented[24];

	snprintf(indented, sizeof(indented), "  %s", label);
	table_add(table, (const char *const[]){ indented, text });
}

static void add_capabilities(struct table *table, const json_t *driver)
{
	const json_t *can = json_object_get(driver, "capabilities");

	for (int wanted = 1; wanted >= 0; wanted--) {
		const char *label = wanted ? "can" : "cannot";

		for (size_t i = 0; i < CAPABILITY_COUNT; i++) {
			/*
			 * The list of missing capabilities leaves out "filter", because most drivers are not filters.
			 */
			if (!wanted && capabilities[i].cap == ZPOOL_CAP_FILTER)
				continue;
			if (json_is_true(json_object_get(can, capabilities[i].key)) != wanted)
				continue;
			add_line(table, label, capabilities[i].words);
			label = "";
		}
	}
}

static void add_bytes(struct table *table, const json_t *driver, const char *label, const char *key)
{
	unsigned long long bytes = number_of(driver, key);
	char text[32];

	snprintf(text, sizeof(text), "%llu byte%s", bytes, bytes == 1 ? "" : "s");
	add_line(table, label, text);
}

static void print_title(const json_t *driver)
{
	const json_t *abi = json_object_get(driver, "abi");
	const char *description = text_of(driver, "description");
	const char *version = text_of(driver, "version");
	char *title = NULL;
	size_t size;
	FILE *stream = open_memstream(&title, &size);

	if (!stream)
		out_of_memory();
	fprintf(stream, "%s%s%s", text_of(driver, "type"), version ? " " : "", version ? version : "");
	if (json_is_object(abi))
		fprintf(stream, " (ABI %llu.%llu)", number_of(abi, "major"), number_of(abi, "minor"));
	fprintf(stream, "%s%s", description ? ": " : "", description ? description : "");
	text_end(stream, &title);
	table_print_text(title);
	free(title);
}

static void print_head(const json_t *driver)
{
	static const struct table_column columns[] = { { .columns_min = 17 }, { .wrapped = true } };
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	const char *path = text_of(driver, "path");

	print_title(driver);
	add_line(table, "kind", text_of(driver, "kind"));
	add_line(table, "from", path ? path : text_of(driver, "origin"));
	add_bytes(table, driver, "largest object", "max_object_bytes");
	add_bytes(table, driver, "alignment", "alignment_bytes");
	add_capabilities(table, driver);
	table_print(table);
}

static char *join_choices(const json_t *choices)
{
	char *list = NULL;
	size_t size, i;
	const json_t *choice;
	FILE *stream = open_memstream(&list, &size);

	if (!stream)
		out_of_memory();
	json_array_foreach (choices, i, choice)
		fprintf(stream, "%s%s", i ? ", " : "", json_string_value(choice));
	text_end(stream, &list);
	return list;
}

/* Describes the values that a parameter accepts. The caller frees the text. */
static char *values_text(const json_t *param)
{
	bool size = !strcmp(text_of(param, "type"), "size");
	bool bounded = json_is_integer(json_object_get(param, "max"));
	unsigned long long min = number_of(param, "min"), max = number_of(param, "max");
	char low[SIZE_TEXT], high[SIZE_TEXT];
	const char *unit = !strcmp(text_of(param, "type"), "string") ? " bytes" : "";
	char *text = NULL;
	int length;

	if (json_is_array(json_object_get(param, "choices")))
		return join_choices(json_object_get(param, "choices"));
	if (!strcmp(text_of(param, "type"), "bool"))
		length = asprintf(&text, "yes, no");
	else if (size && bounded)
		length = asprintf(&text, "%s to %s", min ? size_format(min, low) : "0", size_format(max, high));
	else if (size)
		length = asprintf(&text, "%s or more", min ? size_format(min, low) : "0");
	else if (bounded)
		length = asprintf(&text, "%llu to %llu%s", min, max, unit);
	else
		length = asprintf(&text, "%llu%s or more", min, unit);
	if (length < 0)
		out_of_memory();
	return text;
}

static void print_parameters(const json_t *params)
{
	static const struct table_column columns[] = {
		{ .name = "PARAMETER" },
		{ .name = "TYPE", .dropped = 1 },
		{ .name = "DEFAULT" },
		{ .name = "VALUES", .wrapped = true },
		{ .name = "CHANGES", .dropped = 2 },
		{ .name = "MEANING", .wrapped = true },
	};
	struct table *table;
	const json_t *param;
	size_t i;

	putchar('\n');
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	json_array_foreach (params, i, param) {
		char *values = values_text(param);
		const char *cells[] = {
			text_of(param, "key"),
			text_of(param, "type"),
			text_of(param, "default"),
			values,
			json_is_true(json_object_get(param, "runtime")) ? "any time" : "never",
			text_of(param, "help"),
		};

		table_add(table, cells);
		free(values);
	}
	table_print(table);
}

struct text {
	char *bytes;
	size_t count;
};

static void collect(void *user, const void *bytes, size_t count)
{
	struct text *text = user;

	text->bytes = realloc(text->bytes, text->count + count);
	if (!text->bytes)
		out_of_memory();
	memcpy(text->bytes + text->count, bytes, count);
	text->count += count;
}

/* Returns the description that the child sent, or NULL after a message. */
static json_t *ask_child(const char *type)
{
	struct question question = { .type = type };
	struct text text = { 0 };
	struct child_job job = { .run = describe_in_child,
				 .arg = &question,
				 .sink = collect,
				 .user = &text,
				 .timeout_seconds = TIMEOUT_SECONDS };
	char how[CHILD_TEXT];
	struct child_end end;
	json_t *answer = NULL;

	if (!child_run(&job, &end)) {
		answer = text.count ? json_loadb(text.bytes, text.count, 0, NULL) : NULL;
		if (!answer) {
			child_describe(&end, how);
			warn("%s: cannot show the driver: the child process that loaded it was %s", type, how);
		}
	}
	free(text.bytes);
	return answer;
}

struct info_options {
	bool as_json;
	const char *type;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct info_options *options = state->input;

	switch (key) {
	case 'j':
		options->as_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->type)
			usage_error(state, "give one driver at a time, not \"%s\" and \"%s\"", options->type, arg);
		if (!*arg || arg[strcspn(arg, ":+")])
			usage_error(state, "\"%s\" is not a driver's name: leave out parameters and filters", arg);
		for (char *c = arg; *c; c++)
			if (*c == '-')
				*c = '_'; /* the library reads '-' as '_' */
		options->type = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "give the name of a driver; `zpoolctl list' shows the names");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_info(int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		{ .name = "json", .key = 'j', .doc = "print JSON" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "TYPE",
		.doc = "Load a driver in a child process and show its parameters, limits and capabilities.",
	};
	struct info_options options = { 0 };
	json_t *driver;

	if (parse_arguments(&argp, argc, argv, 0, &options))
		return STATUS_USAGE;
	driver = ask_child(options.type);
	if (!driver)
		return STATUS_FAILED;
	if (text_of(driver, "error")) {
		drivers_complain(options.type, -(int)number_of(driver, "errno"), text_of(driver, "error"));
		json_decref(driver);
		return STATUS_FAILED;
	}
	if (options.as_json) {
		json_print(driver);
		return STATUS_OK;
	}
	print_head(driver);
	print_parameters(json_object_get(driver, "parameters"));
	json_decref(driver);
	return STATUS_OK;
}
