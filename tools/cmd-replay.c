/* SPDX-License-Identifier: MIT
 *
 * cmd-replay.c - zpoolctl replay
 */
#include <config.h>

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "message.h"
#include "replay.h"
#include "rss.h"
#include "shipped.h"
#include "size.h"
#include "spec.h"
#include "stats-report.h"
#include "zpoolctl.h"

#define TIMEOUT_SECONDS_DEFAULT 30
#define TIMEOUT_SECONDS_MAX 86400
#define KEY_TIMEOUT 0x100
#define KEY_STATS 0x101

static const struct argp_option argp_options[] = {
	{ .name = "type",
	  .key = 't',
	  .arg = "SPEC",
	  .doc = "replay on this driver, such as zbud or zsmalloc:limit=64M; may be given more than once (default: the recorded driver with its limit)" },
	{ .name = "timeout",
	  .key = KEY_TIMEOUT,
	  .arg = "SECONDS",
	  .doc = "stop a driver that makes no progress for this long (default: 30)" },
	{ .name = "stats",
	  .key = KEY_STATS,
	  .doc = "also print each driver's statistics, and its size classes with their fill levels" },
	{ .name = "json", .key = 'j', .doc = "print JSON" },
	{ 0 },
};

static void add_spec(struct store_options *options, char *spec)
{
	options->specs = reallocarray(options->specs, options->spec_count + 2, sizeof(*options->specs));
	if (!options->specs)
		out_of_memory();
	options->specs[options->spec_count++] = spec;
	options->specs[options->spec_count] = NULL;
}

static void parse_type(struct store_options *options, char *arg, struct argp_state *state)
{
	for (size_t i = 0; i < options->spec_count; i++)
		if (!strcmp(options->specs[i], arg))
			usage_error(state, "--type %s is given twice", arg);
	add_spec(options, arg);
}

