/* SPDX-License-Identifier: MIT
 *
 * zpoolctl.c - a command line tool for libzpool: list the drivers, show what they accept, and try them on real data
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "child.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "output.h"
#include "preload.h"
#include "text.h"
#include "zpoolctl.h"

static int cmd_help(int argc, char **argv);

/* In the order of --help. */
static const struct command commands[] = {
	{ "help", "show this help, or the help of a command", cmd_help },
	{ "new", "write the project of a new plugin", cmd_new },
	{ "list", "show the drivers that are available", cmd_list },
	{ "info", "load a driver and show its parameters, limits and capabilities", cmd_info },
	{ "check", "run the conformance tests on a driver", cmd_check },
	{ "replay", "repeat the calls of a recorded trace on drivers and compare them", cmd_replay },
	{ "bench", "measure the speed and memory use of drivers, beside other mallocs", cmd_bench },
	{ "store", "store real data through drivers, read it back and compare", cmd_store },
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

/* Makes the list of commands for --help from the table. */
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
	fputs("\nUse `zpoolctl help COMMAND' for the options of a command; zpoolctl(1) describes all of them.", stream);
	text_end(stream, &list);
	return list;
}

struct choice {
	const struct command *command;
	int index; /* of the command's name in argv */
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct choice *choice = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		choice->command = find_command(arg);
		if (!choice->command)
			usage_error(state, "there is no command \"%s\"; `zpoolctl help' lists them", arg);
		choice->index = state->next - 1;
		state->next = state->argc; /* the remaining arguments belong to the command */
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "give a command");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The library ignores a relative directory in the variable; for a user at a shell, an error is more helpful. */
static bool plugin_path_is_sound(void)
{
	const char *path = secure_getenv("ZPOOL_PLUGIN_PATH");

	if (!path || !*path || !zpool_set_plugin_path(path))
		return true;
	warn("ZPOOL_PLUGIN_PATH: %s", zpool_last_error());
	return false;
}

static const struct argp main_argp = {
	.parser = parse_option,
	.args_doc = "COMMAND [OPTION...] [ARGUMENT...]",
	.doc = "Show the drivers of libzpool and try them on real data.\v",
	.help_filter = help_text,
};

/* Sets argv[0] to "zpoolctl <name>", which is how the command's messages begin. */
static int run_command(const struct command *command, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "zpoolctl %s", command->name);
	argv[0] = name;
	return command->run(argc, argv);
}

static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	const struct command **command = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*command)
		usage_error(state, "give one command at a time, not \"%s\" and \"%s\"", (*command)->name, arg);
	*command = find_command(arg);
	if (!*command)
		usage_error(state, "there is no command \"%s\"; `zpoolctl help' lists them", arg);
	return 0;
}

/* `zpoolctl help COMMAND' is `zpoolctl COMMAND --help', and `zpoolctl help' is `zpoolctl --help'. */
static int cmd_help(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_help,
		.args_doc = "[COMMAND]",
		.doc = "Show the commands, or the help of one.",
	};
	const struct command *command = NULL;
	char option[] = "--help";
	char *args[] = { program_invocation_name, option, NULL };
	struct choice choice = { NULL, 0 };

	if (parse_arguments(&argp, argc, argv, 0, &command))
		return STATUS_USAGE;
	if (command)
		return run_command(command, 2, args);
	return parse_arguments(&main_argp, 2, args, ARGP_IN_ORDER, &choice);
}

int main(int argc, char **argv)
{
	struct choice choice = { NULL, 0 };

	output_guard();
	child_expect();
	json_need_memory();
	setlocale(LC_CTYPE, "");
	argp_program_version_hook = print_version;
	argp_err_exit_status = STATUS_USAGE;
	if (parse_arguments(&main_argp, argc, argv, ARGP_IN_ORDER, &choice))
		return STATUS_USAGE;

	if (choice.command->run == cmd_help)
		return run_command(choice.command, argc - choice.index, argv + choice.index);
	if (!plugin_path_is_sound())
		return STATUS_USAGE;
	interrupt_handle();
	preload_drivers();
	return run_command(choice.command, argc - choice.index, argv + choice.index);
}
