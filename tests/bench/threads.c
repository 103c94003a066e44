/* SPDX-License-Identifier: MIT
 *
 * threads.c - how much more two and four threads replace than one
 *
 * A working set of the same size is shared out among the threads, each of which replaces only objects of its own part,
 * so that nothing but the subject's own locks brings them together.  Two ways: `own', where each thread stored its part
 * itself, and `common', where one thread stored all and the parts lie between each other.
 *
 * Throughput is by the time that went by, until the last thread was done; so it needs as many idle processors as there
 * are threads.  Beside it stands what it would have been by CPU time: threads times the CPU time of a replace with one
 * thread over that with several, which shows contention, but not waiting.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "options.h"
#include "peer.h"
#include "report.h"
#include "subject.h"

enum { OBJECTS = 100000, ROUNDS = 5, ROUNDS_MAX = 1000, THREADS_MAX = 4, STEPS_PER_OBJECT = 2 };

/* What is measured in a round, 1 thread first. */
static const struct setting {
	uint32_t threads;
	bool common;
} settings[] = { { 1, false }, { 2, false }, { 4, false }, { 1, true }, { 2, true }, { 4, true } };
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

enum { ONE_NS, OWN_2, OWN_2_CPU, OWN_4, OWN_4_CPU, COMMON_2, COMMON_2_CPU, COMMON_4, COMMON_4_CPU, FIGURES };

static const struct report_column columns[FIGURES] = {
	[ONE_NS] = { "one_thread_ns", "1 ns", 0 },        [OWN_2] = { "own_2", "own 2", 2 },
	[OWN_2_CPU] = { "own_2_cpu", "by CPU", 2 },       [OWN_4] = { "own_4", "own 4", 2 },
	[OWN_4_CPU] = { "own_4_cpu", "by CPU", 2 },       [COMMON_2] = { "common_2", "common 2", 2 },
	[COMMON_2_CPU] = { "common_2_cpu", "by CPU", 2 }, [COMMON_4] = { "common_4", "common 4", 2 },
	[COMMON_4_CPU] = { "common_4_cpu", "by CPU", 2 },
};

/* Two threads' throughput, of one's. */
static const double aim_two = 1.7;

struct times {
	double wall_ns, cpu_ns; /* for a replace, by whichever thread */
};

struct step {
	uint32_t victim, size;
};

struct work {
	struct subject subject;
	const struct draw_trace *trace;
	struct draw_rng rng;
	unsigned long *objects;
	uint32_t *sizes; /* stored first */
	size_t count;
	struct step *steps;
	const struct setting *setting;
	pthread_barrier_t ready;
};

struct worker {
	struct work *work;
	uint32_t index;
	pthread_t thread;
	double start_ns, end_ns, cpu_ns;
};

static size_t part_size(const struct work *work)
{
	return work->count / work->setting->threads;
}

/* Of a worker's part the object of this number. */
static unsigned long *part(const struct worker *worker, size_t number)
{
	const struct work *work = worker->work;

	if (work->setting->common)
		return &work->objects[number * work->setting->threads + worker->index];
	return &work->objects[worker->index * part_size(work) + number];
}

static void store_part(const struct worker *worker)
{
	for (size_t i = 0; i < part_size(worker->work); i++) {
		unsigned long *object = part(worker, i);

		*object = subject_store(&worker->work->subject, worker->work->sizes[object - worker->work->objects],
					draw_bytes(i));
	}
}

static void *run_worker(void *arg)
{
	struct worker *worker = arg;
	const struct work *work = worker->work;
	size_t count = part_size(work) * STEPS_PER_OBJECT;
	const struct step *step = work->steps + worker->index * count;

	if (!work->setting->common)
		store_part(worker);
	pthread_barrier_wait(&worker->work->ready);
	worker->start_ns = bench_now_ns();
	worker->cpu_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; i < count; i++, step++) {
		unsigned long *object = part(worker, step->victim);

		subject_free(&work->subject, *object);
		*object = subject_store(&work->subject, step->size, draw_bytes(i));
	}
	worker->cpu_ns = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - worker->cpu_ns;
	worker->end_ns = bench_now_ns();
	return NULL;
}

static void draw(struct work *work)
{
	for (size_t i = 0; i < work->count; i++)
		work->sizes[i] = draw_size(&work->rng, work->trace);
	for (size_t i = 0; i < work->count * STEPS_PER_OBJECT; i++) {
		work->steps[i].victim = draw_below(&work->rng, part_size(work));
		work->steps[i].size = draw_size(&work->rng, work->trace);
	}
}

static struct times measure(struct work *work, const struct setting *setting)
{
	struct worker workers[THREADS_MAX];
	struct times times = { 0, 0 };
	double start = 0, end = 0;
	size_t done;

