/* SPDX-License-Identifier: MIT
 *
 * density.c - bytes of memory for each live byte: after storing, churn, freeing most, and giving back what is free
 *
 * Objects of sizes drawn from a trace are stored, replaced at random four times each, and a random three quarters of
 * them freed; then the subject may tidy up.  Memory is what the process grew by since just before the pool was made,
 * page tables included; what the program itself needs is there before that.  Each subject runs in a process of its own
 * and sees the same draw.  The highest footprint is looked for every 1,000 operations once 4 MiB are live.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "../contract/footprint.h"
#include "options.h"
#include "peer.h"
#include "report.h"
#include "subject.h"
#include "zram.h"

enum { REPLACES = 4, SAMPLE_OPERATIONS = 1000, PAGE_BYTES = 4096 };
#define SAMPLED_LIVE_BYTES ((uint64_t)4 << 20)

enum { FILL, CHURN, DROP, PURGE, PEAK, PER_PAGE, PURGE_MS, FIGURES };

static const struct report_column columns[FIGURES] = {
	[FILL] = { "fill", "fill", 3 },
	[CHURN] = { "churn", "churn", 3 },
	[DROP] = { "drop", "drop", 3 },
	[PURGE] = { "purged", "purged", 3 },
	[PEAK] = { "peak", "peak", 3 },
	[PER_PAGE] = { "objects_per_page", "objs/page", 2 },
	[PURGE_MS] = { "purge_ms", "purge ms", 1 },
};

/* What is to be reached, with 100,000 objects of a trace in this tree. */
enum { AIM_OBJECTS = 100000 };
static const struct {
	const char *spec, *trace;
	size_t figure;
	enum report_aim aim;
	double target;
} aims[] = {
	{ "zsmalloc", "py.lz4.sizes", FILL, REPORT_AT_MOST, 1.025 },
	{ "zsmalloc", "py.lz4.sizes", CHURN, REPORT_AT_MOST, 1.06 },
	{ "zsmalloc", "py.lz4.sizes", PURGE, REPORT_AT_MOST, 1.05 },
	{ "zsmalloc", "py.lz4.sizes", PEAK, REPORT_AT_MOST, 1.25 },
	{ "zsmalloc", "py.zstd.sizes", PEAK, REPORT_AT_MOST, 1.25 },
	{ "zsmalloc:compact=no", "py.lz4.sizes", FILL, REPORT_AT_MOST, 1.025 },
	{ "zsmalloc:compact=no", "py.lz4.sizes", PURGE, REPORT_AT_MOST, 1.05 },
	{ "zblock", "py.lz4.sizes", FILL, REPORT_AT_MOST, 1.07 },
	{ "zblock", "py.zstd.sizes", FILL, REPORT_AT_MOST, 1.10 },
	{ "z3fold", "py.lz4.sizes", PER_PAGE, REPORT_AT_LEAST, 2.5 },
	{ "z3fold", "py.zstd.sizes", PER_PAGE, REPORT_AT_LEAST, 2.8 },
};

/* Of the pairs that sizes allow, found by whoever sees one object at a time. */
#define PAIRS_SHARE 0.99

struct figures {
	double of[FIGURES]; /* 0: not known */
	uint64_t live_bytes;
	double pairs_per_page; /* objects a page if at most two share one, which sizes allow */
};

struct object {
	unsigned long id;
	uint32_t size;
	uint32_t content;
};

/* One subject's run. */
struct run {
	struct subject subject;
	const struct draw_trace *trace;
	struct draw_rng rng;
	struct object *objects;
	uint32_t *order;  /* in which they are dropped */
	uint32_t *filled; /* the sizes stored first */
	size_t count;
	uint64_t live_bytes, operations, base_bytes;
	struct figures figures;
};

static double footprint(const struct run *run)
{
	return (double)(footprint_bytes() - run->base_bytes) / (double)run->live_bytes;
}

static void count_operation(struct run *run)
{
	double now;

	if (++run->operations % SAMPLE_OPERATIONS || run->live_bytes < SAMPLED_LIVE_BYTES)
		return;
	now = footprint(run);
	if (now > run->figures.of[PEAK])
		run->figures.of[PEAK] = now;
}

