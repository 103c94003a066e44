/* SPDX-License-Identifier: MIT
 *
 * cmd-check.c - zpoolctl check: run the conformance tests on any driver
 *
 * The test cases are linked into the tool. To load a driver from a file, the tool puts the file's directory in front of
 * the plugin path, so the library finds the driver as it finds every plugin.
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <zpool.h>

#include "../conformance/soak.h"
#include "check-report.h"
#include "drivers.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "spec.h"
#include "table.h"
#include "zpoolctl.h"

enum { SECONDS_MAX = 10000000, CASES_MAX = 256, GROUPS_MAX = 64, CASE_TEXT = 128, JOBS_MAX = 1024 };

/* Time that the soak test gets beyond the requested duration, for its last round and the checks at its end. */
#define SOAK_GRACE_SECONDS 300

struct check_options {
	struct ct_options suite;
	const char *subject; /* as written on the command line */
	const char *spec;
	const char *cases[CASES_MAX];
	struct ct_group groups[GROUPS_MAX];
	const char *junit;
	unsigned int stress_seconds;
	bool as_json;
	bool list;
	char path[PATH_MAX]; /* of the plugin file, "" if the subject is not a file */
	char type[64];
};

enum {
	KEY_CASE = 256,
	KEY_FAIL_FAST,
	KEY_JOBS,
	KEY_JUNIT,
	KEY_LIST,
	KEY_NO_FORK,
	KEY_OPS,
	KEY_SEED,
	KEY_STRESS,
	KEY_TIMEOUT
};

static const struct argp_option argp_options[] = {
	{ .name = "case",
	  .key = KEY_CASE,
	  .arg = "NAME",
	  .doc = "run only this test case; may be given more than once" },
	{ .name = "list", .key = KEY_LIST, .doc = "list the test cases without running any" },
	{ .name = "seed", .key = KEY_SEED, .arg = "N", .doc = "seed of all random choices" },
	{ .name = "ops",
	  .key = KEY_OPS,
	  .arg = "N",
	  .doc = "number of operations in the longest case (default 1000000)" },
	{ .name = "stress",
	  .key = KEY_STRESS,
	  .arg = "SECONDS",
	  .doc = "finish with a stress test that works on a pool with many threads for this long" },
	{ .name = "timeout",
	  .key = KEY_TIMEOUT,
	  .arg = "SECONDS",
	  .doc = "stop a case that makes no progress for this long (default 60)" },
	{ .name = "jobs",
	  .key = KEY_JOBS,
	  .arg = "N",
	  .doc = "run up to N cases at the same time (default: the number of processors)" },
	{ .name = "fail-fast", .key = KEY_FAIL_FAST, .doc = "stop at the first failure" },
	{ .name = "no-fork", .key = KEY_NO_FORK, .doc = "run the cases in this process, which helps with debuggers" },
	{ .name = "json", .key = 'j', .doc = "print JSON" },
	{ .name = "junit", .key = KEY_JUNIT, .arg = "FILE", .doc = "also write a JUnit report to FILE" },
	{ 0 },
};

static uint64_t number(struct argp_state *state, const char *name, const char *text, uint64_t least, uint64_t most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || value < least || value > most)
		usage_error(state, "--%s must be a number from %" PRIu64 " to %" PRIu64 ", not \"%s\"", name, least,
			    most, text);
	return value;
}

static void add_case(struct check_options *options, struct argp_state *state, const char *name)
{
	if (!ct_case_exists(ct_groups, name) && !ct_case_exists(ct_groups_file, name) &&
	    !ct_case_exists(ct_groups_soak, name))
		usage_error(state, "there is no test case \"%s\"; --list shows the names", name);
	if (options->suite.case_count == CASES_MAX)
		usage_error(state, "at most %d cases can be given", CASES_MAX);
	options->cases[options->suite.case_count++] = name;
}

static void check_sense(const struct check_options *options, struct argp_state *state)
{
	bool asked = false;

	if (!options->subject && !options->list)
		usage_error(state, "give the file or the name of a driver");
	if (options->subject && !options->path[0] && spec_is_limited(options->subject))
		usage_error(state, "the conformance tests set limits of their own: give \"%s\" without a limit",
			    options->subject);
	for (size_t i = 0; i < options->suite.case_count; i++)
		asked = asked || ct_case_exists(ct_groups_soak, options->cases[i]);
	if (asked && !options->stress_seconds)
		usage_error(state, "case \"soak\" needs --stress SECONDS");
	if (!asked && options->stress_seconds && options->suite.case_count)
		usage_error(state, "with --case, --stress also needs --case soak");
	for (size_t i = 0; i < options->suite.case_count; i++)
		if (options->subject && !options->path[0] && ct_case_exists(ct_groups_file, options->cases[i]))
			usage_error(state,
				    "case \"%s\" tests a plugin file: give the file instead of the driver's name",
				    options->cases[i]);
}

