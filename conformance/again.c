/* SPDX-License-Identifier: MIT
 *
 * again.c - the command that runs a failed case again
 */
#include "contract.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Quotes the word for sh(1): in single quotes, with quotes in the word escaped. */
void ct_print_word(FILE *to, const char *word)
{
	if (*word &&
	    strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+:,=%@") == strlen(word)) {
		fputs(word, to);
		return;
	}
	putc('\'', to);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\'", to);
		putc(*word, to);
	}
	putc('\'', to);
}

static void print_variable(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=", name);
	ct_print_word(to, value);
	putc(' ', to);
}

/*
 * Stores the path of the script with which libtool starts a program that is not installed yet: DIR/NAME for
 * DIR/.libs/NAME. Only with that script does the program find its libraries. Returns false if there is none.
 */
static bool find_start_script(const char *program, char script[PATH_MAX])
{
	static const char folder[] = "/.libs/";
	const char *name = strrchr(program, '/');
	size_t length = name ? (size_t)(name + 1 - program) : 0;

	if (length < sizeof(folder) - 1 || memcmp(program + length - (sizeof(folder) - 1), folder, sizeof(folder) - 1))
		return false;
	name = strncmp(name + 1, "lt-", 3) ? name + 1 : name + 4;
	length -= sizeof(folder) - 2;
	return snprintf(script, PATH_MAX, "%.*s%s", (int)length, program, name) < PATH_MAX && !access(script, X_OK);
}

/* A debugger cannot run that script, so it gets the program, and the path of its libraries in the environment. */
static void print_program(FILE *to, const char *program, const char *debugger, bool in_test)
{
	const char *libraries = getenv("LD_LIBRARY_PATH");
	char script[PATH_MAX];
	bool scripted = find_start_script(program, script);

	if (!*debugger) {
		ct_print_word(to, scripted ? script : program);
		return;
	}
	if (scripted && libraries) {
		if (in_test)
			fputs("env ", to);
		print_variable(to, "LD_LIBRARY_PATH", libraries);
	}
	fprintf(to, "%s ", debugger);
	ct_print_word(to, program);
}

/*
 * Prints how to get the plugins back that were found, and returns true if that is tests/with-plugins. Its directory of
 * plugins exists only while the test runs, so the command must be run through that script again. The script sets
 * ZPOOL_TEST_PLUGINS to the directory and ZPOOL_TEST_AGAIN to the command. A plugin that was given as a file is
 * searched for in its own directory first, and is one more module for the script.
 */
static bool print_plugins(FILE *to, const struct ct_options *options)
{
	const char *path = getenv("ZPOOL_PLUGIN_PATH");
	const char *again = getenv("ZPOOL_TEST_AGAIN"), *plugins = getenv("ZPOOL_TEST_PLUGINS");
	const char *last = path && options->file ? strrchr(path, ':') : NULL;

	if (!path)
		return false;
	if (!again || !plugins || strcmp(last ? last + 1 : path, plugins) != 0) {
		print_variable(to, "ZPOOL_PLUGIN_PATH", path);
		return false;
	}
	if (options->file)
		print_variable(to, "ZPOOL_TEST_MODULE", options->file);
	fprintf(to, "%s ", again);
	return true;
}

void ct_print_alone(FILE *to, const struct ct_options *options, const char *debugger, const char *spec,
		    const char *case_name)
{
	struct ct_options here = *options;

	if (*debugger)
		here.isolate = false;
	print_program(to, options->program, debugger, print_plugins(to, options));
	here.arguments(to, &here, spec, case_name);
}
