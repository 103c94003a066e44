/* SPDX-License-Identifier: MIT
 *
 * main.c - the command line, and the main thread, which starts and joins the actors
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "races.h"

enum { TEND_NS = 2000000, REPORT_S = 10, WALL_FOR_CPU = 8 };

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { MAY_FORK = false, MAY_CANCEL = false };
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* The sanitizer's malloc() hangs in a child that was forked while another thread was inside it. */
enum { MAY_FORK = false, MAY_CANCEL = true };
#else
enum { MAY_FORK = true, MAY_CANCEL = true };
#endif

struct races races;

static struct actor main_actor = { .role = "main" };
static double seconds_max, cpu_seconds_max;

_Noreturn static void usage(FILE *to, int status)
{
	fputs("Usage: races [--seconds N | --cpu N] [--seed N] [--threads N] [--places N] [--objects N] [--spec SPEC]\n"
	      "             [--role ROLE] [--no-fork] [--no-cancel] [--no-yield]\n"
	      "Let N threads at a time make all calls on pools of all drivers and stacks, and check every byte.  Threads and\n"
	      "pools are replaced.  --seconds is elapsed time, --cpu processor time of all threads.  In a build with\n"
	      "--enable-debug-checks, threads yield at marked points.  Defaults: 4 s of processor time, 64 threads, 6 places\n"
	      "for a pool each, 256 objects in each.  The roles:",
	      to);
	for (unsigned int i = 0; i < role_count; i++)
		fprintf(to, " %s", roles[i].name);
	fputs(".\n", to);
	exit(status);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least || value > most) {
		fprintf(stderr, "races: \"%s\" is not a number from %" PRIu64 " to %" PRIu64 "\n", text, least, most);
		exit(2);
	}
	return value;
}

static void take(int option)
{
	switch (option) {
	case 's':
		seconds_max = (double)number(optarg, 1, 10000000);
		break;
	case 'c':
		cpu_seconds_max = (double)number(optarg, 1, 10000000);
		break;
	case 'r':
		races.seed = number(optarg, 0, UINT64_MAX);
		break;
	case 't':
		races.actor_count = (unsigned int)number(optarg, 1, ACTORS_MAX);
		break;
	case 'p':
		races.place_count = (unsigned int)number(optarg, 1, PLACES_MAX);
		break;
	case 'o':
		races.object_count = (unsigned int)number(optarg, 1, OBJECTS_MAX);
		break;
	case 'd':
		races.only_spec = optarg;
		break;
	case 'l':
		races.only_role = optarg;
		break;
	case 'f':
		races.may_fork = false;
		break;
	case 'n':
		races.may_cancel = false;
		break;
	case 'y':
		(void)setenv("ZPOOL_YIELD", "no", 1);
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
		{ "seconds", required_argument, NULL, 's' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 'r' },
		{ "threads", required_argument, NULL, 't' },
		{ "places", required_argument, NULL, 'p' },
		{ "objects", required_argument, NULL, 'o' },
		{ "spec", required_argument, NULL, 'd' },
		{ "role", required_argument, NULL, 'l' },
		{ "no-fork", no_argument, NULL, 'f' },
		{ "no-cancel", no_argument, NULL, 'n' },
		{ "no-yield", no_argument, NULL, 'y' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int i = 0;

	for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;)
		take(option);
	while (races.only_role && i < role_count && strcmp(roles[i].name, races.only_role) != 0)
		i++;
	if (optind < argc || (races.only_role && i == role_count))
		usage(stderr, 2);
}

static void report(const char *what, double elapsed_s)
{
	static const char *const names[TALLIES] = { "pools",     "threads",  "objects stored", "checks",
						    "evictions", "refusals", "cancellations",  "signals",
						    "forks",     "unloads" };

	printf("# %s: %.0f s, %.0f s of processor time", what, elapsed_s, process_cpu_seconds());
	for (int i = 0; i < TALLIES; i++)
		printf(", %" PRIu64 " %s", atomic_load(&races.tallies[i]), names[i]);
	printf("\n");
	(void)fflush(stdout);
}

static double now_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool is_over(double elapsed_s)
{
	if (seconds_max > 0)
		return elapsed_s >= seconds_max;
	return process_cpu_seconds() >= cpu_seconds_max || elapsed_s >= WALL_FOR_CPU * cpu_seconds_max;
}

static void run(void)
{
	const struct timespec pause = { .tv_nsec = TEND_NS };
	double start_s = now_seconds(), reported_s = 0, elapsed_s;

	watchdog_start();
	actors_start();
	while (!is_over(elapsed_s = now_seconds() - start_s)) {
		actors_update(&self->rng);
		watchdog_look();
		(void)nanosleep(&pause, NULL);
		if (elapsed_s - reported_s >= REPORT_S) {
			report("so far", elapsed_s);
			reported_s = elapsed_s;
		}
	}
	atomic_store(&races.stopping, true);
	while (!actors_are_gone()) {
		watchdog_look();
		(void)nanosleep(&pause, NULL);
	}
	places_fini();
	report("done", now_seconds() - start_s);
}

static void make_directory(void)
{
	const char *parent = getenv("TMPDIR");

	if (!parent || strlen(parent) > sizeof(races.directory) - 20)
		parent = "/tmp";
	(void)snprintf(races.directory, sizeof(races.directory), "%s/races.XXXXXX", parent);
	races_check(mkdtemp(races.directory), "%s: %s", races.directory, strerror(errno));
}

int main(int argc, char **argv)
{
	char text[32];

	self = &main_actor;
	races.seed = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
	races.place_count = 6;
	races.object_count = 256;
	races.actor_count = 64;
	races.may_fork = MAY_FORK && !getenv("ZPOOL_TEST_NO_FORK");
	races.may_cancel = MAY_CANCEL && !getenv("ZPOOL_TEST_NO_FORK");
	cpu_seconds_max = 4;
	parse(argc, argv);
	printf("# races: --seed %" PRIu64 " --threads %u --places %u --objects %u, on %u specs\n", races.seed,
	       races.actor_count, races.place_count, races.object_count, races.only_spec ? 1 : specs_count());
	(void)fflush(stdout);
	/* Only builds with --enable-debug-checks use these.  With a check after every call, few calls would race. */
	(void)snprintf(text, sizeof(text), "%" PRIu64, races.seed);
	(void)setenv("ZPOOL_YIELD", text, 0);
	(void)setenv("ZPOOL_VERIFY", "200", 0);
	self->rng.state = races.seed;
	make_directory();
	process_init();
	places_init();
	run();
	process_fini();
	races_check(rmdir(races.directory) == 0, "%s: %s", races.directory, strerror(errno));
	return 0;
}
