/* SPDX-License-Identifier: MIT
 *
 * locks.c - how long zsmalloc holds each of its locks, in thread CPU time
 *
 * The driver measured is a copy that notes how long its locks are held (timed/timed_lock.h).  Objects are stored,
 * replaced at random and three quarters of them freed, as in density.c: with automatic compaction, which runs inside,
 * and without, so that a whole compaction has all to do.  A place in the driver's code that takes a lock has a row.
 * Every run is in a process of its own; the longest hold is the median of those of the runs, since an interrupt may
 * count among a thread's CPU time.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "peer.h"
#include "report.h"
#include "subject.h"
#include "timed/timed_lock.h"

enum { OBJECTS = 100000, ROUNDS = 5, ROUNDS_MAX = 1000, REPLACES = 4, PLACES = REPORT_ROWS, LABEL = 64 };

/* What is done, and whether the spec compacts by itself. */
enum { STORE, REPLACE, FREE, COMPACT, STAGES };
static const struct {
	const char *title;
	const char *spec;
} stages[STAGES] = {
	[STORE] = { "storing", "zsmalloc" },
	[REPLACE] = { "replacing, compaction by itself", "zsmalloc" },
	[FREE] = { "freeing 75 % at random, compaction by itself", "zsmalloc" },
	[COMPACT] = { "compaction of the whole pool, 75 % holes", "zsmalloc:compact=no" },
};

enum { HOLDS, P50, P99, P999, MAX, WORST, FIGURES };
static const struct report_column columns[FIGURES] = {
	[HOLDS] = { "holds", "holds", 0 },      [P50] = { "p50_us", "p50 us", 2 },
	[P99] = { "p99_us", "p99 us", 2 },      [P999] = { "p999_us", "p99.9 us", 2 },
	[MAX] = { "longest_us", "longest", 2 }, [WORST] = { "longest_of_all_us", "of all", 2 },
};

/* For every lock, while compaction comes by itself. */
static const double aim_us = 100;

/* A place's figures of one run. */
struct place {
	char label[LABEL];
	double of[WORST];
};

struct answer {
	uint32_t count;
	double clock_us;
	struct place places[PLACES];
};

/* ---- in a child ---- */

static struct timed_site *(*find_sites)(void);
static void (*reset)(void);

static void find_timed(void)
{
	char directory[PATH_MAX - 64] = "", path[PATH_MAX];
	void *module, *symbols[2] = { NULL, NULL };

	zpool_get_plugin_path(directory, sizeof(directory));
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof(path), "%s/zsmalloc.so", directory);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if (module) {
		symbols[0] = dlsym(module, "timed_sites");
		symbols[1] = dlsym(module, "timed_reset");
	}
	if (!symbols[0] || !symbols[1]) {
		fprintf(stderr, "%s does not time its locks; make bench BENCH=locks uses one that does\n", path);
		exit(1);
	}
	memcpy(&find_sites, &symbols[0], sizeof(find_sites));
	memcpy(&reset, &symbols[1], sizeof(reset));
}

static double percentile_us(const struct timed_site *site, double share)
{
	uint64_t wanted = (uint64_t)((double)site->holds * share), seen = 0;
	unsigned int bucket = 0;

	for (; bucket < TIMED_BUCKETS - 1; bucket++) {
		seen += site->buckets[bucket];
		if (seen > wanted)
			break;
	}
	uint64_t ns = timed_bucket_ns(bucket);
	return (double)(ns < site->max_ns ? ns : site->max_ns) / 1e3;
}

