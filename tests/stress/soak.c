/* SPDX-License-Identifier: MIT
 *
 * soak.c - many threads on one pool for as long as is asked for, every byte checked
 *
 * Workers store, check, rewrite, free and map objects that any of them may have made.  Beside them one thread shrinks,
 * and one walks, trims, compacts and changes the limit.  It is a case of the contract suite's kind, run by its runner.
 *
 * With a range of threads the run is cut into stages, one for each number of workers, on the same pool.  After a stage
 * all but a quarter of the objects go and the pool is compacted: what it holds then, and what the process grew by,
 * beyond the objects' own bytes must not become more from stage to stage.  At the end, without any object, the pool
 * must be about as small as when it was new.
 */
#include "../bench/footprint.h"
#include "../contract/crowd.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
	const char *program;
	unsigned int threads_least, threads_most;
	unsigned int seconds;
	unsigned long long operations; /* 0: as many as the seconds allow */
	size_t objects;
	size_t largest;
} soak = { NULL, 4, 4, 60, 0, 4000, SIZE_MAX };

enum { SIDE_THREADS = 2, REPORT_SECONDS = 10, SECONDS_MAX = 10000000, MIB = 1 << 20 };

/* A stage: so many workers, until so many operations are done, or until the main thread says that it is over. */
static struct {
	unsigned int threads;
	unsigned long until;
	atomic_bool over;
} stage;

/* Bytes that nobody stored. */
struct overhead {
	uint64_t pool, process;
};

static bool working(void)
{
	return !atomic_load(&stage.over) && !ct_stopping();
}

static void shrink_now_and_then(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (unsigned int i = 1; working(); i++) {
		if (ct_crowd_count(crowd) > soak.objects / 2)
			zpool_shrink(crowd->pool, 1 + (unsigned int)ct_rng_below(rng, 64), NULL);
		if (i % 8 == 0)
			ct_nap();
	}
}

static void tend_now_and_then(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (unsigned int i = 1; working(); i++) {
		if (i % 64 == 0)
			ct_crowd_walk(crowd);
		else
			ct_crowd_tend(crowd, rng);
		ct_nap();
	}
}

static void work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	if (thread->index == stage.threads)
		shrink_now_and_then(crowd, &thread->rng);
	else if (thread->index > stage.threads)
		tend_now_and_then(crowd, &thread->rng);
	else
		while (working() && atomic_load(&crowd->done) < stage.until)
			ct_crowd_step(crowd, &thread->rng);
}

static unsigned int seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned int)(now.tv_sec - start->tv_sec - (now.tv_nsec < start->tv_nsec));
}

static void report(struct ct_crowd *crowd, unsigned int seconds)
{
	unsigned long done = atomic_load(&crowd->done);

	printf("# %s: %u threads, %u s, %lu operations", ct.spec, stage.threads, seconds, done);
	if (soak.operations)
		printf(" (%llu %%)", done * 100ull / soak.operations);
	printf(", %u evicted of %u asked for, %zu objects in %llu KiB\n", atomic_load(&crowd->evicted),
	       atomic_load(&crowd->asked), ct_crowd_count(crowd),
	       (unsigned long long)zpool_get_total_size(crowd->pool) / 1024);
	fflush(stdout);
}

/* Until so many seconds have gone by since the run began, or its operations are done. */
static void run_stage(struct ct_crowd *crowd, const struct timespec *start, unsigned int until_seconds)
{
	unsigned int reported = seconds_since(start) / REPORT_SECONDS, seconds;
	struct timespec tenth = { 0, 100000000 };

	atomic_store(&stage.over, false);
	ct_threads_start(stage.threads + SIDE_THREADS, work, crowd);
	while (working() && atomic_load(&crowd->done) < stage.until) {
		nanosleep(&tenth, NULL);
		seconds = seconds_since(start);
		if (seconds >= until_seconds)
			break;
		if (seconds / REPORT_SECONDS != reported)
			report(crowd, seconds);
		reported = seconds / REPORT_SECONDS;
	}
	atomic_store(&stage.over, true);
	ct_threads_join();
	CT_MUST(zpool_set_limit(crowd->pool, 0));
}

static uint64_t beyond(uint64_t whole, uint64_t part)
{
	return whole > part ? whole - part : 0;
}

/* Nobody else is at work. */
static struct overhead take_stock(struct ct_crowd *crowd, size_t objects, uint64_t process_before)
{
	struct overhead overhead;
	uint64_t stored = 0;
	int result;

	ct_set_check(crowd->pool, &crowd->set, "after a stage");
	ct_set_thin(crowd->pool, &crowd->set, objects, &ct.rng);
	for (size_t i = 0; i < crowd->set.count; i++)
		stored += crowd->set.at[i].size;
	result = zpool_compact(crowd->pool, 0, 0, NULL);
	CT_CHECK(result == 0 || result == -EOPNOTSUPP, "compacting the whole pool gave %s", ct_error_name(result));
	ct_trim(crowd->pool);
	overhead.pool = beyond(zpool_get_total_size(crowd->pool), stored);
	overhead.process = ct_instrumented() ? 0 : beyond(footprint_bytes(), process_before + stored);
	printf("# %s: %u threads are done, %lu operations; for %llu KiB in %zu objects the pool holds %llu KiB more, "
	       "the "
	       "process grew by %llu KiB more\n",
	       ct.spec, stage.threads, atomic_load(&crowd->done), (unsigned long long)stored / 1024, crowd->set.count,
	       (unsigned long long)overhead.pool / 1024, (unsigned long long)overhead.process / 1024);
	fflush(stdout);
	return overhead;
}

