/* SPDX-License-Identifier: MIT
 *
 * main.c - the command line of the soak, and the main process, which reads the samples of its children
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugins/shipped.h"
#include "soak.h"

/* A run is ended if no subject finishes a step for so long. */
enum { PATIENCE_MS = 600000, CYCLE_SECONDS_DEFAULT = 60, RATE_DEFAULT = 20000, QUICK_OPERATIONS = 100 };

struct soak soak;

static const char *subject_name = "soak";
static uint64_t seconds, cycle_seconds = CYCLE_SECONDS_DEFAULT, rate = RATE_DEFAULT, live_kib;
static const char *csv_path;

_Noreturn void soak_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "soak --seed %" PRIu64 ": %s: ", soak.seed, subject_name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* ---- options ---- */

_Noreturn static void usage(FILE *to, int status)
{
	fputs("Usage: soak [--seconds N] [--cycle N] [--rate N] [--live KIB] [--seed N] [--csv FILE] [SUBJECT...]\n"
	      "Repeat bursts, replacements and drains on each subject, with sizes that shift, and threads and pools that\n"
	      "come and go, check every byte, and report whether the memory of the process drifts.  A subject is the spec\n"
	      "of a pool, or store or store-file, which may be followed by a colon and the spec of its pool.  By default,\n"
	      "the subjects are all drivers, two stacks and both kinds of store.\n"
	      "  --seconds N  the length of the run, at least 20; without it, one quick cycle and no verdict\n"
	      "  --cycle N    the longest time in seconds that a cycle may take (default 60)\n"
	      "  --rate N     operations per second on each pool (default 20000); stores make an eighth of it\n"
	      "  --live KIB   the bytes of all objects after a burst (default 16384, of the quick cycle 1024)\n"
	      "  --csv FILE   write a line for each subject and cycle\n",
	      to);
	exit(status);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least || value > most) {
		fprintf(stderr, "soak: \"%s\" is not a number from %" PRIu64 " to %" PRIu64 "\n", text, least, most);
		exit(2);
	}
	return value;
}

/* Returns the spec of a store's pool, or NULL if the subject is not this kind of store. */
static const char *store_spec(const char *name, const char *kind)
{
	size_t length = strlen(kind);

	if (strncmp(name, kind, length) || (name[length] && name[length] != ':'))
		return NULL;
	return name[length] ? name + length + 1 : "zsmalloc";
}

static void add_subject(const char *name)
{
	struct subject *subject = &soak.subjects[soak.subject_count++];

	if (soak.subject_count > SUBJECTS_MAX) {
		fprintf(stderr, "soak: there are more than %d subjects\n", SUBJECTS_MAX);
		exit(2);
	}
	*subject = (struct subject){ name, name, &pool_workload };
#ifdef SOAK_STORE
	if (store_spec(name, "store"))
		*subject = (struct subject){ name, store_spec(name, "store"), &store_workload };
	if (store_spec(name, "store-file"))
		*subject = (struct subject){ name, store_spec(name, "store-file"), &cache_workload };
#endif
}

static void add_all_subjects(void)
{
#define DRIVER(type) type,
	static const char *const drivers[] = { SHIPPED_DRIVERS(DRIVER) };

	for (unsigned int i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
		add_subject(drivers[i]);
	add_subject("guard+zsmalloc");
	add_subject("fault:malloc_share=20+zbud");
#ifdef SOAK_STORE
	add_subject("store");
	add_subject("store-file");
#endif
}

static void take(int option)
{
	switch (option) {
	case 's':
		seconds = number(optarg, 20, 100000000);
		break;
	case 'y':
		cycle_seconds = number(optarg, 1, 3600);
		break;
	case 'o':
		rate = number(optarg, 100, 100000000);
		break;
	case 'l':
		live_kib = number(optarg, 64, 64 << 20);
		break;
	case 'r':
		soak.seed = number(optarg, 0, UINT64_MAX);
		break;
	case 'c':
		csv_path = optarg;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		usage(stderr, 2);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "seconds", required_argument, NULL, 's' }, { "cycle", required_argument, NULL, 'y' },
		{ "rate", required_argument, NULL, 'o' },    { "live", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 'r' },    { "csv", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
	};

	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;)
		take(option);
	for (; optind < argc; optind++)
		add_subject(argv[optind]);
	if (!soak.subject_count)
		add_all_subjects();
	if (!live_kib)
		live_kib = seconds ? 16384 : 1024;
	soak.live_bytes = live_kib << 10;
}

