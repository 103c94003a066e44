/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zpool.h>

#include "tests/starvation/runner.h"

enum { FAULTS_MAX = 60, FAULTS_OF_RUN_MAX = 3, SKIPPED = 77 };

const struct starve_control *starve;

/* One run: which call fails. */
struct run {
	unsigned int scenario;
	enum starve_kind kind;
	uint64_t nth;
	bool on;
};

/* The parent shares this with the child that runs a scenario, to know in which run the child crashed. */
static struct progress {
	struct run run;
	uint64_t runs;
	uint64_t faults;
} * progress;

static struct {
	const char *program;
	const struct scenario *scenarios;
	unsigned int count;
	bool all;
	bool exact; /* the options name a single run */
	struct run only;
	const char *name; /* only scenarios whose names begin with this */
	uint64_t samples;
	uint64_t random;
} plan;

/* ---- faults ---- */

static void print_run(void)
{
	const struct run *run = &progress->run;
	const struct scenario *scenario = &plan.scenarios[run->scenario];

	printf("FAULT: %s: %s %llu%s: ", scenario->name, starve->name(run->kind), (unsigned long long)run->nth,
	       run->on ? " and later" : "");
}

static void print_command(void)
{
	const struct run *run = &progress->run;

	printf("\n    repeat: %s --scenario '%s' --kind %s --nth %llu%s\n", plan.program,
	       plan.scenarios[run->scenario].name, starve->name(run->kind), (unsigned long long)run->nth,
	       run->on ? " --on" : "");
	(void)fflush(stdout);
}

/* The first runs fill caches of the C library and records of the driver, which are no leaks. */
static bool warming_up;
static unsigned int faults_of_run;

void fault(const char *format, ...)
{
	uint64_t failures = starve->failures();
	bool armed;
	va_list args;

	if (warming_up || faults_of_run++ >= FAULTS_OF_RUN_MAX)
		return;
	armed = starve->disarm();
	progress->faults++;
	print_run();
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	printf(" (after %llu failed calls)", (unsigned long long)failures);
	print_command();
	starve->resume(armed);
	if (progress->faults >= FAULTS_MAX) {
		printf("FAULT: more are not looked for\n");
		(void)fflush(stdout);
		_exit(1);
	}
}

static const char unchanged[] = "(the call set no message)";

void expect_message(void)
{
	/* The message is copied, so this call must not fail. */
	bool armed = starve->disarm();

	(void)zpool_set_error(EINVAL, "%s", unchanged);
	starve->resume(armed);
}

static void check_error(const char *call, int64_t result, const int *errors)
{
	const char *message = zpool_last_error();

	while (*errors && result != -*errors)
		errors++;
	if (!*errors)
		fault("%s returned the unexpected error %lld (%s): %s", call, (long long)result, strerror((int)-result),
		      message);
	if (!*message || strcmp(message, unchanged) == 0)
		fault("%s failed with %s and %s", call, strerror((int)-result),
		      *message ? "set no message" : "an empty message");
}

bool judge_call(const char *call, int64_t result, const int *errors)
{
	if (result >= 0)
		return true;
	if (!starve->failures())
		fault("%s failed although no call had: %lld, %s", call, (long long)result, zpool_last_error());
	check_error(call, result, errors);
	return false;
}

void judge_refusal(const char *call, int64_t result, const int *errors)
{
	if (result >= 0)
		fault("%s returned %lld and had to fail", call, (long long)result);
	else
		check_error(call, result, errors);
}

void require(const char *call, int64_t result)
{
	if (result < 0)
		fault("%s failed afterwards: %s: %s", call, strerror((int)-result), zpool_last_error());
}

/* ---- one run ---- */

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		(void)closedir(dir);
	return count;
}

static unsigned int blocks_left;

/*
 * The text of the last error belongs to the thread until it ends.  libltdl, at least up to 2.4.7, leaks a block if it
 * gets no memory while it opens a module.
 */
static bool may_be_left(const void *block, const Dl_info *allocator)
{
	return block == zpool_last_error() || strstr(allocator->dli_fname, "/libltdl.so");
}

static Dl_info allocator_of(const void *caller)
{
	Dl_info info = { 0 };

	if (!dladdr(caller, &info) || !info.dli_fname)
		info.dli_fname = "?";
	return info;
}

static void count_block(const void *block, size_t bytes, const void *caller)
{
	Dl_info info = allocator_of(caller);

	(void)bytes;
	blocks_left += !may_be_left(block, &info);
}

