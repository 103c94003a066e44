/* SPDX-License-Identifier: MIT
 *
 * options.c - the command line of zpoolctl bench
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../message.h"
#include "../text.h"
#include "../zpoolctl.h"
#include "allocator.h"
#include "bench.h"

#define ROUNDS_DEFAULT 3
#define SEED_DEFAULT 1

enum {
	KEY_PEER = 0x100,
	KEY_ROUNDS,
	KEY_OBJECTS,
	KEY_SEED,
	KEY_CSV,
	KEY_PLOT,
	KEY_TIMEOUT,
	KEY_RUN_JOB,
};

static const struct argp_option argp_options[] = {
	{ .name = "type",
	  .key = 't',
	  .arg = "SPEC",
	  .doc = "measure this driver, such as zbud or zsmalloc:chain=8; may be given more than once (default: all)" },
	{ .name = "peer",
	  .key = KEY_PEER,
	  .arg = "NAME",
	  .doc = "measure this allocator as well: glibc, jemalloc, mimalloc, tcmalloc, or zram for the kernel's zsmalloc; none for none of them; may be given more than once (default: all that are available)" },
	{ .name = "workload",
	  .key = 'w',
	  .arg = "NAME",
	  .doc = "measure this workload, one of those listed below; may be given more than once (default: all)" },
	{ .name = "sizes",
	  .key = 's',
	  .arg = "SOURCE",
	  .doc = "take the sizes of objects from a file with one size per line, a file that the trace filter recorded, - for standard input, or a distribution: lz4, zstd, fixed:BYTES, uniform:FROM-TO or exponential:MEAN (default: lz4)" },
	{ .name = "pid",
	  .key = 'p',
	  .arg = "PID",
	  .doc = "take the sizes that lz4 compresses the pages of this process to" },
	{ .name = "threads",
	  .key = 'T',
	  .arg = "N",
	  .doc = "number of threads that work at the same time: a number from 1 to 64, a range such as 1-4, or a list such as 1,2,4 (default: 1)" },
	{ .name = "rounds",
	  .key = KEY_ROUNDS,
	  .arg = "N",
	  .doc = "number of rounds; each measures every allocator once, and medians are printed (default: 3)" },
	{ .name = "objects",
	  .key = KEY_OBJECTS,
	  .arg = "N",
	  .doc = "number of objects (default: as many as a file has sizes, but at least 10000; otherwise 100000)" },
	{ .name = "seed", .key = KEY_SEED, .arg = "N", .doc = "seed of all random choices (default: 1)" },
	{ .name = "json", .key = 'j', .doc = "print JSON" },
	{ .name = "csv", .key = KEY_CSV, .doc = "print comma-separated values" },
	{ .name = "plot",
	  .key = KEY_PLOT,
	  .arg = "FILE",
	  .doc = "draw the times and the memory with gnuplot; the file's name must end in .svg or .png" },
	{ .name = "timeout",
	  .key = KEY_TIMEOUT,
	  .arg = "SECONDS",
	  .doc = "stop an allocator that takes longer than this for one step (default: 120, and 1 more for every 1000 objects)" },
	{ .name = "run-job", .key = KEY_RUN_JOB, .arg = "FD,FD", .flags = OPTION_HIDDEN },
	{ 0 },
};

static unsigned long parse_number(const char *arg, unsigned long min, unsigned long max, const char *what,
				  struct argp_state *state)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || number < min || number > max)
		usage_error(state, "%s must be a number from %lu to %lu, not \"%s\"", what, min, max, arg);
	return number;
}

static void parse_type(struct bench_options *options, char *arg, struct argp_state *state)
{
	if (strlen(arg) >= BENCH_SPEC_BYTES)
		usage_error(state, "--type is longer than %d characters", BENCH_SPEC_BYTES - 1);
	if (!*arg)
		usage_error(state, "--type is empty: name a driver");
	for (size_t i = 0; i < options->spec_count; i++)
		if (!strcmp(options->specs[i], arg))
			usage_error(state, "--type %s is given twice", arg);
	options->specs = reallocarray(options->specs, options->spec_count + 2, sizeof(*options->specs));
	if (!options->specs)
		out_of_memory();
	options->specs[options->spec_count++] = arg;
	options->specs[options->spec_count] = NULL;
}

static void parse_peer(struct bench_options *options, const char *arg, struct argp_state *state)
{
	uint32_t bit = 0;
	bool known = !strcmp(arg, "none");

	for (unsigned int i = 0; i < malloc_count; i++)
		if (!strcmp(arg, malloc_kinds[i].name))
			bit = UINT32_C(1) << i;
	if (!strcmp(arg, "zram"))
		bit = UINT32_C(1) << BENCH_PEER_ZRAM;
	if (!bit && !known)
		usage_error(state, "--peer must be glibc, jemalloc, mimalloc, tcmalloc, zram or none, not \"%s\"", arg);
	if (!options->peers_named)
		options->peers = 0;
	options->peers_named = true;
	options->peers |= bit;
}

static void parse_workload(struct bench_options *options, const char *arg, struct argp_state *state)
{
	const struct workload *workload = workload_find(arg);
	char names[256] = "";

	if (workload) {
		options->measures |= workload->measures;
		options->workloads_named = true;
		return;
	}
	for (unsigned int i = 0; i < workload_count; i++) {
		strcat(names, i ? ", " : "");
		strcat(names, workloads[i].name);
	}
	usage_error(state, "there is no workload \"%s\": choose from %s", arg, names);
}

static void add_threads(struct bench_options *options, unsigned int threads, const char *arg, struct argp_state *state)
{
	for (unsigned int i = 0; i < options->thread_count; i++)
		if (options->threads[i] == threads)
			return;
	if (options->thread_count == BENCH_THREAD_COUNTS_MAX)
		usage_error(state, "--threads %s: more than %d numbers of threads were given", arg,
			    BENCH_THREAD_COUNTS_MAX);
	options->threads[options->thread_count++] = threads;
}

static void parse_threads(struct bench_options *options, const char *arg, struct argp_state *state)
{
	const char *at = arg;

	options->thread_count = 0;
	for (;;) {
		unsigned long from, to;
		char *end = (char *)at;

		from = to = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
		if (*end == '-' && end[1] >= '0' && end[1] <= '9')
			to = strtoul(end + 1, &end, 10);
		if (!from || from > to || to > BENCH_THREADS_MAX || (*end && *end != ','))
			usage_error(
				state,
				"--threads must be a number from 1 to %d, a range such as 1-4 or a list such as 1,2,4, not \"%s\"",
				BENCH_THREADS_MAX, arg);
		for (; from <= to; from++)
			add_threads(options, (unsigned int)from, arg, state);
		if (!*end)
			return;
		at = end + 1;
	}
}

static void parse_plot(struct bench_options *options, const char *arg, struct argp_state *state)
{
	const char *end = strrchr(arg, '.');

	if (!end || (strcmp(end, ".svg") && strcmp(end, ".png")))
		usage_error(state, "--plot must name a file that ends in .svg or .png, not \"%s\"", arg);
	options->plot_path = arg;
}

static void parse_form(struct bench_options *options, enum bench_form form, struct argp_state *state)
{
	if (options->form != BENCH_TABLE && options->form != form)
		usage_error(state, "give either --json or --csv, not both");
	options->form = form;
}

static void parse_source(struct bench_options *options, const char *name, const char *pid, struct argp_state *state)
{
	if (options->source.name || options->source.pid)
		usage_error(state, "give only one source of sizes: --sizes or --pid, and only once");
	if (name && !*name)
		usage_error(state, "--sizes is empty: name a file, or %s", sizes_distributions);
	options->source.name = name;
	if (pid)
		options->source.pid = (pid_t)parse_number(pid, 1, INT_MAX, "--pid", state);
}

/* The option --run-job comes only from the parent process, which wrote valid values, so they are not checked again. */
static void serve(const char *arg)
{
	int job, answers;

	if (sscanf(arg, "%d,%d", &job, &answers) != 2)
		job = answers = -1;
	job_serve(job, answers);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct bench_options *options = state->input;

	switch (key) {
	case 't':
		parse_type(options, arg, state);
		return 0;
	case KEY_PEER:
		parse_peer(options, arg, state);
		return 0;
	case 'w':
		parse_workload(options, arg, state);
		return 0;
	case 's':
		parse_source(options, arg, NULL, state);
		return 0;
	case 'p':
		parse_source(options, NULL, arg, state);
		return 0;
	case 'T':
		parse_threads(options, arg, state);
		return 0;
	case KEY_ROUNDS:
		options->rounds = (unsigned int)parse_number(arg, 1, BENCH_ROUNDS_MAX, "--rounds", state);
		return 0;
	case KEY_OBJECTS:
		options->objects = parse_number(arg, 1000, SIZES_MAX, "--objects", state);
		return 0;
	case KEY_SEED:
		options->seed = parse_number(arg, 0, LONG_MAX, "--seed", state);
		return 0;
	case 'j':
		parse_form(options, BENCH_JSON, state);
		return 0;
	case KEY_CSV:
		parse_form(options, BENCH_CSV, state);
		return 0;
	case KEY_PLOT:
		parse_plot(options, arg, state);
		return 0;
	case KEY_TIMEOUT:
		options->timeout_seconds = (unsigned int)parse_number(arg, 1, 86400, "--timeout", state);
		return 0;
	case KEY_RUN_JOB:
		serve(arg);
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, "bench takes no arguments, but \"%s\" was given; use --sizes to name a file", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Makes the list of workloads for --help from the table. */
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
	fputs("Workloads:\n", stream);
	for (unsigned int i = 0; i < workload_count; i++)
		fprintf(stream, "  %-10s %s\n", workloads[i].name, workloads[i].does);
	fprintf(stream, "\n%s", text ? text : "");
	text_end(stream, &list);
	return list;
}

int bench_parse(int argc, char **argv, struct bench_options *options)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.doc = "Measure time and memory of drivers, and of the installed mallocs, on objects of real sizes; print medians, and ratios to the fastest malloc.\vThe exit status is 0 if everything that was named could be measured.",
		.help_filter = help_text,
	};

	*options = (struct bench_options){
		.peers = UINT32_MAX, .threads = { 1 }, .thread_count = 1, .rounds = ROUNDS_DEFAULT, .seed = SEED_DEFAULT
	};
	if (parse_arguments(&argp, argc, argv, 0, options))
		return STATUS_USAGE;
	if (!options->source.pid && !options->source.name)
		options->source.name = "lz4";
	if (!options->measures)
		options->measures = MEASURE_BIT(MEASURES) - 1;
	return 0;
}

void bench_options_free(struct bench_options *options)
{
	free(options->specs);
}