/* The objects left are others in each stage, and threads leave stacks and arenas behind. */
static void compare(const struct overhead *first, const struct overhead *now)
{
	uint64_t slack = first->pool / 4 + MIB / 2;

	CT_CHECK(now->pool <= first->pool + slack,
		 "the pool held %llu bytes more than its objects after the first stage, and now %llu",
		 (unsigned long long)first->pool, (unsigned long long)now->pool);
	slack = first->process / 2 + 2 * MIB;
	CT_CHECK(now->process <= first->process + slack,
		 "the process grew by %llu bytes more than its objects in the first stage, and by %llu until now",
		 (unsigned long long)first->process, (unsigned long long)now->process);
}

static void contents_last_for_as_long_as_asked(void)
{
	unsigned int count = soak.threads_most - soak.threads_least + 1;
	struct overhead first = { 0, 0 }, now;
	uint64_t process_before = 0, empty;
	struct ct_crowd crowd;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (soak.largest < ct.max_bytes)
		ct.max_bytes = soak.largest;
	ct_crowd_open(&crowd, soak.objects);
	empty = zpool_get_total_size(crowd.pool);
	if (!ct_instrumented())
		process_before = footprint_bytes();
	for (unsigned int i = 1; i <= count && !ct_stopping(); i++) {
		stage.threads = soak.threads_least + i - 1;
		stage.until = soak.operations ? (unsigned long)(soak.operations * i / count) : ULONG_MAX;
		run_stage(&crowd, &start, (unsigned int)((unsigned long long)soak.seconds * i / count));
		now = take_stock(&crowd, soak.objects / 4, process_before);
		if (i == 1)
			first = now;
		compare(&first, &now);
	}
	report(&crowd, seconds_since(&start));
	now = take_stock(&crowd, 0, process_before);
	CT_CHECK(now.pool <= empty + MIB, "without any object the pool holds %llu bytes, and %llu when it was new",
		 (unsigned long long)now.pool, (unsigned long long)empty);
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
	printf("%s --driver '%s' --seed %" PRIu64 " --threads %u..%u --objects %zu", soak.program, spec, options->seed,
	       soak.threads_least, soak.threads_most, soak.objects);
	if (soak.largest != SIZE_MAX)
		printf(" --largest %zu", soak.largest);
	if (soak.operations)
		printf(" --ops %llu", soak.operations);
	else
		printf(" --seconds %u", soak.seconds);
}

_Noreturn static void usage(FILE *to, int status)
{
	fputs("Usage: soak [--driver SPEC] [--seconds N | --ops N] [--threads N | --threads LEAST..MOST]\n"
	      "            [--objects N] [--largest BYTES] [--seed N]\n"
	      "Work on a pool of each driver found (or of this one) with several threads, and check every byte; one "
	      "more\n"
	      "thread shrinks, and one compacts, trims, walks and sets limits.  With LEAST..MOST an equal part of the "
	      "time\n"
	      "or the operations for each number of threads.  Numbers may end in K, M or G, for thousands and so on.\n"
	      "60 seconds, 4 threads and up to 4000 objects of any size if not told otherwise.\n",
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

/* Ends at *rest, which has to be the end of the text where rest is NULL. */
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
		fprintf(stderr, "soak: \"%s\" is no number from %llu to %llu\n", text, least, most);
		exit(2);
	}
	if (rest)
		*rest = after;
	return value;
}

/* The runner's threads are the workers, and the two beside them. */
static void parse_threads(const char *text)
{
	const unsigned int most = CT_THREADS_MAX - SIDE_THREADS;

	soak.threads_least = soak.threads_most = (unsigned int)number(text, &text, 1, most);
	if (*text == '\0')
		return;
	if (strncmp(text, "..", 2) != 0) {
		fprintf(stderr, "soak: \"%s\" does not go on a number of threads; LEAST..MOST does\n", text);
		exit(2);
	}
	soak.threads_most = (unsigned int)number(text + 2, NULL, soak.threads_least, most);
}

static void take(int option, struct ct_options *options, const char **spec)
{
	switch (option) {
	case 'd':
		*spec = optarg;
		options->spec_count = 1;
		break;
	case 's':
		soak.seconds = (unsigned int)number(optarg, NULL, 1, SECONDS_MAX);
		break;
	case 'n':
		soak.operations = number(optarg, NULL, 1, ULONG_MAX / CT_THREADS_MAX);
		soak.seconds = SECONDS_MAX;
		break;
	case 't':
		parse_threads(optarg);
		break;
	case 'o':
		soak.objects = (size_t)number(optarg, NULL, 10, 10000000);
		break;
	case 'l':
		soak.largest = (size_t)number(optarg, NULL, 16, 65536);
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

	soak.program = argv[0];
	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;)
		take(option, options, spec);
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