static unsigned int parse_timeout(const char *arg, struct argp_state *state)
{
	char *end;
	unsigned long seconds;

	errno = 0;
	seconds = strtoul(arg, &end, 10);
	if (errno || *arg < '0' || *arg > '9' || *end || !seconds || seconds > TIMEOUT_SECONDS_MAX)
		usage_error(state, "--timeout must be a number of seconds from 1 to %d, not \"%s\"",
			    TIMEOUT_SECONDS_MAX, arg);
	return (unsigned int)seconds;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct replay *replay = state->input;
	struct store_options *options = &replay->store.options;

	switch (key) {
	case 't':
		parse_type(options, arg, state);
		return 0;
	case KEY_TIMEOUT:
		options->timeout_seconds = parse_timeout(arg, state);
		return 0;
	case KEY_STATS:
		options->stats = true;
		return 0;
	case 'j':
		options->as_json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (replay->path)
			usage_error(state, "give one trace at a time");
		replay->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!replay->path)
			usage_error(state, "nothing to replay: give a file that the trace filter wrote");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int read_trace(struct replay *replay)
{
	char text[TRACE_TEXT];

	if (trace_file_read(&replay->trace, replay->path, text)) {
		warn("%s: %s", replay->path, text);
		return STATUS_FAILED;
	}
	if (replay->trace.cut_off)
		warn("%s: the file is cut off after %zu bytes, because the recorded program did not destroy the pool or could not write any more; the calls up to that point are replayed",
		     replay->path, replay->trace.size);
	return 0;
}

/* The specs of libzpool's own drivers need only printable ASCII, and a terminal would act on some other bytes. */
static bool is_plain_text(const char *text)
{
	while (*text >= ' ' && *text <= '~')
		text++;
	return !*text;
}

/*
 * The recorded spec comes from an untrusted file, so it must not choose whose code runs or which files are written.
 * This function checks the driver names. store_plan() checks that no parameter names a file, because that requires the
 * drivers' parameter tables.
 */
static bool may_be_opened(const struct replay *replay)
{
	const char *recorded = replay->trace.spec;
	const char *foreign = NULL;
	struct spec spec;

	if (!is_plain_text(recorded) || !spec_parse(&spec, recorded)) {
		warn("%s: the recorded spec is not valid; give --type SPEC to choose the driver", replay->path);
		return false;
	}
	for (size_t i = 0; i < spec.part_count && !foreign; i++)
		if (!is_shipped(spec.parts[i].type))
			foreign = spec.parts[i].type;
	if (foreign)
		warn("%s: it was recorded with \"%s\", which is not one of libzpool's own drivers, and a trace file must not choose other code to run; give --type SPEC to choose the driver",
		     replay->path, foreign);
	spec_free(&spec);
	return !foreign;
}

/* Returns the recorded stack, with the recorded limit added if the spec has none. The caller frees it. */
static char *recorded_spec(const struct trace_file *trace)
{
	char *spec = trace->limit_bytes && !spec_is_limited(trace->spec)
			     ? spec_add_limit(trace->spec, trace->limit_bytes)
			     : strdup(trace->spec);

	if (!spec)
		out_of_memory();
	return spec;
}

/* Returns 0, or STATUS_FAILED after a message. */
static int choose_recorded(struct replay *replay, char **spec)
{
	if (!may_be_opened(replay))
		return STATUS_FAILED;
	*spec = recorded_spec(&replay->trace);
	add_spec(&replay->store.options, *spec);
	replay->store.options.foreign_specs = true;
	return 0;
}

static struct replay_result *new_result(void)
{
	void *result =
		mmap(NULL, sizeof(struct replay_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (result == MAP_FAILED)
		out_of_memory();
	return result;
}

static void set_failure(struct store_row *row, enum store_outcome outcome, int error, const char *message)
{
	row->outcome = outcome;
	row->result.error = error;
	snprintf(row->result.message, sizeof(row->result.message), "%.*s", (int)sizeof(row->result.message) - 1,
		 message);
	if (*row->result.message)
		warn("%s: %s", row->label, row->result.message);
}

static void judge(struct store_row *row, const struct trace_totals *totals, const struct replay_result *result)
{
	row->result.differing = result->differing;
	if (!result->error && totals->objects && !result->objects)
		set_failure(row, STORE_REFUSED, 0, "the driver accepted no object");
	else
		set_failure(row,
			    result->error       ? STORE_FAILED
			    : result->differing ? STORE_DIFFERS
						: STORE_IDENTICAL,
			    result->error, result->message);
}

/* A trace can require more memory than there is, and the system might then kill other programs. */
static bool fits(const struct trace_file *trace, struct store_row *row)
{
	const uint64_t needed = replay_needs_bytes(trace, row->spec), available = rss_available_bytes();
	char sizes[2][SIZE_TEXT], text[REASON_BYTES];

	if (!available || needed <= available)
		return true;
	snprintf(text, sizeof(text),
		 "the replay needs up to %s of memory at once, and %s is available; give a spec with a limit",
		 size_format(needed, sizes[0]), size_format(available, sizes[1]));
	set_failure(row, STORE_FAILED, -ENOMEM, text);
	return false;
}

/* Returns 0, or STATUS_FAILED after a message. */
static int try_drivers(struct replay *replay)
{
	struct store *store = &replay->store;

	replay->results = calloc(store->row_count + 1, sizeof(*replay->results));
	if (!replay->results)
		out_of_memory();
	for (size_t r = 0; r < store->row_count; r++) {
		struct store_row *row = &store->rows[r];

		if (!row->run || !fits(&replay->trace, row))
			continue;
		replay->results[r] = new_result();
		row->reported = &replay->results[r]->reported;
		if (replay_run(&replay->trace, row->spec, store->options.timeout_seconds, replay->results[r]))
			return STATUS_FAILED;
		judge(row, &replay->trace.totals, replay->results[r]);
	}
	return 0;
}

static int status_of(const struct store *store)
{
	for (size_t r = 0; r < store->row_count; r++)
		if (store->rows[r].outcome != STORE_IDENTICAL)
			return STATUS_FAILED;
	return STATUS_OK;
}

static void replay_free(struct replay *replay)
{
	for (size_t r = 0; r < replay->store.row_count; r++) {
		if (replay->results && replay->results[r])
			munmap(replay->results[r], sizeof(*replay->results[r]));
		free(replay->store.rows[r].label);
		free(replay->store.rows[r].spec);
	}
	free(replay->results);
	free(replay->store.rows);
	store_options_free(&replay->store.options);
	trace_file_free(&replay->trace);
}

int cmd_replay(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.args_doc = "FILE",
		.doc = "Repeat on other drivers the calls that the trace filter recorded in FILE, with contents that are compared, and print how each driver did.\vTo record, a program uses a spec such as trace:file=/tmp/run.trace+zsmalloc.  The exit status is 0 if every driver accepted objects and returned what was stored in them, even if the trace was cut off.",
	};
	struct replay replay = { .store.options.timeout_seconds = TIMEOUT_SECONDS_DEFAULT };
	char *spec = NULL;
	int status = parse_arguments(&argp, argc, argv, 0, &replay);

	if (!status && !stats_report_start())
		status = STATUS_FAILED;
	if (!status)
		status = read_trace(&replay);
	if (!status && !replay.store.options.spec_count)
		status = choose_recorded(&replay, &spec);
	if (!status)
		status = store_plan(&replay.store);
	if (!status)
		status = try_drivers(&replay);
	if (!status) {
		replay_report(&replay);
		status = stats_report_failed() ? STATUS_FAILED : status_of(&replay.store);
	}
	replay_free(&replay);
	free(spec);
	return status;
}
