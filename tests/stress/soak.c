/* SPDX-License-Identifier: MIT
 *
 * soak.c - the soak test's command line
 */
#include "../../conformance/soak.h"

#include "../../conformance/case.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SECONDS_MAX = 10000000 };

static void print_arguments(FILE *to, const struct ct_options *options, const char *spec, const char *case_name)
{
	(void)case_name;
	fprintf(to, " --driver '%s' --seed %" PRIu64 " --threads %u..%u --objects %zu", spec, options->seed,
		ct_soak.threads_least, ct_soak.threads_most, ct_soak.objects);
	if (ct_soak.largest != SIZE_MAX)
		fprintf(to, " --largest %zu", ct_soak.largest);
	if (ct_soak.operations)
		fprintf(to, " --ops %llu", ct_soak.operations);
	else
		fprintf(to, " --seconds %u", ct_soak.seconds);
}

_Noreturn static void usage(FILE *to, int status)
{
	fputs("Usage: soak [--driver SPEC] [--seconds N | --ops N] [--threads N | --threads LEAST..MOST]\n"
	      "            [--objects N] [--largest BYTES] [--seed N]\n"
	      "Let several threads work on a pool of each driver found, or of SPEC, and check every byte. One more thread\n"
	      "shrinks the pool, and another one compacts, trims, walks and sets limits. With LEAST..MOST, each number of\n"
	      "threads gets an equal part of the time or the operations. Numbers may end in K, M or G, for thousands,\n"
	      "millions and so on. Defaults: 60 seconds, 4 threads and up to 4000 objects of any size.\n",
	      to);
	exit(status);
}

static unsigned long long scaled(unsigned long long value, char unit, const char **rest)
{
	static const char units[] = "KMG";
	const char *found = unit ? strchr(units, unit) : NULL;

	for (const char *u = units; found && u <= found; u++)
		value = value > ULLONG_MAX / 1000 ? ULLONG_MAX : value * 1000;
	*rest += found != NULL;
	return value;
}

/* Parses a number and sets *rest to the text after it. If `rest` is NULL, the text must end there. */
static unsigned long long number(const char *text, const char **rest, unsigned long long least, unsigned long long most)
{
	unsigned long long value;
	const char *after;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	after = end;
	value = scaled(value, *end, &after);
	if (errno != 0 || end == text || (!rest && *after != '\0') || *text == '-' || value < least || value > most) {
		fprintf(stderr, "soak: \"%s\" is not a number from %llu to %llu\n", text, least, most);
		exit(2);
	}
	if (rest)
		*rest = after;
	return value;
}

/* The runner's threads are the workers plus the two side threads. */
static void parse_threads(const char *text)
{
	const unsigned int most = CT_THREADS_MAX - CT_SOAK_SIDE_THREADS;

	ct_soak.threads_least = ct_soak.threads_most = (unsigned int)number(text, &text, 1, most);
	if (*text == '\0')
		return;
	if (strncmp(text, "..", 2) != 0) {
		fprintf(stderr, "soak: \"%s\" must not follow a number of threads; write LEAST..MOST\n", text);
		exit(2);
	}
	ct_soak.threads_most = (unsigned int)number(text + 2, NULL, ct_soak.threads_least, most);
}

static void take(int option, struct ct_options *options, const char **spec)
{
	switch (option) {
	case 'd':
		*spec = optarg;
		options->spec_count = 1;
		break;
	case 's':
		ct_soak.seconds = (unsigned int)number(optarg, NULL, 1, SECONDS_MAX);
		break;
	case 'n':
		ct_soak.operations = number(optarg, NULL, 1, ULONG_MAX / CT_THREADS_MAX);
		ct_soak.seconds = SECONDS_MAX;
		break;
	case 't':
		parse_threads(optarg);
		break;
	case 'o':
		ct_soak.objects = (size_t)number(optarg, NULL, 10, 10000000);
		break;
	case 'l':
		ct_soak.largest = (size_t)number(optarg, NULL, 16, 65536);
		break;
	case 'r':
		options->seed = number(optarg, NULL, 0, UINT64_MAX);
		break;
	case 'h':
		usage(stdout, 0);
	default:
		usage(stderr, 2);
	}
}

static void parse(int argc, char **argv, struct ct_options *options, const char **spec)
{
	static const struct option known[] = {
		{ "driver", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "objects", required_argument, NULL, 'o' },
		{ "largest", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;)
		take(option, options, spec);
	if (optind < argc)
		usage(stderr, 2);
	options->slow_timeout_s = ct_soak.seconds + 300;
}

int main(int argc, char **argv)
{
	const char *spec = NULL;
	struct ct_options options = {
		.groups = ct_groups_soak,
		.report = &ct_report_tap,
		.jobs = 1,
		.program = argv[0],
		.arguments = print_arguments,
		.timeout_s = 60,
		.specs = &spec,
		.seed = (uint64_t)time(NULL),
		.isolate = false,
	};
	struct ct_totals totals;

	parse(argc, argv, &options, &spec);
	ct_run(&options, &totals);
	if (totals.drivers == 0)
		printf("# no driver was found: check ZPOOL_PLUGIN_PATH\n");
	printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
	return totals.failed > 0 || totals.drivers == 0;
}