/* All quarters have the same number of cycles, and each step of a run has the same number of operations. */
static void plan(void)
{
	double step_s;

	soak.cycles = 1;
	soak.operations = QUICK_OPERATIONS;
	if (!seconds)
		return;
	soak.cycles = QUARTERS * (unsigned int)((seconds + QUARTERS * cycle_seconds - 1) / (QUARTERS * cycle_seconds));
	step_s = (double)seconds / soak.cycles / steps_per_cycle();
	soak.step_s = step_s;
	soak.operations = (uint64_t)((double)rate * step_s / WORKERS) + 1;
}

/* ---- children ---- */

static pid_t children[SUBJECTS_MAX];

static void start_subject(unsigned int number, int samples)
{
	pid_t child;

	(void)fflush(NULL);
	child = fork();
	soak_check(child >= 0, "fork: %s", strerror(errno));
	if (child) {
		children[number] = child;
		return;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	subject_name = soak.subjects[number].name;
	subject_run(number, samples);
	exit(0);
}

/* Reads samples until all children have ended.  Returns false if they made no progress. */
static bool read_samples(int samples)
{
	struct pollfd poll_fd = { .fd = samples, .events = POLLIN };
	struct sample sample;

	for (;;) {
		if (poll(&poll_fd, 1, PATIENCE_MS) == 0)
			return false;
		if (read(samples, &sample, sizeof(sample)) != (ssize_t)sizeof(sample))
			return true;
		report_sample(&sample);
	}
}

static bool wait_for_children(bool stuck)
{
	bool good = true;

	for (unsigned int i = 0; i < soak.subject_count; i++) {
		int status = 0;

		if (stuck)
			(void)kill(children[i], SIGABRT);
		(void)waitpid(children[i], &status, 0);
		if (status)
			printf("FAIL: %s %s %d\n", soak.subjects[i].name,
			       WIFSIGNALED(status) ? "was ended by signal" : "ended with status",
			       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		good = good && !status;
	}
	return good;
}

static bool run(void)
{
	bool stuck;
	int ends[2];

	soak_check(pipe(ends) == 0, "pipe: %s", strerror(errno));
	for (unsigned int i = 0; i < soak.subject_count; i++)
		start_subject(i, ends[1]);
	close(ends[1]);
	stuck = !read_samples(ends[0]);
	close(ends[0]);
	if (stuck)
		printf("FAIL: no subject finished a step within %d s\n", PATIENCE_MS / 1000);
	return wait_for_children(stuck);
}

int main(int argc, char **argv)
{
	FILE *csv = NULL;
	bool good;

	soak.seed = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
	parse(argc, argv);
	plan();
	if (csv_path && !(csv = fopen(csv_path, "we"))) {
		fprintf(stderr, "soak: %s: %s\n", csv_path, strerror(errno));
		return 2;
	}
	printf("# soak --seed %" PRIu64 " --seconds %" PRIu64 " --cycle %" PRIu64 " --rate %" PRIu64 " --live %" PRIu64
	       ": %u subjects, %u cycles of %u steps\n",
	       soak.seed, seconds, cycle_seconds, rate, live_kib, soak.subject_count, soak.cycles, steps_per_cycle());
	report_begin(csv);
	good = run();
	if (good && seconds)
		good = report_verdict();
	if (csv && fclose(csv)) {
		fprintf(stderr, "soak: %s: %s\n", csv_path, strerror(errno));
		good = false;
	}
	return good ? 0 : 1;
}
