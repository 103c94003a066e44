/* SPDX-License-Identifier: MIT
 *
 * plan.c - which allocators zpoolctl bench measures, and on which objects
 *
 * Each allocator is tried in a process before anything is measured, so a wrong name or parameter is reported at once.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../drivers.h"
#include "../message.h"
#include "../probe.h"
#include "../rss.h"
#include "../size.h"
#include "../zpoolctl.h"
#include "allocator.h"
#include "bench.h"
#include "launch.h"
#include "zram.h"

enum { TRY_SECONDS = 30, OBJECTS_MIN = 10000, OBJECTS_NAMED = 100000 };

static struct bench_row *add_row(struct bench *bench, enum bench_kind kind, const char *label, bool named)
{
	struct bench_row *row;

	bench->rows = reallocarray(bench->rows, bench->row_count + 1, sizeof(*bench->rows));
	if (!bench->rows)
		out_of_memory();
	row = &bench->rows[bench->row_count++];
	*row = (struct bench_row){ .kind = kind, .label = strdup(label), .spec = "", .named = named };
	if (!row->label)
		out_of_memory();
	return row;
}

static void set_note(struct bench_row *row, const char *note)
{
	row->failed = true;
	row->note = strdup(note);
	if (!row->note)
		out_of_memory();
}

/* Returns 0, or STATUS_FAILED after a message. */
static int plan_driver(struct bench *bench, const char *spec, bool named)
{
	const struct probe_question question = { .spec = spec };
	struct bench_row *row;
	struct probe probe;

	if (probe_driver(&question, TRY_SECONDS, &probe))
		return STATUS_FAILED;
	if (probe.answered && probe.filter && !named)
		return 0;
	if (probe.answered && probe.filter) {
		warn("%s: a filter needs a driver below it: write --type %s+DRIVER", spec, spec);
		return STATUS_FAILED;
	}
	if (probe.answered && probe.error && named) {
		drivers_complain(spec, probe.error, probe.message);
		return STATUS_FAILED;
	}
	row = add_row(bench, BENCH_DRIVER, spec, named);
	row->spec = row->label;
	if (!probe.answered || probe.error) {
		warn("%s: %s", spec, probe.message);
		set_note(row, probe.message);
	}
	return 0;
}

static int plan_drivers(struct bench *bench)
{
	char **types;
	int status = 0;

	for (size_t i = 0; i < bench->options.spec_count && !status; i++)
		status = plan_driver(bench, bench->options.specs[i], true);
	if (bench->options.spec_count)
		return status;
	types = drivers_usable();
	for (size_t i = 0; types[i] && !status; i++)
		status = plan_driver(bench, types[i], false);
	drivers_free(types);
	if (!status && !bench->row_count) {
		char *path = drivers_path();

		warn("no driver found in %s; set ZPOOL_PLUGIN_PATH to search other directories", path);
		free(path);
		status = STATUS_FAILED;
	}
	return status;
}

/* ---- Mallocs ---- */

static void on_version(void *user, const struct bench_message *message)
{
	struct bench_row *row = user;

	if (message->kind == MESSAGE_READY)
		snprintf(row->version, sizeof(row->version), "%.63s", message->text);
	row->failed = row->failed && message->kind != MESSAGE_READY;
}

/* Returns true if a process has the malloc when this library is preloaded, or none if it is NULL. */
static bool try_malloc(struct bench_row *row, const char *library)
{
	const struct bench_job job = { .magic = BENCH_JOB_MAGIC, .malloc_number = row->malloc_number };
	const struct launch try = { .job = &job,
				    .preload = library,
				    .timeout_seconds = TRY_SECONDS,
				    .quiet = true,
				    .on_message = on_version,
				    .user = row };
	struct child_end end;

	row->failed = true;
	row->preload = library;
	return !launch(&try, &end) && !row->failed;
}

/* Returns 0, or STATUS_FAILED after a message. */
static int plan_malloc(struct bench *bench, unsigned int number)
{
	const struct malloc_kind *kind = &malloc_kinds[number];
	struct bench_row *row = add_row(bench, BENCH_MALLOC, kind->name, bench->options.peers_named);
	char note[128];

	row->malloc_number = number;
	if (!kind->libraries[0] && try_malloc(row, NULL))
		return 0;
	for (unsigned int i = 0; kind->libraries[i]; i++)
		if (try_malloc(row, kind->libraries[i]))
			return 0;
	if (kind->package)
		snprintf(note, sizeof(note), "%s cannot be preloaded (Debian: %s)", kind->libraries[0], kind->package);
	else
		snprintf(note, sizeof(note), "another malloc is preloaded in its place");
	set_note(row, note);
	if (row->named)
		warn("%s: %s", row->label, note);
	return row->named ? STATUS_FAILED : 0;
}

static int plan_peers(struct bench *bench)
{
	int status = 0;

	for (unsigned int i = 0; i < malloc_count && !status; i++)
		if (bench->options.peers & UINT32_C(1) << i)
			status = plan_malloc(bench, i);
	/* zram has only these workloads. */
	if (!status && bench->options.peers & UINT32_C(1) << BENCH_PEER_ZRAM &&
	    bench->options.measures & (MEASURE_BIT(MEASURE_FILL) | MEASURE_BIT(MEASURE_DROP))) {
		struct bench_row *row = add_row(bench, BENCH_KERNEL, "zram", bench->options.peers_named);
		const char *problem = zram_problem(&bench->sizes);

		if (problem)
			set_note(row, problem);
		if (problem && row->named) {
			warn("zram: %s", problem);
			status = STATUS_FAILED;
		}
	}
	return status;
}

/* ---- Objects ---- */

/* Returns 0, or STATUS_FAILED after a message. */
static int plan_objects(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	uint64_t available = rss_available_bytes(), need;
	char available_text[SIZE_TEXT], need_text[SIZE_TEXT];
	size_t count;

	if (sizes_take(&bench->sizes, &options->source))
		return STATUS_FAILED;
	count = bench->sizes.count < OBJECTS_MIN ? OBJECTS_MIN : bench->sizes.count;
	if (bench->sizes.distribution)
		count = OBJECTS_NAMED;
	sizes_spread(&bench->sizes, options->objects ? options->objects : count, options->seed);
	/* The objects at the lowest density, two in a page, and the benchmark's own tables. */
	need = bench->sizes.sum + bench->sizes.count * UINT64_C(2200);
	if (available && need > available) {
		warn("%zu objects of these sizes may need %s of memory, and %s are available: give fewer --objects",
		     bench->sizes.count, size_format(need, need_text), size_format(available, available_text));
		return STATUS_FAILED;
	}
	return 0;
}

int bench_plan(struct bench *bench)
{
	int status = plan_drivers(bench);

	if (!status)
		status = plan_objects(bench);
	if (!status)
		status = plan_peers(bench);
	return status;
}

void bench_free(struct bench *bench)
{
	for (size_t r = 0; r < bench->row_count; r++) {
		struct bench_row *row = &bench->rows[r];

		for (unsigned int t = 0; t < BENCH_THREAD_COUNTS_MAX; t++)
			for (unsigned int m = 0; m < MEASURES; m++)
				free(row->figures[t][m].rounds);
		for (unsigned int m = 0; m < MEASURES; m++)
			free(row->notes[m]);
		free(row->timeline.at);
		free(row->note);
		free(row->label);
	}
	free(bench->rows);
	sizes_free(&bench->sizes);
	bench_options_free(&bench->options);
}
