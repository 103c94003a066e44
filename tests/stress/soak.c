/* SPDX-License-Identifier: MIT
 *
 * soak.c - many threads on one pool for as long as is asked for, every byte checked
 *
 * Workers store, check, rewrite, free and map objects that any of them may have made.  Beside them one thread shrinks,
 * and one walks, trims, compacts and changes the limit.  It is a case of the contract suite's kind, run by its runner.
 */
#include "../contract/crowd.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct {
	const char *program;
	unsigned int threads;
	unsigned int seconds;
	size_t objects;
} soak = { NULL, 4, 60, 4000 };

/* Set by the main thread when the time is over. */
static atomic_bool over;

static void work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 1; !atomic_load(&over) && !ct_stopping(); i++) {
		if (thread->index == 0 && i % 16 == 0 && ct_crowd_count(crowd) > soak.objects / 2)
			zpool_shrink(crowd->pool, 1 + (unsigned int)ct_rng_below(&thread->rng, 64), NULL);
		else if (thread->index == 1 && i % 1024 == 0)
			ct_crowd_walk(crowd);
		else if (thread->index == 1 && i % 128 == 0)
			ct_crowd_tend(crowd, &thread->rng);
		else
			ct_crowd_step(crowd, &thread->rng);
	}
}

static void report(struct ct_crowd *crowd, unsigned int seconds)
{
	printf("# %s: %u s, %lu operations, %u evicted of %u asked for, %zu objects in %llu KiB\n", ct.spec, seconds,
	       atomic_load(&crowd->done), atomic_load(&crowd->evicted), atomic_load(&crowd->asked),
	       ct_crowd_count(crowd), (unsigned long long)zpool_get_total_size(crowd->pool) / 1024);
	fflush(stdout);
}

static void contents_last_for_as_long_as_asked(void)
{
	struct timespec second = { 1, 0 };
	struct ct_crowd crowd;

	atomic_store(&over, false);
	ct_crowd_open(&crowd, soak.objects);
	ct_threads_start(soak.threads, work, &crowd);
	for (unsigned int s = 1; s <= soak.seconds && !ct_stopping(); s++) {
		nanosleep(&second, NULL);
		if (s % 10 == 0 || s == soak.seconds)
			report(&crowd, s);
	}
	atomic_store(&over, true);
	ct_threads_join();
	CT_MUST(zpool_set_limit(crowd.pool, 0));
	ct_crowd_close(&crowd);
}

static const struct ct_case soak_cases[] = {
	{ "soak", "Contents survive everything that threads do to a pool together.", contents_last_for_as_long_as_asked,
	  0 },
	{ NULL, NULL, NULL, 0 },
};

const struct ct_group ct_groups[] = { { "soak", soak_cases }, { NULL, NULL } };

static void print_command(const struct ct_options *options, const char *spec, const char *case_name)
{
	(void)case_name;
	printf("%s --driver '%s' --seed %" PRIu64 " --threads %u --seconds %u --objects %zu", soak.program, spec,
	       options->seed, soak.threads, soak.seconds, soak.objects);
}

_Noreturn static void usage(FILE *to, int status)
{
	fputs("Usage: soak [--driver SPEC] [--seconds N] [--threads N] [--objects N] [--seed N]\n"
	      "Work on a pool of each driver found (or of this one) with several threads, and check every byte.\n"
	      "60 seconds, 4 threads and up to 4000 objects if not told otherwise.\n",
	      to);
	exit(status);
}

static unsigned long long number(const char *text, unsigned long long least, unsigned long long most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least || value > most) {
		fprintf(stderr, "soak: \"%s\" is no number from %llu to %llu\n", text, least, most);
		exit(2);
	}
	return value;
}

static void parse(int argc, char **argv, struct ct_options *options, const char **spec)
{
	static const struct option known[] = {
		{ "driver", required_argument, NULL, 'd' },
		{ "seconds", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "objects", required_argument, NULL, 'o' },
		{ "seed", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};

	soak.program = argv[0];
	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
		switch (option) {
		case 'd':
			*spec = optarg;
			options->spec_count = 1;
			break;
		case 's':
			soak.seconds = (unsigned int)number(optarg, 1, 1000000);
			break;
		case 't':
			soak.threads = (unsigned int)number(optarg, 2, CT_THREADS_MAX);
			break;
		case 'o':
			soak.objects = (size_t)number(optarg, 10, 10000000);
			break;
		case 'r':
			options->seed = number(optarg, 0, UINT64_MAX);
			break;
		case 'h':
			usage(stdout, 0);
		default:
			usage(stderr, 2);
		}
	}
	if (optind < argc)
		usage(stderr, 2);
	options->timeout_s = soak.seconds + 300;
}

int main(int argc, char **argv)
{
	const char *spec = NULL;
	struct ct_options options = {
		.command = print_command,
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
