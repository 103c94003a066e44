/* SPDX-License-Identifier: MIT
 *
 * zpoolctl.c - a shell's view of libzpool: which drivers there are, what they take, and how they do on real data
 */
#include <config.h>

#include <argp.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "interrupt.h"
#include "message.h"
#include "output.h"
#include "preload.h"
#include "zpoolctl.h"

/* In the order of --help. */
static const struct command commands[] = {
	{ "new", "write the project of a new plugin", cmd_new },
	{ "list", "show the drivers that can be had", cmd_list },
	{ "info", "load a driver and show its parameters, limits and capabilities", cmd_info },
	{ "check", "put a driver to the proof, case by case", cmd_check },
	{ "replay", "make the calls that the filter trace recorded on drivers, compare", cmd_replay },
	{ "store", "store real data through drivers, read it back, compare", cmd_store },
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "zpoolctl %s (libzpool %s)\n", ZPOOL_VERSION, zpool_version());
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* The list of commands, for --help, made from the table. */
static char *help_text(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	stream = open_memstream(&list, &size);
	if (!stream)
		out_of_memory();
	fputs("Commands:\n", stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`zpoolctl COMMAND --help' tells a command's options, zpoolctl(1) all.", stream);
	if (fclose(stream))
		out_of_memory();
	return list;
}

struct choice {
	const struct command *command;
	int index; /* of its name in argv */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->command = find_command(arg);
		if (!choice->command)
			usage_error(state, "there is no command \"%s\"", arg);
		choice->index = state->next - 1;
		state->next = state->argc; /* the rest is the command's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "a command is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* getopt(3) prints the name of an option that it does not know as it stands. */
static bool options_are_printable(char *const *argv)
{
	for (; *argv && strcmp(*argv, "--"); argv++) {
		const char *end = *argv + strcspn(*argv, "=");

		for (const char *c = *argv; **argv == '-' && c < end; c++)
			if (*c < ' ' || *c > '~') {
				say("there is no option \"%s\"", *argv);
				return false;
			}
	}
	return true;
}

/* The library passes over a directory that is not absolute; a user who wrote one is better off with an error. */
static bool plugin_path_is_sound(void)
{
	const char *path = secure_getenv("ZPOOL_PLUGIN_PATH");

	if (!path || !*path || !zpool_set_plugin_path(path))
		return true;
	say("ZPOOL_PLUGIN_PATH: %s", zpool_last_error());
	return false;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "COMMAND [OPTION...] [ARGUMENT...]",
		.doc = "Look at libzpool's drivers and try them on real data.\v",
		.help_filter = help_text,
	};
	struct choice choice = { NULL, 0 };
	char name[64];

	output_guard();
	setlocale(LC_CTYPE, "");
	if (!options_are_printable(argv))
		return STATUS_USAGE;
	argp_program_version_hook = print_version;
	argp_err_exit_status = STATUS_USAGE;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &choice))
		return STATUS_USAGE;

	if (!plugin_path_is_sound())
		return STATUS_USAGE;
	interrupt_handle();
	preload_drivers();
	snprintf(name, sizeof(name), "zpoolctl %s", choice.command->name);
	argv[choice.index] = name;
	return choice.command->run(argc - choice.index, argv + choice.index);
}
