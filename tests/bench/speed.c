/* SPDX-License-Identifier: MIT
 *
 * speed.c - what a replace costs, and a malloc and free of something hot, and a map
 *
 * A replace frees a random object of a working set, takes another of a size drawn from a trace, and copies its bytes
 * in: from the cache, where a compressor would leave them, and from memory that no cache holds.
 *
 * Every subject runs in a process of its own and holds its working set all the time; they are measured in turn, round
 * by round, all with the same draw.  Times are CPU time of the one thread; the time that went by stands beside replace,
 * and differs from it where others wanted the processor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "peer.h"
#include "report.h"
#include "subject.h"

enum { OBJECTS = 100000, ROUNDS = 7, HOT_PAIRS = 500000, HOT_BYTES = 1000, MAPS = 500000, ROUNDS_MAX = 1000 };

/* What a round measures, in nanoseconds a piece. */
enum { REPLACE, REPLACE_WALL, REPLACE_FAR, HOT, MAP_ONE, MAP_ANY, TIMES };

enum { FIG_REPLACE, FIG_OF_FASTEST, FIG_WALL, FIG_FAR, FIG_FAR_OF_FASTEST, FIG_HOT, FIG_MAP_ONE, FIG_MAP_ANY, FIGURES };

/* So much does no cache hold. */
#define FAR_BYTES ((size_t)128 << 20)

static const struct report_column columns[FIGURES] = {
	[FIG_REPLACE] = { "replace_ns", "replace", 0 },
	[FIG_OF_FASTEST] = { "replace_of_fastest", "/fastest", 2 },
	[FIG_WALL] = { "replace_wall_ns", "wall", 0 },
	[FIG_FAR] = { "replace_far_ns", "far", 0 },
	[FIG_FAR_OF_FASTEST] = { "replace_far_of_fastest", "/fastest", 2 },
	[FIG_HOT] = { "hot_pair_ns", "hot pair", 1 },
	[FIG_MAP_ONE] = { "map_unmap_ns", "map one", 1 },
	[FIG_MAP_ANY] = { "map_unmap_any_ns", "map any", 1 },
};

/* Of the fastest malloc's time, and nanoseconds. */
static const double aim_of_fastest = 1.2, aim_hot_ns = 40;

struct step {
	uint32_t victim, size, from;
};

struct work {
	struct subject subject;
	const struct draw_trace *trace;
	struct draw_rng rng;
	unsigned long *objects;
	size_t count;
	struct step *steps;
	size_t step_count;
	char *far;
};

static void draw_steps(struct work *work)
{
	for (size_t i = 0; i < work->step_count; i++) {
		work->steps[i].victim = draw_below(&work->rng, work->count);
		work->steps[i].size = draw_size(&work->rng, work->trace);
		work->steps[i].from = draw_below(&work->rng, FAR_BYTES - DRAW_BYTES_MAX) & ~UINT32_C(63);
	}
}

/* What is copied in lies in the cache, as what was just compressed does; or far from it. */
static double replace_all(struct work *work, bool far, double *wall_ns)
{
	double wall, cpu;

	draw_steps(work);
	wall = bench_now_ns();
	cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; i < work->step_count; i++) {
		const struct step *step = &work->steps[i];

		subject_free(&work->subject, work->objects[step->victim]);
		work->objects[step->victim] = subject_store(&work->subject, step->size,
							    far ? work->far + step->from : draw_bytes(step->victim));
	}
	cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	*wall_ns = (bench_now_ns() - wall) / (double)work->step_count;
	return cpu / (double)work->step_count;
}

static double hot_pairs(const struct work *work)
{
	double cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	unsigned long object;

	for (int i = 0; i < HOT_PAIRS; i++) {
		if (!subject_malloc(&work->subject, HOT_BYTES, &object))
			subject_fail(&work->subject, "malloc");
		subject_free(&work->subject, object);
	}
	return (bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / HOT_PAIRS;
}

/* One object, or each time another. */
static double maps(struct work *work, bool any)
{
	double cpu;

	draw_steps(work);
	cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0, step = 0; i < MAPS; i++, step = step + 1 < work->step_count ? step + 1 : 0) {
		unsigned long object = work->objects[any ? work->steps[step].victim : 0];

		if (!zpool_map_handle(work->subject.pool, object, ZPOOL_MM_RW))
			subject_fail(&work->subject, "map");
		zpool_unmap_handle(work->subject.pool, object);
	}
	return (bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) / MAPS;
}

static void set_up(struct work *work, const struct options *options, uint32_t trace)
{
	double wall_ns;

	work->trace = &options->traces[trace];
	work->rng.state = options->seed;
	work->count = options->objects;
	work->step_count = 2 * options->objects;
	work->objects = draw_array(work->count, sizeof(*work->objects));
	work->steps = draw_array(work->step_count, sizeof(*work->steps));
	work->far = draw_array(FAR_BYTES, 1);
	for (size_t i = 0; i < FAR_BYTES; i += DRAW_BYTES_MAX)
		memcpy(work->far + i, draw_bytes(i), DRAW_BYTES_MAX);
	subject_open(&work->subject, options->as);
	for (size_t i = 0; i < work->count; i++)
		work->objects[i] = subject_store(&work->subject, draw_size(&work->rng, work->trace), draw_bytes(i));
	/* A fresh heap is faster than it will ever be again. */
	(void)replace_all(work, false, &wall_ns);
}

