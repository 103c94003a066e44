/* SPDX-License-Identifier: MIT
 *
 * locks.c - how long zsmalloc holds each of its locks, in thread CPU time
 *
 * The driver measured is a copy that notes how long its locks are held (timed/timed_lock.h).  Objects are stored,
 * replaced at random and three quarters of them freed, as in density.c: with automatic compaction, which runs inside,
 * and without, so that a whole compaction has all to do.  A place in the driver's code that takes a lock has a row.
 *
 * Interrupts, and what a hypervisor takes, count among a thread's CPU time.  But the same draw makes the driver take
 * the same locks for the same work in every run: so of each hold the shortest time of all runs is taken, hold by hold,
 * and the longest of these is the longest hold.  What was measured at most in any run stands beside it.
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

enum { OBJECTS = 100000, ROUNDS = 5, REPLACES = 4, LABEL = 64, HOLDS_PER_OBJECT = 32 };

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

enum { HOLDS, P50, P99, P999, LONGEST, MEASURED, FIGURES };
static const struct report_column columns[FIGURES] = {
	[HOLDS] = { "holds", "holds", 0 },
	[P50] = { "p50_us", "p50 us", 2 },
	[P99] = { "p99_us", "p99", 2 },
	[P999] = { "p999_us", "p99.9", 2 },
	[LONGEST] = { "longest_us", "longest", 2 },
	[MEASURED] = { "longest_measured_us", "measured", 0 },
};

/* For every lock, while compaction comes by itself. */
static const double aim_us = 100;

/* What a child answers; behind it come `holds` holds. */
struct answer {
	double clock_us;
	uint64_t holds;
	char sites[TIMED_SITES][LABEL];
};

/* ---- in a child ---- */

static struct {
	void (*start)(struct timed_hold *log, size_t room);
	size_t (*count)(void);
	const struct timed_site *(*site)(unsigned int number);
} timed;

static void find_timed(void)
{
	char directory[PATH_MAX - 64] = "", path[PATH_MAX];
	void *module, *start = NULL, *count = NULL, *site = NULL;

	zpool_get_plugin_path(directory, sizeof(directory));
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof(path), "%s/zsmalloc.so", directory);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if (module) {
		start = dlsym(module, "timed_start");
		count = dlsym(module, "timed_count");
		site = dlsym(module, "timed_site");
	}
	if (!start || !count || !site) {
		fprintf(stderr, "%s does not time its locks; make bench BENCH=locks uses one that does\n", path);
		exit(1);
	}
	memcpy(&timed.start, &start, sizeof(start));
	memcpy(&timed.count, &count, sizeof(count));
	memcpy(&timed.site, &site, sizeof(site));
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

static void answer_with(const struct timed_hold *log)
{
	static struct answer answer;

	answer.holds = timed.count();
	answer.clock_us = clock_us();
	for (unsigned int i = 0; i < TIMED_SITES; i++) {
		const struct timed_site *site = timed.site(i);

		if (site)
			snprintf(answer.sites[i], LABEL, "%s:%d %s", site->function, site->line,
				 site->lock + (site->lock[0] == '&'));
	}
	peer_answer(&answer, sizeof(answer));
	peer_answer(log, answer.holds * sizeof(*log));
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
	static struct work work;
	size_t room = options->objects * HOLDS_PER_OBJECT;
	struct timed_hold *log = draw_array(room, sizeof(*log));
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
		timed.start(log, room);
		run_stage(&work, stage);
		answer_with(log);
	}
	subject_close(&work.subject);
	return 0;
}

/* ---- in the parent ---- */

/* Of all runs of a stage. */
struct result {
	struct answer answer;         /* of the first run */
	struct timed_hold *holds;     /* the shortest of all runs */
	double measured[TIMED_SITES]; /* the longest, in microseconds */
	unsigned int runs;
	bool differ;
};

/* Did this run do the same as the first? */
static bool same_work(const struct result *result, const struct answer *answer, const struct timed_hold *holds)
{
	if (answer->holds != result->answer.holds ||
	    memcmp(answer->sites, result->answer.sites, sizeof(answer->sites)) != 0)
		return false;
	for (uint64_t i = 0; i < answer->holds; i++)
		if (holds[i].site != result->holds[i].site)
			return false;
	return true;
}