	work->setting = setting;
	draw(work);
	done = part_size(work) * setting->threads;
	for (size_t i = 0; i < done && setting->common; i++)
		work->objects[i] = subject_store(&work->subject, work->sizes[i], draw_bytes(i));
	pthread_barrier_init(&work->ready, NULL, setting->threads);
	for (uint32_t i = 0; i < setting->threads; i++) {
		workers[i] = (struct worker){ .work = work, .index = i };
		if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0)
			subject_fail(&work->subject, "starting a thread");
	}
	for (uint32_t i = 0; i < setting->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		start = i == 0 || workers[i].start_ns < start ? workers[i].start_ns : start;
		end = workers[i].end_ns > end ? workers[i].end_ns : end;
		times.cpu_ns += workers[i].cpu_ns;
	}
	pthread_barrier_destroy(&work->ready);
	for (size_t i = 0; i < done; i++)
		subject_free(&work->subject, work->objects[i]);
	times.wall_ns = (end - start) / (double)(done * STEPS_PER_OBJECT);
	times.cpu_ns /= (double)(done * STEPS_PER_OBJECT);
	return times;
}

struct command {
	uint32_t trace, setting;
};

static void set_up(struct work *work, const struct options *options, uint32_t trace)
{
	work->trace = &options->traces[trace];
	work->rng.state = options->seed;
	work->count = options->objects;
	work->objects = draw_array(work->count, sizeof(*work->objects));
	work->sizes = draw_array(work->count, sizeof(*work->sizes));
	work->steps = draw_array(work->count * STEPS_PER_OBJECT, sizeof(*work->steps));
	(void)draw_bytes(0);
	subject_open(&work->subject, options->as);
	/* The first run finds fresh memory, the others what was freed. */
	(void)measure(work, &settings[0]);
}

static int serve(const struct options *options)
{
	static struct work work;
	struct command command;

	while (peer_next(&command, sizeof(command))) {
		struct times times;

		if (!work.objects)
			set_up(&work, options, command.trace);
		times = measure(&work, &settings[command.setting]);
		peer_answer(&times, sizeof(times));
	}
	subject_close(&work.subject);
	return 0;
}

/* One subject, from the parent's side. */
struct seat {
	struct peer peer;
	bool alive;
	double wall[SETTINGS][ROUNDS_MAX], cpu[SETTINGS][ROUNDS_MAX];
};

static void run_round(struct seat *seat, uint32_t trace, unsigned int round)
{
	for (uint32_t i = 0; i < SETTINGS && seat->alive; i++) {
		struct command command = { trace, i };
		struct times times = { 0, 0 };

		seat->alive = peer_ask(&seat->peer, &command, sizeof(command), &times, sizeof(times));
		seat->wall[i][round] = times.wall_ns;
		seat->cpu[i][round] = times.cpu_ns;
	}
}

static void fill_row(struct report_row *row, const char *subject, struct seat *seat, unsigned int rounds)
{
	double wall[SETTINGS], cpu[SETTINGS];

	for (int i = 0; i < SETTINGS; i++) {
		wall[i] = bench_median(seat->wall[i], rounds);
		cpu[i] = bench_median(seat->cpu[i], rounds);
	}
	report_set(row, ONE_NS, wall[0]);
	for (size_t i = 0, column = OWN_2; i < SETTINGS; i++) {
		size_t one = settings[i].common ? SETTINGS / 2 : 0;

		if (settings[i].threads == 1)
			continue;
		report_set(row, column++, wall[one] / wall[i]);
		report_set(row, column++, settings[i].threads * cpu[one] / cpu[i]);
	}
	if (!strcmp(subject, "zsmalloc")) {
		report_aim(row, OWN_2, REPORT_AT_LEAST, aim_two);
		report_aim(row, COMMON_2, REPORT_AT_LEAST, aim_two);
	}
}

static bool measure_trace(struct report_table *table, const struct options *options, uint32_t which)
{
	static struct seat seats[OPTIONS_SUBJECTS];
	bool done = true;

	report_table_init(table, columns, FIGURES,
			  "%s: throughput of replace over that of one thread; %zu objects, seed %" PRIu64
			  ", medians of %u rounds",
			  options->traces[which].name, options->objects, options->seed, options->rounds);
	for (size_t i = 0; i < options->subject_count; i++) {
		peer_start(&seats[i].peer, options->argv, options->subjects[i]);
		seats[i].alive = true;
	}
	for (unsigned int round = 0; round < options->rounds; round++)
		for (size_t i = 0; i < options->subject_count; i++)
			run_round(&seats[i], which, round);
	for (size_t i = 0; i < options->subject_count; i++) {
		struct report_row *row = report_row(table, options_label(options->subjects[i]));

		seats[i].alive = peer_stop(&seats[i].peer) && seats[i].alive;
		if (seats[i].alive)
			fill_row(row, options->subjects[i], &seats[i], options->rounds);
		else
			snprintf(row->note, sizeof(row->note), "failed");
		done &= seats[i].alive;
	}
	for (size_t i = 0; i < options->missing_count; i++)
		snprintf(report_row(table, options->missing[i])->note, REPORT_TEXT, "not installed");
	return done;
}

int main(int argc, char **argv)
{
	static const struct options defaults = { .objects = OBJECTS, .rounds = ROUNDS, .default_traces = 1, .seed = 1 };
	static struct report_table tables[OPTIONS_TRACES];
	static struct options options;
	bool done = true;

	options_parse(&options, &defaults, argc, argv,
		      "Measure how the throughput of replace grows with threads, beside the mallocs.\n");
	if (options.as)
		return serve(&options);
	for (uint32_t i = 0; i < options.trace_count; i++)
		done &= measure_trace(&tables[i], &options, i);
	report_print("threads", tables, options.trace_count, options.as_json);
	return done ? 0 : 1;
}
