/* SPDX-License-Identifier: MIT
 *
 * main.c - the command line of the conformance suite
 */
#include "../../conformance/contract.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "plugins/shipped.h"

#ifdef CONTRACT_PRELOAD
#include <ltdl.h>

#pragma GCC diagnostic ignored "-Wnested-externs" /* for the expansion of libltdl's macro */
#endif

#define LIST_MAX 64

static const char usage_text[] =
	"Usage: contract [--all | --driver SPEC...] [OPTION]...\n"
	"Run the conformance tests on drivers.  Drivers are found as the library finds them (ZPOOL_PLUGIN_PATH);\n"
	"the report is in TAP format, and a line with the totals follows it.  Without --all and --driver, the shipped\n"
	"drivers are tested alone, behind guard, and one of them behind fault.\n"
	"\n"
	"  --all             every driver found, and each filter in front of every driver\n"
	"  --driver SPEC     this driver or stack; may be repeated\n"
	"  --case NAME       only this case; may be repeated\n"
	"  --list            print the cases and what they test, and run none\n"
	"  --seed N          the seed of all random choices (a random one, which the report shows)\n"
	"  --ops N           operations of the model check (1000000; 100000 in a build with debug checks, 20000\n"
	"                    under a sanitizer or valgrind)\n"
	"  --timeout SECONDS end a case that makes no progress for this long (60; 600 in slower builds)\n"
	"  --jobs N          run up to N cases at once (the number of processors)\n"
	"  --no-fork         run cases in this process, for debuggers and sanitizers\n"
	"  --fail-fast       stop at the first failure\n"
	"  --no-rss          do not compare the pool's size with the resident memory\n"
	"\n"
	"Exit status: 0 if all cases passed or were skipped, 1 if a case failed or no driver was found, 2 for wrong\n"
	"usage.\n";

static void list_cases(void)
{
	for (const struct ct_group *g = ct_groups; g->subject; g++) {
		printf("%s\n", g->subject);
		for (const struct ct_case *c = g->cases; c->name; c++)
			printf("  %-40s %s\n", c->name, c->promise);
	}
}

static uint64_t random_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint32_t)time(NULL);
	return seed;
}

static uint64_t number(const char *option, const char *text, uint64_t most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value > most) {
		fprintf(stderr, "contract: --%s needs a number up to %llu, not \"%s\"\n", option,
			(unsigned long long)most, text);
		exit(2);
	}
	return value;
}

static void list_add(const char **list, size_t *count, const char *text)
{
	if (*count == LIST_MAX) {
		fprintf(stderr, "contract: an option can be given at most %d times\n", LIST_MAX);
		exit(2);
	}
	list[(*count)++] = text;
}

static void case_add(const char **cases, size_t *count, const char *name)
{
	if (!ct_case_exists(ct_groups, name)) {
		fprintf(stderr, "contract: there is no case \"%s\"; --list shows all cases\n", name);
		exit(2);
	}
	list_add(cases, count, name);
}

enum { ALL = 1, DRIVER, CASE, LIST, SEED, OPS, TIMEOUT, JOBS, NO_FORK, FAIL_FAST, NO_RSS, HELP };

static const struct option known_options[] = {
	{ "all", no_argument, NULL, ALL },
	{ "driver", required_argument, NULL, DRIVER },
	{ "case", required_argument, NULL, CASE },
	{ "list", no_argument, NULL, LIST },
	{ "seed", required_argument, NULL, SEED },
	{ "ops", required_argument, NULL, OPS },
	{ "timeout", required_argument, NULL, TIMEOUT },
	{ "jobs", required_argument, NULL, JOBS },
	{ "no-fork", no_argument, NULL, NO_FORK },
	{ "fail-fast", no_argument, NULL, FAIL_FAST },
	{ "no-rss", no_argument, NULL, NO_RSS },
	{ "help", no_argument, NULL, HELP },
	{ NULL, 0, NULL, 0 },
};