static void print_block(const void *block, size_t bytes, const void *caller)
{
	Dl_info info = allocator_of(caller);

	if (may_be_left(block, &info))
		return;
	printf("    left: %zu bytes at %p, from %s+%#lx\n", bytes, block, info.dli_fname,
	       (unsigned long)((const char *)caller - (const char *)info.dli_fbase));
}

static void check_leftovers(const struct scenario *scenario)
{
	struct starve_held held = starve->held();

	if (scenario->unloads && progress->run.kind == STARVE_MUNMAP)
		held.mapped_bytes = 0;

	blocks_left = 0;
	if (held.blocks)
		starve->each(count_block);
	if (blocks_left || held.mapped_bytes) {
		fault("%u blocks and mappings of %lld bytes are left", blocks_left, (long long)held.mapped_bytes);
		if (!warming_up)
			starve->each(print_block);
	}
}

/* Runs the scenario, and returns how many calls failed. */
static uint64_t run_once(const struct scenario *scenario, const struct run *run)
{
	unsigned int descriptors = open_descriptors();
	uint64_t failures;

	progress->run = *run;
	faults_of_run = 0;
	(void)alarm(600);
	starve->track();
	scenario->before(scenario);
	starve->arm(run->kind, run->nth, run->on);
	scenario->body(scenario);
	(void)starve->disarm();
	failures = starve->failures();
	scenario->after(scenario);
	check_leftovers(scenario);
	if (open_descriptors() != descriptors)
		fault("%u descriptors were open, and %u are now", descriptors, open_descriptors());
	progress->runs++;
	return failures;
}

/* ---- all runs of a scenario ---- */

static uint64_t draw(uint64_t bound)
{
	plan.random ^= plan.random >> 12;
	plan.random ^= plan.random << 25;
	plan.random ^= plan.random >> 27;
	return plan.random * UINT64_C(0x2545f4914f6cdd1d) % bound;
}

/* After a crash, the runs continue with the one after `from`. */
static void run_kind(unsigned int number, enum starve_kind kind, bool on, uint64_t from, uint64_t calls)
{
	const struct scenario *scenario = &plan.scenarios[number];
	struct run run = { number, kind, from, on };

	if (!calls)
		return;
	if (!plan.all) {
		for (uint64_t i = 0; i < plan.samples && i < calls; i++) {
			run.nth = calls <= plan.samples ? i + 1 : draw(calls) + 1;
			(void)run_once(scenario, &run);
		}
		return;
	}
	/* A run with a failure may make more calls than one without. */
	do
		run.nth++;
	while (run_once(scenario, &run));
}

/* Counts the calls of a run in which none fails. */
static void count_calls(unsigned int number, uint64_t *calls)
{
	struct run run = { number, STARVE_MALLOC, 0, false };

	warming_up = true;
	(void)run_once(&plan.scenarios[number], &run);
	(void)run_once(&plan.scenarios[number], &run);
	warming_up = false;
	(void)run_once(&plan.scenarios[number], &run);
	for (unsigned int kind = 0; kind < STARVE_KIND_COUNT; kind++)
		calls[kind] = starve->calls((enum starve_kind)kind);
}

static void print_calls(const struct scenario *scenario, const uint64_t *calls)
{
	printf("# %s:", scenario->name);
	for (unsigned int kind = 0; kind < STARVE_KIND_COUNT; kind++)
		if (calls[kind])
			printf(" %s %llu", starve->name((enum starve_kind)kind), (unsigned long long)calls[kind]);
	printf("\n");
	(void)fflush(stdout);
}

/* When a module is unloaded, GCC's runtime writes its counters, and crashes if it gets no memory for that. */
static bool is_left_out(const struct scenario *scenario, unsigned int kind)
{
#ifdef ZPOOL_COVERAGE
	return scenario->unloads && kind == STARVE_MALLOC;
#else
	(void)scenario;
	(void)kind;
	return false;
#endif
}

static void run_scenario(unsigned int number, const struct run *from)
{
	uint64_t calls[STARVE_KIND_COUNT];
	struct run start = *from;

	count_calls(number, calls);
	if (plan.exact) {
		plan.only.scenario = number;
		(void)run_once(&plan.scenarios[number], &plan.only);
		return;
	}
	if (!start.nth)
		print_calls(&plan.scenarios[number], calls);
	for (unsigned int kind = start.kind; kind < STARVE_KIND_COUNT; kind++) {
		/* Half of the sampled calls fail alone, and the others with all later calls. */
		bool skipped = draw(2);

		for (int on = start.on; on < 2; on++) {
			if ((!plan.all && on == skipped) || is_left_out(&plan.scenarios[number], kind))
				continue;
			run_kind(number, (enum starve_kind)kind, on, start.nth, calls[kind]);
			start.nth = 0;
		}
		start.on = false;
	}
}