static double clock_us(void)
{
	double samples[101];

	for (int i = 0; i < 101; i++) {
		double before = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		samples[i] = (bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / 1e3;
	}
	return bench_median(samples, 101);
}

static void collect(struct answer *answer)
{
	answer->count = 0;
	answer->clock_us = clock_us();
	for (struct timed_site *site = find_sites(); site && answer->count < PLACES; site = site->next) {
		struct place *place = &answer->places[answer->count];

		if (!site->holds)
			continue;
		snprintf(place->label, sizeof(place->label), "%s:%d %s", site->function, site->line,
			 site->lock + (site->lock[0] == '&'));
		place->of[HOLDS] = (double)site->holds;
		place->of[P50] = percentile_us(site, 0.5);
		place->of[P99] = percentile_us(site, 0.99);
		place->of[P999] = percentile_us(site, 0.999);
		place->of[MAX] = (double)site->max_ns / 1e3;
		answer->count++;
	}
}

struct work {
	struct subject subject;
	struct draw_rng rng;
	const struct draw_trace *trace;
	unsigned long *objects;
	uint32_t *order;
	size_t count;
};

static void store(struct work *work, size_t at)
{
	work->objects[at] = subject_store(&work->subject, draw_size(&work->rng, work->trace), draw_bytes(at));
}

/* One more stage, from those before it. */
static void run_stage(struct work *work, uint32_t stage)
{
	switch (stage) {
	case STORE:
		for (size_t i = 0; i < work->count; i++)
			store(work, i);
		break;
	case REPLACE:
		for (size_t i = 0; i < REPLACES * work->count; i++) {
			size_t at = draw_below(&work->rng, work->count);

			subject_free(&work->subject, work->objects[at]);
			store(work, at);
		}
		break;
	case FREE:
		for (size_t i = 0; i < work->count * 3 / 4; i++)
			subject_free(&work->subject, work->objects[work->order[i]]);
		break;
	default:
		subject_purge(&work->subject);
		break;
	}
}

static int serve(const struct options *options)
{
	static struct answer answer;
	static struct work work;
	uint32_t stage;

	find_timed();
	work.trace = &options->traces[0];
	work.rng.state = options->seed;
	work.count = options->objects;
	work.objects = draw_array(work.count, sizeof(*work.objects));
	work.order = draw_array(work.count, sizeof(*work.order));
	draw_shuffle(&work.rng, work.order, work.count);
	subject_open(&work.subject, options->as);
	while (peer_next(&stage, sizeof(stage))) {
		reset();
		run_stage(&work, stage);
		collect(&answer);
		peer_answer(&answer, sizeof(answer));
	}
	subject_close(&work.subject);
	return 0;
}

/* ---- in the parent ---- */

struct merged {
	char label[LABEL];
	double of[WORST][ROUNDS_MAX];
	unsigned int rounds;
};

struct stage_result {
	struct merged places[PLACES];
	size_t count;
	double clock_us;
};

static struct merged *merged_place(struct stage_result *result, const char *label)
{
	for (size_t i = 0; i < result->count; i++)
		if (!strcmp(result->places[i].label, label))
			return &result->places[i];
	if (result->count == PLACES)
		return NULL;
	memcpy(result->places[result->count].label, label, LABEL);
	return &result->places[result->count++];
}

static void merge(struct stage_result *result, const struct answer *answer)
{
	result->clock_us = answer->clock_us;
	for (uint32_t i = 0; i < answer->count; i++) {
		struct merged *place = merged_place(result, answer->places[i].label);

		for (int f = 0; place && f < WORST; f++)
			place->of[f][place->rounds] = answer->places[i].of[f];
		if (place)
			place->rounds++;
	}
}

/* All stages up to the last of its spec. */
static bool run_once(const struct options *options, const char *spec, struct stage_result *results)
{
	static struct answer answer;
	struct peer peer;
	bool done = true;

	peer_start(&peer, options->argv, spec);
	for (uint32_t stage = 0; stage < STAGES && done; stage++) {
		if (stage == COMPACT && strcmp(stages[stage].spec, spec) != 0)
			continue;
		done = peer_ask(&peer, &stage, sizeof(stage), &answer, sizeof(answer));
		if (done && !strcmp(stages[stage].spec, spec))
			merge(&results[stage], &answer);
	}
	return peer_stop(&peer) && done;
}

static int compare_rows(const void *a, const void *b)
{
	double x = ((const struct report_row *)a)->cells[MAX].value,
	       y = ((const struct report_row *)b)->cells[MAX].value;

	return (x < y) - (x > y);
}

static void fill_table(struct report_table *table, uint32_t stage, struct stage_result *result)
{
	report_table_init(table, columns, FIGURES,
			  "%s (%s); %.2f us of each figure are the clock's, and twice so much "
			  "for each lock taken inside",
			  stages[stage].title, stages[stage].spec, result->clock_us);
	for (size_t i = 0; i < result->count; i++) {
		struct merged *place = &result->places[i];
		struct report_row *row = report_row(table, place->label);

		for (int f = 0; f < WORST; f++)
			report_set(row, (size_t)f, bench_median(place->of[f], place->rounds));
		/* The medians left the values sorted. */
		report_set(row, WORST, place->of[MAX][place->rounds - 1]);
		if (stage == REPLACE || stage == FREE)
			report_aim(row, MAX, REPORT_AT_MOST, aim_us);
	}
	qsort(table->rows, table->row_count, sizeof(table->rows[0]), compare_rows);
}

int main(int argc, char **argv)
{
	static const struct options defaults = { .objects = OBJECTS, .rounds = ROUNDS, .default_traces = 1, .seed = 1 };
	static struct report_table tables[STAGES];
	static struct stage_result results[STAGES];
	static struct options options;

	options_parse(&options, &defaults, argc, argv,
		      "Measure how long zsmalloc holds its locks; only the first trace is used, and no --type.\n");
	if (options.as)
		return serve(&options);
	for (unsigned int round = 0; round < options.rounds; round++)
		if (!run_once(&options, stages[STORE].spec, results) ||
		    !run_once(&options, stages[COMPACT].spec, results))
			return 1;
	for (uint32_t stage = 0; stage < STAGES; stage++)
		fill_table(&tables[stage], stage, &results[stage]);
	report_print("locks", tables, STAGES, options.as_json);
	return 0;
}