/* In a child: the first command is about a trace, and every one measures a round. */
static int serve(const struct options *options)
{
	static struct work work;
	double times[TIMES] = { 0 }, wall_ns;
	uint32_t trace;

	while (peer_next(&trace, sizeof(trace))) {
		if (!work.objects)
			set_up(&work, options, trace);
		times[REPLACE] = replace_all(&work, false, &times[REPLACE_WALL]);
		times[REPLACE_FAR] = replace_all(&work, true, &wall_ns);
		times[HOT] = hot_pairs(&work);
		times[MAP_ONE] = work.subject.pool ? maps(&work, false) : 0;
		times[MAP_ANY] = work.subject.pool ? maps(&work, true) : 0;
		peer_answer(times, sizeof(times));
	}
	for (size_t i = 0; i < work.count; i++)
		subject_free(&work.subject, work.objects[i]);
	subject_close(&work.subject);
	return 0;
}

/* One subject, from the parent's side. */
struct seat {
	struct peer peer;
	bool alive;
	double times[TIMES][ROUNDS_MAX];
	double median[TIMES];
};

static void run_rounds(struct seat *seats, const struct options *options, uint32_t trace)
{
	for (size_t i = 0; i < options->subject_count; i++) {
		peer_start(&seats[i].peer, options->argv, options->subjects[i]);
		seats[i].alive = true;
	}
	for (unsigned int round = 0; round < options->rounds; round++)
		for (size_t i = 0; i < options->subject_count; i++) {
			double times[TIMES];

			seats[i].alive =
				seats[i].alive && peer_ask(&seats[i].peer, &trace, sizeof(trace), times, sizeof(times));
			for (int t = 0; t < TIMES && seats[i].alive; t++)
				seats[i].times[t][round] = times[t];
		}
	for (size_t i = 0; i < options->subject_count; i++) {
		seats[i].alive = peer_stop(&seats[i].peer) && seats[i].alive;
		for (int t = 0; t < TIMES && seats[i].alive; t++)
			seats[i].median[t] = bench_median(seats[i].times[t], options->rounds);
	}
}

static double fastest_malloc(const struct seat *seats, const struct options *options, int time)
{
	double fastest = 0;

	for (size_t i = 0; i < options->subject_count; i++)
		if (seats[i].alive && options_is_malloc(options->subjects[i]) &&
		    (fastest == 0 || seats[i].median[time] < fastest))
			fastest = seats[i].median[time];
	return fastest;
}

static void fill_row(struct report_row *row, const char *subject, const struct seat *seat)
{
	report_set(row, FIG_REPLACE, seat->median[REPLACE]);
	report_set(row, FIG_WALL, seat->median[REPLACE_WALL]);
	report_set(row, FIG_FAR, seat->median[REPLACE_FAR]);
	report_set(row, FIG_HOT, seat->median[HOT]);
	if (!options_is_malloc(subject)) {
		report_set(row, FIG_MAP_ONE, seat->median[MAP_ONE]);
		report_set(row, FIG_MAP_ANY, seat->median[MAP_ANY]);
	}
	if (!strcmp(subject, "zsmalloc"))
		report_aim(row, FIG_HOT, REPORT_AT_MOST, aim_hot_ns);
}

/* The columns that are ratios to the fastest malloc. */
static void compare(struct report_table *table, const struct options *options, const struct seat *seats, int time,
		    size_t column)
{
	double fastest = fastest_malloc(seats, options, time);

	for (size_t i = 0; i < options->subject_count; i++) {
		if (!seats[i].alive || fastest == 0)
			continue;
		report_set(&table->rows[i], column, seats[i].median[time] / fastest);
		if (!strcmp(options->subjects[i], "zsmalloc"))
			report_aim(&table->rows[i], column, REPORT_AT_MOST, aim_of_fastest);
	}
}

static bool measure_trace(struct report_table *table, const struct options *options, uint32_t which)
{
	static struct seat seats[OPTIONS_SUBJECTS];
	bool done = true;

	report_table_init(table, columns, FIGURES,
			  "%s: working set of %zu objects, seed %" PRIu64 ", medians of %u rounds, ns a piece",
			  options->traces[which].name, options->objects, options->seed, options->rounds);
	run_rounds(seats, options, which);
	for (size_t i = 0; i < options->subject_count; i++) {
		struct report_row *row = report_row(table, options_label(options->subjects[i]));

		if (seats[i].alive)
			fill_row(row, options->subjects[i], &seats[i]);
		else
			snprintf(row->note, sizeof(row->note), "failed");
		done &= seats[i].alive;
	}
	compare(table, options, seats, REPLACE, FIG_OF_FASTEST);
	compare(table, options, seats, REPLACE_FAR, FIG_FAR_OF_FASTEST);
	for (size_t i = 0; i < options->missing_count; i++)
		snprintf(report_row(table, options->missing[i])->note, REPORT_TEXT, "not installed");
	return done;
}

int main(int argc, char **argv)
{
	static const struct options defaults = { .objects = OBJECTS, .rounds = ROUNDS, .default_traces = 2, .seed = 1 };
	static struct report_table tables[OPTIONS_TRACES];
	static struct options options;
	bool done = true;

	options_parse(&options, &defaults, argc, argv,
		      "Measure how long each driver takes to replace objects, beside the mallocs.\n");
	if (options.as)
		return serve(&options);
	for (uint32_t i = 0; i < options.trace_count; i++)
		done &= measure_trace(&tables[i], &options, i);
	report_print("speed", tables, options.trace_count, options.as_json);
	return done ? 0 : 1;
}