/* Distinguishes a path from a spec: a path has a slash before the first ':' or '+', or it ends in ".so". */
static bool is_file(const char *subject)
{
	size_t name = strcspn(subject, ":+"), length = strlen(subject);

	if (memchr(subject, '/', name))
		return true;
	return length > 3 && !strcmp(subject + length - 3, ".so") && (name == length || !access(subject, F_OK));
}

/* Derives the path and the driver type from the file's name. */
static void take_file(struct check_options *options, struct argp_state *state, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *name = slash ? slash + 1 : file;
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
	char directory[PATH_MAX], resolved[PATH_MAX];

	if (strcmp(name + length, ".so") != 0 || length == 0 || length > 32 || *name < 'a')
		usage_error(
			state,
			"\"%s\" cannot be a plugin file: its name must match [a-z][a-z0-9_]*.so, with at most 32 characters before the suffix",
			file);
	snprintf(options->type, sizeof(options->type), "%.*s", (int)length, name);
	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
	if (access(file, F_OK) || !realpath(directory, resolved)) {
		warn("%s: %s", file, strerror(errno));
		exit(STATUS_FAILED);
	}
	/* The part before the colon could be a directory with another plugin of this name. */
	if (strchr(resolved, ':'))
		usage_error(
			state,
			"\"%s\" cannot be searched for plugins: its name has a colon, which ends a directory of a plugin path",
			resolved);
	if (snprintf(options->path, sizeof(options->path), "%s/%s", strcmp(resolved, "/") ? resolved : "", name) >=
	    (int)sizeof(options->path))
		usage_error(state, "the path of \"%s\" is too long", file);
	options->spec = options->type;
	options->suite.file = options->path;
	options->suite.file_type = options->type;
}

