/* SPDX-License-Identifier: MIT
 *
 * zpoolctl.h - the tool's commands
 *
 * A command is one function in one file, cmd-<name>.c, and one line in the table of zpoolctl.c. It parses its own
 * options, with argv[0] set to "zpoolctl <name>", and returns the tool's exit status.
 */
#ifndef ZPOOLCTL_H
#define ZPOOLCTL_H 1

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1, /* something failed, differs or was skipped */
	STATUS_USAGE = 2   /* the command line is not valid */
};

struct command {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
};

struct argp;

/*
 * Calls argp_parse(), and ends the tool with a message if there is no memory, of which argp_parse() says nothing. An
 * unknown option that is not printable is refused. Returns STATUS_OK or STATUS_USAGE.
 */
int parse_arguments(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input);

int cmd_bench(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_new(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_store(int argc, char **argv);

#endif /* ZPOOLCTL_H */
