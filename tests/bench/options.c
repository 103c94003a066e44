/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zpool.h>

#include "peer.h"
#include "report.h"
#include "subject.h"

static const char common_help[] =
	"  --type SPEC     measure this driver, such as zsmalloc:compact=no; may be given more than once\n"
	"                  (default: every driver installed)\n"
	"  --no-peers      leave out glibc, jemalloc, mimalloc, tcmalloc and the kernel\n"
	"  --trace FILE    draw sizes from this file, one size a line; may be given more than once\n"
	"  --objects N     how many objects\n"
	"  --rounds N      how often each time is measured, of which the median is printed\n"
	"  --seed N        of all that is random\n"
	"  --json          print JSON\n";

static void add_subject(struct options *options, const char *prefix, const char *name)
{
	char text[256];

	if (options->subject_count == OPTIONS_SUBJECTS) {
		fprintf(stderr, "%s: more than %d to measure\n", options->program, OPTIONS_SUBJECTS);
		exit(2);
	}
	snprintf(text, sizeof(text), "%s%s", prefix, name);
	options->subjects[options->subject_count++] = strdup(text);
}

static int add_driver(const struct zpool_driver_info *info, void *user)
{
	struct options *options = user;

	add_subject(options, "", info->type);
	if (options->uncompacted && !strcmp(info->type, "zsmalloc"))
		add_subject(options, "", "zsmalloc:compact=no");
	return 0;
}

/* A filter is nothing alone. */
static int drop_filter(const struct zpool_driver_info *info, void *user)
{
	struct options *options = user;

	for (size_t i = 0; i < options->subject_count && info->caps & ZPOOL_CAP_FILTER; i++)
		if (!strcmp(options->subjects[i], info->type)) {
			free(options->subjects[i]);
			options->subjects[i--] = options->subjects[--options->subject_count];
		}
	return 0;
}

static void add_installed(struct options *options)
{
	zpool_each_driver(add_driver, options);
	/* What a driver can do is known once it is loaded. */
	for (size_t i = 0; i < options->subject_count; i++)
		(void)zpool_has_pool(options->subjects[i]);
	zpool_each_driver(drop_filter, options);
}

static void add_defaults(struct options *options)
{
	if (!options->subject_count)
		add_installed(options);
	if (!options->subject_count) {
		fprintf(stderr, "%s: no driver is installed; ZPOOL_PLUGIN_PATH names where they are\n",
			options->program);
		exit(1);
	}
	for (size_t i = 0; i < subject_malloc_count && options->peers; i++) {
		if (peer_is_installed(options->argv, &subject_mallocs[i]))
			add_subject(options, SUBJECT_MALLOC, subject_mallocs[i].name);
		else
			options->missing[options->missing_count++] = subject_mallocs[i].name;
	}
}

static uint64_t number(const struct options *options, const char *text, uint64_t least, uint64_t most)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || value < least || value > most) {
		fprintf(stderr, "%s: \"%s\" is no number from %llu to %llu\n", options->program, text,
			(unsigned long long)least, (unsigned long long)most);
		exit(2);
	}
	return value;
}

static void add_trace(struct options *options, const char *path)
{
	if (options->trace_count == OPTIONS_TRACES) {
		fprintf(stderr, "%s: more than %d traces\n", options->program, OPTIONS_TRACES);
		exit(2);
	}
	draw_trace_read(&options->traces[options->trace_count++], path);
}

static void take(struct options *options, int key, const char *help)
{
	switch (key) {
	case 't':
		add_subject(options, "", optarg);
		break;
	case 'p':
		options->peers = false;
		break;
	case 'f':
		add_trace(options, optarg);
		break;
	case 'o':
		options->objects = (size_t)number(options, optarg, 100, 100000000);
		break;
	case 'r':
		options->rounds = (unsigned int)number(options, optarg, 1, 1000);
		break;
	case 's':
		options->seed = number(options, optarg, 0, UINT64_MAX);
		break;
	case 'j':
		options->as_json = true;
		break;
	case 'a':
		options->as = optarg;
		break;
	default:
		fprintf(key == 'h' ? stdout : stderr, "Usage: %s [OPTION...]\n%s\n%s", options->program, help,
			common_help);
		exit(key == 'h' ? 0 : 2);
	}
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

void options_parse(struct options *options, const struct options *defaults, int argc, char **argv, const char *help)
{
	static const struct option known[] = {
		{ "type", required_argument, NULL, 't' },   { "no-peers", no_argument, NULL, 'p' },
		{ "trace", required_argument, NULL, 'f' },  { "objects", required_argument, NULL, 'o' },
		{ "rounds", required_argument, NULL, 'r' }, { "seed", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },         { "as", required_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};

	static const char *const traces[] = { BENCH_TRACES "/py.lz4.sizes", BENCH_TRACES "/py.zstd.sizes" };

	*options = (struct options){
		.argv = argv,
		.program = base_name(argv[0]),
		.objects = defaults->objects,
		.rounds = defaults->rounds,
		.seed = defaults->seed,
		.peers = true,
		.uncompacted = defaults->uncompacted,
	};
	for (int key; (key = getopt_long(argc, argv, "h", known, NULL)) != -1;)
		take(options, key, help);
	if (optind < argc)
		take(options, '?', help);
	if (options->as_json && !report_has_json()) {
		fprintf(stderr, "%s: --json is not in a build without tools\n", options->program);
		exit(2);
	}
	if (!options->trace_count)
		for (unsigned int i = 0; i < defaults->default_traces; i++)
			add_trace(options, traces[i]);
	if (options->as)
		subject_prepare(options->as);
	else
		add_defaults(options);
}

bool options_is_malloc(const char *subject)
{
	return !strncmp(subject, SUBJECT_MALLOC, strlen(SUBJECT_MALLOC));
}

const char *options_label(const char *subject)
{
	return options_is_malloc(subject) ? subject + strlen(SUBJECT_MALLOC) : subject;
}