static void take_subject(struct check_options *options, struct argp_state *state, const char *subject)
{
	if (options->subject)
		usage_error(state, "give one driver at a time, not \"%s\" and \"%s\"", options->subject, subject);
	if (!*subject)
		usage_error(state, "a driver's name must not be empty");
	options->subject = subject;
	options->spec = subject;
	if (is_file(subject))
		take_file(options, state, subject);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct check_options *options = state->input;

	switch (key) {
	case KEY_CASE:
		add_case(options, state, arg);
		return 0;
	case KEY_LIST:
		options->list = true;
		return 0;
	case KEY_SEED:
		options->suite.seed = number(state, "seed", arg, 0, INT64_MAX);
		return 0;
	case KEY_OPS:
		options->suite.operations = (unsigned long)number(state, "ops", arg, 1, ULONG_MAX);
		return 0;
	case KEY_STRESS:
		options->stress_seconds = (unsigned int)number(state, "stress", arg, 1, SECONDS_MAX);
		return 0;
	case KEY_TIMEOUT:
		options->suite.timeout_s = (unsigned int)number(state, "timeout", arg, 1, SECONDS_MAX);
		return 0;
	case KEY_JOBS:
		options->suite.jobs = (unsigned int)number(state, "jobs", arg, 1, JOBS_MAX);
		return 0;
	case KEY_FAIL_FAST:
		options->suite.fail_fast = true;
		return 0;
	case KEY_NO_FORK:
		options->suite.isolate = false;
		return 0;
	case 'j':
		options->as_json = true;
		return 0;
	case KEY_JUNIT:
		options->junit = arg;
		return 0;
	case ARGP_KEY_ARG:
		take_subject(options, state, arg);
		return 0;
	case ARGP_KEY_END:
		check_sense(options, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct ct_group *const all_groups[] = { ct_groups_file, ct_groups, ct_groups_soak };
#define ALL_GROUPS (sizeof(all_groups) / sizeof(all_groups[0]))

static void print_group(const struct ct_group *group)
{
	static const struct table_column columns[] = { { .columns_min = 42 }, { .wrapped = true } };
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	puts(group->subject);
	for (const struct ct_case *c = group->cases; c->name; c++) {
		char name[CASE_TEXT];

		snprintf(name, sizeof(name), "  %s", c->name);
		table_add(table, (const char *const[]){ name, c->promise });
	}
	table_print(table);
}

static json_t *group_json(const struct ct_group *group)
{
	json_t *cases = json_array();

	for (const struct ct_case *c = group->cases; c->name; c++)
		json_array_append_new(
			cases, json_pack("{s:o, s:o}", "case", json_text(c->name), "promise", json_text(c->promise)));
	return json_pack("{s:o, s:o}", "subject", json_text(group->subject), "cases", cases);
}

static void list_cases(bool as_json)
{
	json_t *subjects = as_json ? json_array() : NULL;

	for (size_t i = 0; i < ALL_GROUPS; i++)
		for (const struct ct_group *group = all_groups[i]; group->subject; group++)
			if (as_json)
				json_array_append_new(subjects, group_json(group));
			else
				print_group(group);
	if (as_json)
		json_print(json_pack("{s:s, s:o}", "version", zpool_version(), "subjects", subjects));
}

/* The groups of the conformance suite, followed by the soak test if --stress was given. */
static void gather(struct check_options *options)
{
	size_t count = 0;

	for (const struct ct_group *group = ct_groups; group->subject && count < GROUPS_MAX - 2; group++)
		options->groups[count++] = *group;
	if (options->stress_seconds) {
		options->groups[count++] = *ct_groups_soak;
		ct_soak_seconds = options->stress_seconds;
		options->suite.slow_timeout_s = options->stress_seconds + SOAK_GRACE_SECONDS;
	}
	options->groups[count] = (struct ct_group){ NULL, NULL };
	options->suite.groups = options->groups;
}

/* Removes the directory from a plugin path. */
static void remove_from_path(char *path, const char *directory)
{
	size_t bytes = strlen(directory);

	for (char *entry = path, *next; *entry; entry = next) {
		next = entry + strcspn(entry, ":");
		next += *next == ':';
		if (strncmp(entry, directory, bytes) || (entry[bytes] && entry[bytes] != ':'))
			continue;
		memmove(entry, next, strlen(next) + 1);
		next = entry;
	}
	if (*path && path[strlen(path) - 1] == ':')
		path[strlen(path) - 1] = '\0';
}

/*
 * Puts the file's directory in front of the plugin path, and keeps the other directories: the file may be a filter,
 * which needs drivers. The environment variable is set as well, because the commands that the report prints repeat it.
 * The library has accepted the other directories, and take_file() this one, so nothing but memory can be missing.
 */
static void look_there(const char *file)
{
	char *others = drivers_path();
	size_t length = (size_t)(strrchr(file, '/') - file);
	char *path = NULL, *directory = strndup(file, length ? length : 1);

	if (!directory)
		out_of_memory();
	remove_from_path(others, directory);
	if (asprintf(&path, "%s%s%s", directory, *others ? ":" : "", others) < 0)
		out_of_memory();
	if (zpool_set_plugin_path(path) || setenv("ZPOOL_PLUGIN_PATH", path, 1))
		out_of_memory();
	free(others);
	free(directory);
	free(path);
}

static uint64_t random_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint32_t)time(NULL);
	return seed;
}

/* The arguments must name the file again, because the spec alone would not lead to it. */
static void print_arguments(FILE *to, const struct ct_options *suite, const char *spec, const char *case_name)
{
	const char *subject = suite->file && !strcmp(spec, suite->file_type) ? suite->file : spec;

	fputs(" check ", to);
	ct_print_word(to, subject);
	fprintf(to, " --case %s --seed %" PRIu64 " --ops %lu", case_name, suite->seed, suite->operations);
	if (ct_case_exists(ct_groups_soak, case_name))
		fprintf(to, " --stress %u", ct_soak_seconds);
	if (!suite->isolate)
		fputs(" --no-fork", to);
}

static int run(struct check_options *options)
{
	struct ct_totals totals;

	if (options->path[0])
		look_there(options->path);
	if (!check_report_start(options->as_json, options->junit))
		return STATUS_FAILED;
	gather(options);
	/* The suite ends its own processes when it is interrupted, and still reports the finished cases. */
	interrupt_default();
	ct_run(&options->suite, &totals);
	if (totals.interrupted) {
		warn("interrupted: the report covers the %u cases that had finished",
		     totals.passed + totals.failed + totals.skipped);
		check_report_finish();
		fflush(NULL);
		raise(totals.interrupted);
	}
	if (!totals.passed && !totals.failed)
		warn("no test was run: every case was skipped, or the filter has no driver to run on");
	return check_report_finish() && !totals.failed && totals.passed ? STATUS_OK : STATUS_FAILED;
}

int cmd_check(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "FILE.so|TYPE",
		.doc = "Run the conformance tests on a driver: check each promise of zpool.h, every case in a process of its own.",
	};
	static const char *const debuggers[] = { "gdb --args", "valgrind", NULL };
	static struct check_options options;

	options.suite = (struct ct_options){
		.report = &check_report,
		.program = program_invocation_name,
		.arguments = print_arguments,
		.debuggers = debuggers,
		.specs = &options.spec,
		.spec_count = 1,
		.cases = options.cases,
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
	if (parse_arguments(&argp, argc, argv, 0, &options))
		return STATUS_USAGE;
	if (options.list) {
		list_cases(options.as_json);
		return STATUS_OK;
	}
	return run(&options);
}