/* Runs a scenario in a child.  After a crash, another child continues with the next run. */
static void run_in_children(unsigned int number)
{
	struct run from = { number, (enum starve_kind)0, 0, false };
	int status;
	pid_t pid;

	for (;;) {
		(void)fflush(stdout);
		pid = fork();
		if (pid == 0) {
			struct rlimit limit = { 0, 0 };

			(void)setrlimit(RLIMIT_CORE, &limit);
			run_scenario(number, &from);
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid) {
			printf("FAULT: cannot start a child: %s\n", strerror(errno));
			progress->faults++;
			return;
		}
		if (WIFEXITED(status))
			return;
		progress->faults++;
		print_run();
		printf("the process was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		print_command();
		if (plan.exact || !plan.all || progress->run.nth == 0 || progress->faults >= FAULTS_MAX)
			return;
		from = progress->run;
	}
}

/* ---- the program ---- */

static int usage(void)
{
	fprintf(stderr,
		"usage: %s [--all] [--samples N] [--seed N] [--scenario BEGIN_OF_NAME [--kind KIND --nth N [--on]]]\n",
		plan.program);
	return 2;
}

static bool take_kind(const char *name)
{
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
		if (strcmp(name, starve->name((enum starve_kind)i)) == 0) {
			plan.only.kind = (enum starve_kind)i;
			return true;
		}
	return false;
}

static bool take_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--all") == 0) {
			plan.all = true;
			continue;
		}
		if (strcmp(argv[i], "--on") == 0) {
			plan.only.on = true;
			continue;
		}
		if (!value)
			return false;
		i++;
		if (strcmp(argv[i - 1], "--samples") == 0)
			plan.samples = strtoull(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--seed") == 0)
			plan.random = strtoull(value, NULL, 0);
		else if (strcmp(argv[i - 1], "--scenario") == 0)
			plan.name = value;
		else if (strcmp(argv[i - 1], "--nth") == 0)
			plan.only.nth = strtoull(value, NULL, 10);
		else if (strcmp(argv[i - 1], "--kind") == 0 && take_kind(value))
			plan.exact = true;
		else
			return false;
	}
	return true;
}

/* Starts this program again with starve.so in front of all libraries. */
static int start_again(char **argv)
{
	const char *top = getenv("abs_top_builddir");
	char path[4096];

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	printf("skipped: the sanitizer has its own malloc()\n");
	return SKIPPED;
#endif
	if (getenv("ZPOOL_TEST_VALGRIND") || getenv("ZPOOL_TEST_NO_FORK") || getenv("LD_PRELOAD")) {
		printf("skipped: another library replaces malloc(), or fork() is not possible\n");
		return SKIPPED;
	}
	if (top && strpbrk(top, STARVE_PATH_ENDS)) {
		printf(STARVE_PATH_SKIPPED);
		return SKIPPED;
	}
	if (getenv("STARVE_STARTED") || !top) {
		printf("starve.so cannot be loaded\n");
		return 1;
	}
	(void)snprintf(path, sizeof(path), "%s/tests/starvation/.libs/starve.so", top);
	(void)setenv("LD_PRELOAD", path, 1);
	(void)setenv("STARVE_STARTED", "1", 1);
	/* Without this, malloc() would create an arena with its own mappings for every thread. */
	(void)setenv("MALLOC_ARENA_MAX", "1", 1);
	(void)execv("/proc/self/exe", argv);
	printf("skipped: /proc/self/exe: %s\n", strerror(errno));
	return SKIPPED;
}

static void choose_seed(void)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	plan.random = given ? strtoull(given, NULL, 0) : ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec);
	plan.random |= 1;
}

int starvation_main(int argc, char **argv, const struct scenario *scenarios, unsigned int count)
{
	unsigned int found = 0;

	starve = dlsym(RTLD_DEFAULT, "starve_control");
	if (!starve)
		return start_again(argv);
	(void)unsetenv("LD_PRELOAD");
	plan.program = argv[0];
	plan.scenarios = scenarios;
	plan.count = count;
	plan.samples = 1;
	choose_seed();
	if (!take_options(argc, argv))
		return usage();
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return 1;
	printf("# ZPOOL_TEST_SEED=%#llx\n", (unsigned long long)plan.random);
	for (unsigned int i = 0; i < count; i++)
		if (!plan.name || strncmp(scenarios[i].name, plan.name, strlen(plan.name)) == 0) {
			run_in_children(i);
			found++;
		}
	printf("%llu runs, %llu faults\n", (unsigned long long)progress->runs, (unsigned long long)progress->faults);
	return progress->faults || !found ? 1 : 0;
}
