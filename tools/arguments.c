/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "zpoolctl.h"

/*
 * The options that argp_parse() adds, except -?, which getopt_long() cannot distinguish from an error. The values of
 * long options are no characters, and all differ: an abbreviation of two options with one value is not ambiguous.
 */
enum { ARGUMENT = 1, LONG_OPTION = 256 };
static const struct option argp_longs[] = {
	{ "help", no_argument, NULL, LONG_OPTION },
	{ "usage", no_argument, NULL, LONG_OPTION + 1 },
	{ "version", no_argument, NULL, LONG_OPTION + 2 },
	{ "program-name", required_argument, NULL, LONG_OPTION + 3 },
	{ "HANG", optional_argument, NULL, LONG_OPTION + 4 },
};
#define ARGP_LONGS (sizeof(argp_longs) / sizeof(argp_longs[0]))
static const char argp_shorts[] = "V";

/* An argp's options as getopt_long() wants them. */
struct known {
	struct option *longs;
	char *shorts;
};

static struct known know(const struct argp *argp, bool in_order)
{
	size_t count = 0;
	struct known known;
	char *s;

	while (argp->options && (argp->options[count].name || argp->options[count].key))
		count++;
	known.longs = calloc(count + ARGP_LONGS + 1, sizeof(*known.longs));
	known.shorts = s = malloc(2 * count + sizeof(argp_shorts) + 1);
	if (!known.longs || !s)
		out_of_memory();
	if (in_order)
		*s++ = '-';
	s = stpcpy(s, argp_shorts);
	memcpy(known.longs, argp_longs, sizeof(argp_longs));
	for (size_t i = 0; i < count; i++) {
		const struct argp_option *option = &argp->options[i];
		int takes = option->arg ? required_argument : no_argument;

		known.longs[ARGP_LONGS + i] =
			(struct option){ option->name, takes, NULL, LONG_OPTION + (int)(ARGP_LONGS + i) };
		if (option->key > ' ' && option->key <= '~') {
			*s++ = (char)option->key;
			if (option->arg)
				*s++ = ':';
		}
	}
	*s = '\0';
	return known;
}

static bool is_printable(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return !*text;
}

/* Returns the argument with the unknown option that getopt_long() has just found, or NULL if it is printable. */
static const char *unprintable_option(int argc, char *const *argv)
{
	const char *before = argv[optind - 1], *here = optind < argc ? argv[optind] : "";

	if (!optopt)
		return strncmp(before, "--", 2) || is_printable(before) ? NULL : before;
	if (optopt >= LONG_OPTION || (optopt >= ' ' && optopt <= '~'))
		return NULL;
	/* Only after the last letter of an argument has getopt_long() gone on to the next one. */
	return *here == '-' && strchr(here, optopt) ? here : before;
}

/*
 * getopt(3) prints an unknown option, and a value that follows it, unescaped, so one with characters that are not
 * printable is refused here. Only a first run of getopt_long() tells options from values, in which every character is
 * allowed.
 */
static bool options_are_printable(const struct argp *argp, int argc, char **argv, bool in_order)
{
	struct known known = know(argp, in_order);
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));
	const char *bad = NULL;
	int found;

	if (!copy)
		out_of_memory();
	memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	opterr = 0;
	optind = 0;
	do {
		optopt = 0;
		found = getopt_long(argc, copy, known.shorts, known.longs, NULL);
		if (found == '?')
			bad = unprintable_option(argc, copy);
	} while (!bad && found != -1 && !(in_order && found == ARGUMENT));
	if (bad)
		warn("there is no option \"%s\"", bad);
	free(copy);
	free(known.longs);
	free(known.shorts);
	return !bad;
}

int parse_arguments(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	error_t err;

	if (!options_are_printable(argp, argc, argv, flags & ARGP_IN_ORDER))
		return STATUS_USAGE;
	err = argp_parse(argp, argc, argv, flags, NULL, input);
	if (err == ENOMEM)
		out_of_memory();
	return err ? STATUS_USAGE : STATUS_OK;
}
