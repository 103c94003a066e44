/* SPDX-License-Identifier: MIT
 *
 * cmd-new.c - zpoolctl new
 */
#include <config.h>

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "project.h"
#include "shipped.h"
#include "text.h"
#include "zpoolctl.h"

enum { TYPE_BYTES_MAX = 32 };

struct arguments {
	const char *name;
	const char *dir;
	bool autotools;
	bool filter;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'd':
		if (!*arg)
			usage_error(state, "--dir must name a directory");
		arguments->dir = arg;
		return 0;
	case 'a':
		arguments->autotools = true;
		return 0;
	case 'f':
		arguments->filter = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->name)
			usage_error(state, "give one name, not \"%s\" as well", arg);
		arguments->name = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "give the name of the new driver");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Converts a name to a driver type: like in a spec, "-" is read as "_". */
static bool type_of(const char *name, char type[TYPE_BYTES_MAX + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	size_t length = strlen(name);

	if (length == 0 || length > TYPE_BYTES_MAX || !strchr(letters, name[0]) ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
		return false;
	for (size_t i = 0; i <= length; i++)
		type[i] = (char)(name[i] == '-' ? '_' : name[i]);
	return true;
}

/*
 * Reserved: libzpool uses identifiers with these prefixes, and the other names are macros on some systems, so the
 * driver would not compile.
 */
static bool is_taken(const char *type)
{
	static const char *const taken[] = { "bool", "errno", "false", "i386", "linux", "true", "unix", "zp", "zpool" };

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (!strcmp(type, taken[i]))
			return true;
	return !strncmp(type, "zp_", 3) || !strncmp(type, "zpool_", 6);
}

int cmd_new(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ .name = "dir", .key = 'd', .arg = "DIR", .doc = "the directory to create (default: NAME)" },
		{ .name = "autotools", .key = 'a', .doc = "write configure.ac and Makefile.am instead of a Makefile" },
		{ .name = "filter", .key = 'f', .doc = "write a filter, which runs on top of another driver" },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "NAME",
		.doc = "Write the project of a new plugin: a working driver or filter called NAME, its tests and its build files.",
	};
	struct arguments arguments = { NULL, NULL, false, false };
	char type[TYPE_BYTES_MAX + 1];
	struct project project = { .type = type };
	char *shown;
	bool written;

	if (parse_arguments(&argp, argc, argv, 0, &arguments))
		return STATUS_USAGE;
	if (!type_of(arguments.name, type)) {
		warn("\"%s\" cannot be a driver's name: a name is a letter from a to z, followed by up to 31 of a-z, 0-9 and _",
		     arguments.name);
		return STATUS_USAGE;
	}
	if (is_taken(type)) {
		warn("\"%s\" cannot be a driver's name: libzpool or the C language already uses this name", type);
		return STATUS_USAGE;
	}
	if (is_shipped(type))
		warn("warning: libzpool ships a plugin \"%s\" too: a program that asks for this name loads the plugin that comes first in its plugin path, and the two cannot be installed in the same directory; choose another name unless yours is meant to replace the other",
		     type);
	project.dir = arguments.dir ? arguments.dir : arguments.name;
	project.autotools = arguments.autotools;
	project.filter = arguments.filter;
	/* The text is made before, because the tool ends where there is no memory for it. */
	shown = text_escape(project.dir);
	written = project_write(&project);
	if (written) {
		printf("%s: created the project of %s %s\n", shown, project.filter ? "filter" : "driver", type);
		printf(project.autotools ? "Next: cd %s && autoreconf -fi && ./configure && make check\n"
					 : "Next: make -C %s check\n",
		       shown);
	}
	free(shown);
	return written ? STATUS_OK : STATUS_FAILED;
}