_Noreturn static void usage(FILE *to, int status)
{
	fputs(usage_text, to);
	exit(status);
}

/* Returns true if the caller asked for all drivers. */
static bool parse(int argc, char **argv, struct ct_options *options, const char **specs, const char **cases)
{
	bool all = false;

	for (int option; (option = getopt_long(argc, argv, "h", known_options, NULL)) != -1;) {
		switch (option) {
		case ALL:
			all = true;
			break;
		case DRIVER:
			list_add(specs, &options->spec_count, optarg);
			break;
		case CASE:
			case_add(cases, &options->case_count, optarg);
			break;
		case LIST:
			list_cases();
			exit(0);
		case SEED:
			options->seed = number("seed", optarg, UINT64_MAX);
			break;
		case OPS:
			options->operations = (unsigned long)number("ops", optarg, ULONG_MAX);
			break;
		case TIMEOUT:
			options->timeout_s = (unsigned int)number("timeout", optarg, 1000000);
			break;
		case JOBS:
			options->jobs = (unsigned int)number("jobs", optarg, 1024);
			break;
		case NO_FORK:
			options->isolate = false;
			break;
		case FAIL_FAST:
			options->fail_fast = true;
			break;
		case NO_RSS:
			options->rss = false;
			break;
		case 'h':
		case HELP:
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	if (optind < argc || (all && options->spec_count > 0))
		usage(stderr, 2);
	return all;
}

static void print_arguments(FILE *to, const struct ct_options *options, const char *spec, const char *case_name)
{
	fputs(" --driver ", to);
	ct_print_word(to, spec);
	fprintf(to, " --case %s --seed %" PRIu64 " --ops %lu%s", case_name, options->seed, options->operations,
		options->isolate ? "" : " --no-fork");
}

#define DRIVER_TYPE(type) type,

/*
 * Without faults, the filter fault only passes calls on, so that one driver behind it is enough; stacks.sh has more.
 * The thread sanitizer has memory for the cases of the drivers alone, because all cases run in one process then.
 */
static void choose_specs(struct ct_options *options, const char **specs)
{
	static const char *const chosen[] = { SHIPPED_DRIVERS(DRIVER_TYPE) "guard", "fault+zsmalloc" };
	size_t count = sizeof(chosen) / sizeof(chosen[0]);

	if (ct_thread_sanitized())
		count -= 2;
	for (size_t i = 0; i < count; i++)
		list_add(specs, &options->spec_count, chosen[i]);
}

int main(int argc, char **argv)
{
	const char *specs[LIST_MAX];
	const char *cases[LIST_MAX];
	struct ct_options options = {
		.groups = ct_groups,
		.report = &ct_report_tap,
		.program = argv[0],
		.arguments = print_arguments,
		.specs = specs,
		.cases = cases,
		.seed = random_seed(),
		.operations = ct_instrumented() ? 20000
			      : ct_verified()   ? 100000
						: 1000000,
		.timeout_s = ct_instrumented() || ct_verified() ? 600 : 60,
		.jobs = ct_processors(),
		.pass_output = getenv("ZPOOL_DEBUG") != NULL,
		.isolate = !ct_thread_sanitized(),
		.rss = !ct_instrumented(),
	};
	struct ct_totals totals;
	bool all;

#ifdef CONTRACT_PRELOAD
	/* In a build without shared libraries, the drivers are linked into the program. */
	LTDL_SET_PRELOADED_SYMBOLS();
#endif
	all = parse(argc, argv, &options, specs, cases);
	if (!all && options.spec_count == 0)
		choose_specs(&options, specs);
	ct_run(&options, &totals);
	if (totals.interrupted)
		raise(totals.interrupted);
	if (totals.drivers == 0)
		printf("# no driver was found; check ZPOOL_PLUGIN_PATH\n");
	printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
	return totals.failed > 0 || totals.drivers == 0;
}