static void merge(struct result *result, const struct answer *answer, struct timed_hold *holds)
{
	if (result->runs++ == 0) {
		result->answer = *answer;
		result->holds = holds;
	} else if (!same_work(result, answer, holds)) {
		result->differ = true;
		free(holds);
		return;
	}
	for (uint64_t i = 0; i < answer->holds; i++) {
		uint32_t site = holds[i].site < TIMED_SITES ? holds[i].site : 0;

		if (holds[i].ns < result->holds[i].ns)
			result->holds[i].ns = holds[i].ns;
		if (holds[i].ns / 1e3 > result->measured[site])
			result->measured[site] = holds[i].ns / 1e3;
	}
	if (holds != result->holds)
		free(holds);
}

static bool run_stage_in(struct peer *peer, uint32_t stage, struct result *result)
{
	static struct answer answer;
	struct timed_hold *holds;

	if (!peer_ask(peer, &stage, sizeof(stage), &answer, sizeof(answer)))
		return false;
	holds = calloc(answer.holds + 1, sizeof(*holds));
	if (!holds || !peer_ask(peer, NULL, 0, holds, answer.holds * sizeof(*holds))) {
		free(holds);
		return false;
	}
	if (result)
		merge(result, &answer, holds);
	else
		free(holds);
	return true;
}

/* Only the stages of this spec are of interest, but those before are needed. */
static bool run_once(const struct options *options, const char *spec, struct result *results)
{
	struct peer peer;
	bool done = true;

	peer_start(&peer, options->argv, spec);
	for (uint32_t stage = 0; stage < STAGES && done; stage++) {
		bool wanted = !strcmp(stages[stage].spec, spec);

		if (wanted || stage < COMPACT)
			done = run_stage_in(&peer, stage, wanted ? &results[stage] : NULL);
	}
	return peer_stop(&peer) && done;
}

static int compare_rows(const void *a, const void *b)
{
	double x = ((const struct report_row *)a)->cells[LONGEST].value;
	double y = ((const struct report_row *)b)->cells[LONGEST].value;

	return (x < y) - (x > y);
}

static void add_row(struct report_table *table, uint32_t stage, const struct result *result, uint32_t site, double *us)
{
	struct report_row *row;
	size_t count = 0;

	for (uint64_t i = 0; i < result->answer.holds; i++)
		if (result->holds[i].site == site)
			us[count++] = result->holds[i].ns / 1e3;
	if (!count)
		return;
	qsort(us, count, sizeof(*us), bench_compare);
	row = report_row(table, result->answer.sites[site]);
	report_set(row, HOLDS, (double)count);
	report_set(row, P50, us[count / 2]);
	report_set(row, P99, us[count * 99 / 100]);
	report_set(row, P999, us[count * 999 / 1000]);
	report_set(row, LONGEST, us[count - 1]);
	report_set(row, MEASURED, result->measured[site]);
	if (stage == REPLACE || stage == FREE)
		report_aim(row, LONGEST, REPORT_AT_MOST, aim_us);
}

static void fill_table(struct report_table *table, uint32_t stage, const struct result *result)
{
	double *us = calloc(result->answer.holds + 1, sizeof(*us));

	report_table_init(table, columns, FIGURES,
			  "%s (%s); %.2f us are the clock's own, and twice so much for each lock inside%s",
			  stages[stage].title, stages[stage].spec, result->answer.clock_us,
			  result->differ ? "; the runs did not do the same work" : "");
	for (uint32_t site = 1; site < TIMED_SITES && us; site++)
		add_row(table, stage, result, site, us);
	free(us);
	qsort(table->rows, table->row_count, sizeof(table->rows[0]), compare_rows);
}

int main(int argc, char **argv)
{
	static const struct options defaults = { .objects = OBJECTS, .rounds = ROUNDS, .default_traces = 1, .seed = 1 };
	static struct report_table tables[STAGES];
	static struct result results[STAGES];
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
