/* SPDX-License-Identifier: MIT
 *
 * store-options.c - the command line of zpoolctl store
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zpool-store.h>

#include "message.h"
#include "size.h"
#include "store.h"
#include "timed.h"
#include "zpoolctl.h"

#define TIMEOUT_SECONDS_DEFAULT 30
#define KEY_TIMEOUT 0x100
#define KEY_SIZES 0x101
#define KEY_STATS 0x102

static const struct argp_option argp_options[] = {
	{ .name = "type",
	  .key = 't',
	  .arg = "SPEC",
	  .doc = "try this driver, such as zbud or zsmalloc:chain=8; may be given more than once (default: all)" },
	{ .name = "compressor",
	  .key = 'c',
	  .arg = "NAME",
	  .doc = "lz4, lz4hc[:LEVEL], zstd[:LEVEL] or none (default: lz4)" },
	{ .name = "unit",
	  .key = 'u',
	  .arg = "BYTES",
	  .doc = "cut the input into units of this size, a power of two from 512 to 64K (default: 4K)" },
	{ .name = "limit",
	  .key = 'l',
	  .arg = "SIZE",
	  .doc = "limit each pool to SIZE; units are evicted to a temporary file to make room" },
	{ .name = "pid", .key = 'p', .arg = "PID", .doc = "read the private memory of this process instead of files" },
	{ .name = "timeout",
	  .key = KEY_TIMEOUT,
	  .arg = "SECONDS",
	  .doc = "stop a driver that makes no progress for this long (default: 30)" },
	{ .name = "sizes",
	  .key = KEY_SIZES,
	  .arg = "FILE",
	  .doc = "write the stored size of each unit in bytes to FILE, one per line" },
	{ .name = "stats",
	  .key = KEY_STATS,
	  .doc = "also print each driver's statistics, and its size classes with their fill levels" },
	{ .name = "json", .key = 'j', .doc = "print JSON" },
	{ 0 },
};

/* A NULL-terminated array of strings. The strings belong to argv. */
static void append(char ***array, size_t *count, char *string)
{
	*array = reallocarray(*array, *count + 2, sizeof(**array));
	if (!*array)
		out_of_memory();
	(*array)[(*count)++] = string;
	(*array)[*count] = NULL;
}

static void parse_type(struct store_options *options, char *arg, struct argp_state *state)
{
	for (size_t i = 0; i < options->spec_count; i++)
		if (!strcmp(options->specs[i], arg))
			usage_error(state, "--type %s is given twice", arg);
	append(&options->specs, &options->spec_count, arg);
}

static void parse_compressor(const char *arg, struct argp_state *state)
{
	if (!timed_choose(arg))
		usage_error(state, "%s", zpool_last_error());
}

static void parse_unit(struct store_options *options, const char *arg, struct argp_state *state)
{
	uint64_t bytes = 0;

	if (!size_parse(arg, &bytes) || bytes < ZPOOL_STORE_UNIT_BYTES_MIN || bytes > ZPOOL_STORE_UNIT_BYTES_MAX ||
	    bytes & (bytes - 1))
		usage_error(state, "--unit must be a power of two from 512 to 64K, not \"%s\"", arg);
	options->unit_bytes = (uint32_t)bytes;
}

static void parse_limit(struct store_options *options, const char *arg, struct argp_state *state)
{
	if (!size_parse(arg, &options->limit_bytes))
		usage_error(state, "--limit must be a size such as 64M, not \"%s\"", arg);
	if (!options->limit_bytes)
		usage_error(state,
			    "--limit 0 leaves no room for any unit: leave out --limit for pools without a limit");
}

static unsigned long parse_number(const char *arg, unsigned long max, const char *what, struct argp_state *state)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || !number || number > max)
		usage_error(state, "%s, not \"%s\"", what, arg);
	return number;
}

static void check(struct store_options *options, struct argp_state *state)
{
	unsigned int inputs = 0;

	if (options->pid && options->path_count)
		usage_error(state, "give either --pid or paths, not both");
	if (!options->pid && !options->path_count)
		usage_error(state, "nothing to store: give files or directories, - for standard input, or --pid");
	for (size_t i = 0; i < options->path_count; i++) {
		if (!*options->paths[i])
			usage_error(state, "a path must not be empty");
		if (!strcmp(options->paths[i], "-") && inputs++)
			usage_error(
				state,
				"standard input can be read only once: give - once, or ./- for a file of that name");
	}
	if (!*timed_name())
		parse_compressor("lz4", state);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct store_options *options = state->input;

	switch (key) {
	case 't':
		parse_type(options, arg, state);
		return 0;
	case 'c':
		parse_compressor(arg, state);
		return 0;
	case 'u':
		parse_unit(options, arg, state);
		return 0;
	case 'l':
		parse_limit(options, arg, state);
		return 0;
	case 'p':
		options->pid = (pid_t)parse_number(arg, INT_MAX, "--pid must be the number of a process", state);
		return 0;
	case KEY_TIMEOUT:
		options->timeout_seconds = (unsigned int)parse_number(
			arg, 86400, "--timeout must be a number of seconds from 1 to 86400", state);
		return 0;
	case KEY_SIZES:
		options->sizes_path = arg;
		return 0;
	case KEY_STATS:
		options->stats = true;
		return 0;
	case 'j':
		options->as_json = true;
		return 0;
	case ARGP_KEY_ARG:
		append(&options->paths, &options->path_count, arg);
		return 0;
	case ARGP_KEY_END:
		check(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int store_parse(int argc, char **argv, struct store_options *options)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "PATH...\n--pid PID",
		.doc = "Store the contents of files, of directories or of a process's memory through drivers, unit by unit and compressed; read every unit back, compare it byte for byte, and print how each driver did.\vThe exit status is 0 if every driver returned everything intact and no input was skipped.",
	};

	*options =
		(struct store_options){ .unit_bytes = UNIT_BYTES_DEFAULT, .timeout_seconds = TIMEOUT_SECONDS_DEFAULT };
	return parse_arguments(&argp, argc, argv, 0, options);
}

void store_options_free(struct store_options *options)
{
	free(options->specs);
	free(options->paths);
}