static void store(struct run *run, struct object *object)
{
	object->size = draw_size(&run->rng, run->trace);
	object->content = (uint32_t)draw_next(&run->rng);
	object->id = subject_store(&run->subject, object->size, draw_bytes(object->content));
	run->live_bytes += object->size;
	count_operation(run);
}

static void drop(struct run *run, struct object *object)
{
	subject_free(&run->subject, object->id);
	run->live_bytes -= object->size;
	object->size = 0;
	count_operation(run);
}

/* Does every object hold what was put there? */
static void check_contents(const struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		const struct object *object = &run->objects[i];
		const void *bytes = object->size ? subject_map(&run->subject, object->id) : NULL;

		if (!object->size)
			continue;
		if (!bytes || memcmp(bytes, draw_bytes(object->content), object->size) != 0) {
			fprintf(stderr, "object %zu of %" PRIu32 " bytes is not what was stored\n", i, object->size);
			exit(1);
		}
		subject_unmap(&run->subject, object->id);
	}
}

static int compare_sizes(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/*
 * The best that two objects a page could do: the largest with the smallest, if both fit beside a header of 64 bytes in
 * units of 64 bytes.
 */
static double pair_best(struct run *run)
{
	const uint32_t room = PAGE_BYTES / 64 - 1;
	uint32_t *chunks = run->filled;
	size_t low = 0, high = run->count, pages = 0;

	for (size_t i = 0; i < run->count; i++)
		chunks[i] = (chunks[i] + 63) / 64;
	qsort(chunks, run->count, sizeof(*chunks), compare_sizes);
	for (; low < high; pages++)
		if (--high > low && chunks[low] + chunks[high] <= room)
			low++;
	return (double)run->count / (double)pages;
}

static void note_pages(struct run *run)
{
	struct zpool_stats stats;
	double pages = (double)(footprint_bytes() - run->base_bytes) / PAGE_BYTES;

	if (run->subject.pool && zpool_get_stats(run->subject.pool, &stats, sizeof(stats)) == 0 && stats.pages)
		pages = (double)stats.pages;
	run->figures.of[PER_PAGE] = (double)run->count / pages;
}

static void purge(struct run *run)
{
	double start = bench_now_ns();

	subject_purge(&run->subject);
	run->figures.of[PURGE_MS] = (bench_now_ns() - start) / 1e6;
	run->figures.of[PURGE] = footprint(run);
}

static void measure(struct run *run, const char *name)
{
	(void)draw_bytes(0);
	footprint_settle();
	(void)footprint_bytes();
	run->base_bytes = footprint_bytes();

	subject_open(&run->subject, name);
	for (size_t i = 0; i < run->count; i++) {
		store(run, &run->objects[i]);
		run->filled[i] = run->objects[i].size;
	}
	run->figures.of[FILL] = footprint(run);
	run->figures.live_bytes = run->live_bytes;
	note_pages(run);
	for (size_t i = 0; i < REPLACES * run->count; i++) {
		struct object *object = &run->objects[draw_below(&run->rng, run->count)];

		drop(run, object);
		store(run, object);
	}
	run->figures.of[CHURN] = footprint(run);
	for (size_t i = 0; i < run->count * 3 / 4; i++)
		drop(run, &run->objects[run->order[i]]);
	run->figures.of[DROP] = footprint(run);
	purge(run);
	check_contents(run);
	for (size_t i = 0; i < run->count; i++)
		if (run->objects[i].size)
			subject_free(&run->subject, run->objects[i].id);
	subject_close(&run->subject);
}

/* In a child: a command is the number of a trace; the last answer of all, for a process can grow only once. */
static int serve(const struct options *options)
{
	static struct run run;
	uint32_t which;

	while (peer_next(&which, sizeof(which))) {
		run.trace = &options->traces[which];
		run.count = options->objects;
		run.rng.state = options->seed;
		run.objects = draw_array(run.count, sizeof(*run.objects));
		run.order = draw_array(run.count, sizeof(*run.order));
		run.filled = draw_array(run.count, sizeof(*run.filled));
		draw_shuffle(&run.rng, run.order, run.count);
		measure(&run, options->as);
		run.figures.pairs_per_page = pair_best(&run);
		peer_answer(&run.figures, sizeof(run.figures));
	}
	return 0;
}

static void set_aims(struct report_row *row, const char *spec, const struct options *options, uint32_t which,
		     const struct figures *figures)
{
	const char *trace = options->traces[which].name;

	for (size_t i = 0; i < sizeof(aims) / sizeof(aims[0]); i++)
		if (options->objects == AIM_OBJECTS && !strcmp(spec, aims[i].spec) && !strcmp(trace, aims[i].trace))
			report_aim(row, aims[i].figure, aims[i].aim, aims[i].target);
	if (!strncmp(spec, "zbud", 4))
		report_aim(row, PER_PAGE, REPORT_AT_LEAST, PAIRS_SHARE * figures->pairs_per_page);
}

static void fill_row(struct report_row *row, const struct figures *figures)
{
	for (size_t i = 0; i < FIGURES; i++)
		if (figures->of[i] > 0)
			report_set(row, i, figures->of[i]);
}

static bool measure_subject(struct report_table *table, const struct options *options, const char *name, uint32_t which)
{
	struct figures figures;
	struct peer peer;
	struct report_row *row = report_row(table, options_label(name));
	bool done;

	peer_start(&peer, options->argv, name);
	done = peer_ask(&peer, &which, sizeof(which), &figures, sizeof(figures));
	done = peer_stop(&peer) && done;
	if (!done) {
		snprintf(row->note, sizeof(row->note), "failed");
		return false;
	}
	fill_row(row, &figures);
	set_aims(row, name, options, which, &figures);
	return true;
}

/* The pages are compressed by lz4: other traces would not be what the kernel stores. */
static void measure_kernel(struct report_table *table, const struct options *options, uint32_t which)
{
	struct report_row *row = report_row(table, "kernel");
	struct zram_figures got;
	struct figures figures = { .live_bytes = 0 };

	if (!zram_measure(&options->traces[which], options->objects, options->seed, &got)) {
		snprintf(row->note, sizeof(row->note), "skipped: %s", got.reason);
		return;
	}
	figures.of[FILL] = got.fill;
	figures.of[DROP] = got.drop;
	figures.of[PURGE] = got.compacted;
	figures.of[PURGE_MS] = got.compact_ms;
	fill_row(row, &figures);
	snprintf(row->note, sizeof(row->note), "/dev/zram0, handles not counted");
}

static bool measure_trace(struct report_table *table, const struct options *options, uint32_t which)
{
	const struct draw_trace *trace = &options->traces[which];
	bool done = true;
	double sum = 0;

	for (size_t i = 0; i < trace->count; i++)
		sum += trace->sizes[i];
	report_table_init(table, columns, FIGURES,
			  "%s: %zu objects of %.0f bytes in the mean, seed %" PRIu64 "; footprint over live bytes",
			  trace->name, options->objects, sum / (double)trace->count, options->seed);
	for (size_t i = 0; i < options->subject_count; i++)
		done &= measure_subject(table, options, options->subjects[i], which);
	for (size_t i = 0; i < options->missing_count; i++)
		snprintf(report_row(table, options->missing[i])->note, REPORT_TEXT, "not installed");
	if (options->peers && !strstr(trace->name, "zstd"))
		measure_kernel(table, options, which);
	return done;
}

int main(int argc, char **argv)
{
	static const struct options defaults = {
		.objects = AIM_OBJECTS, .rounds = 1, .default_traces = 2, .seed = 1, .uncompacted = true
	};
	static struct report_table tables[OPTIONS_TRACES];
	static struct options options;
	bool done = true;

	options_parse(&options, &defaults, argc, argv,
		      "Measure how many bytes of memory each driver needs for each byte stored.\n");
	if (options.as)
		return serve(&options);
	for (uint32_t i = 0; i < options.trace_count; i++)
		done &= measure_trace(&tables[i], &options, i);
	report_print("density", tables, options.trace_count, options.as_json);
	return done ? 0 : 1;
}
