/* SPDX-License-Identifier: MIT
 *
 * measure.c - run all rounds and receive the results
 *
 * In every round, each allocator is measured in turn, with each number of threads, in a new process for each group of
 * workloads. Only one process runs at a time. A first, watched round times single calls and samples the memory. Its
 * times are not printed with those of the other rounds, because reading the clock takes time.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../message.h"
#include "../progress.h"
#include "../zpoolctl.h"
#include "allocator.h"
#include "bench.h"
#include "launch.h"
#include "zram.h"

enum { TIMEOUT_SECONDS = 120, TIMEOUT_OBJECTS = 1000 };

/* One run, while its process answers. */
struct hearing {
	struct bench_row *row;
	unsigned int threads; /* index in options.threads */
	bool watched;
	const struct bench_options *options;
	bool told_failure, done;
};

static void take_measurement(struct hearing *hearing, const struct measurement *measurement)
{
	struct figures *figures;

	if (measurement->measure >= MEASURES)
		return;
	figures = &hearing->row->figures[hearing->threads][measurement->measure];
	if (hearing->watched) {
		figures->watched = *measurement;
		return;
	}
	if (figures->count == hearing->options->rounds)
		return;
	if (!figures->rounds)
		figures->rounds = calloc(hearing->options->rounds, sizeof(*figures->rounds));
	if (!figures->rounds)
		out_of_memory();
	figures->rounds[figures->count++] = *measurement;
}

static void take_sample(struct hearing *hearing, const struct sample *sample)
{
	struct timeline *timeline = &hearing->row->timeline;

	if (hearing->threads || sample->measure > MEASURE_COMPACT)
		return;
	timeline->at = reallocarray(timeline->at, timeline->count + 1, sizeof(*timeline->at));
	if (!timeline->at)
		out_of_memory();
	timeline->at[timeline->count++] = *sample;
}

static void keep(char **text, const char *new)
{
	if (*text)
		return;
	*text = strdup(new);
	if (!*text)
		out_of_memory();
}

static void on_message(void *user, const struct bench_message *message)
{
	struct hearing *hearing = user;
	struct bench_row *row = hearing->row;

	switch (message->kind) {
	case MESSAGE_MEASUREMENT:
		take_measurement(hearing, &message->measurement);
		break;
	case MESSAGE_SAMPLE:
		take_sample(hearing, &message->sample);
		break;
	case MESSAGE_SKIPPED:
		if (message->measure < MEASURES)
			keep(&row->notes[message->measure], message->text);
		break;
	case MESSAGE_FAILED:
		keep(&row->note, message->text);
		hearing->told_failure = true;
		break;
	case MESSAGE_DONE:
		hearing->done = true;
		break;
	default:
		break;
	}
}

static uint32_t measures_of(const struct bench_options *options, enum group group)
{
	uint32_t measures = 0;

	for (unsigned int m = 0; m < MEASURES; m++)
		if (options->measures & MEASURE_BIT(m) && measure_group(m) == group)
			measures |= MEASURE_BIT(m);
	return measures;
}

static unsigned int timeout_of(const struct bench *bench)
{
	if (bench->options.timeout_seconds)
		return bench->options.timeout_seconds;
	return TIMEOUT_SECONDS + (unsigned int)(bench->sizes.count / TIMEOUT_OBJECTS);
}

/* Returns 0, or STATUS_FAILED after a message. */
static int run_once(struct bench *bench, struct bench_row *row, unsigned int threads, enum group group, bool watched)
{
	struct hearing hearing = { row, threads, watched, &bench->options, false, false };
	struct bench_job job = { .magic = BENCH_JOB_MAGIC,
				 .malloc_number = row->malloc_number,
				 .threads = bench->options.threads[threads],
				 .group = group,
				 .measures = measures_of(&bench->options, group),
				 .watched = watched,
				 .size_max = bench->sizes.most,
				 .objects = bench->sizes.count,
				 .seed = bench->options.seed };
	const struct launch run = { .job = &job,
				    .sizes = bench->sizes.at,
				    .preload = row->preload,
				    .timeout_seconds = timeout_of(bench),
				    .on_message = on_message,
				    .user = &hearing };
	struct child_end end;

	snprintf(job.spec, sizeof(job.spec), "%s", row->spec);
	if (launch(&run, &end))
		return STATUS_FAILED;
	if (child_succeeded(&end) && hearing.done)
		return 0;
	row->failed = true;
	if (!hearing.told_failure) {
		char text[CHILD_TEXT];

		child_describe(&end, text);
		keep(&row->note, text);
	}
	warn("%s: %s", row->label, row->note);
	return 0;
}

/* The watched round is number 0. Stalls are only measured in that round, and only once for all numbers of threads. */
static bool is_wanted(const struct bench *bench, unsigned int round, unsigned int threads, enum group group)
{
	if (!measures_of(&bench->options, group))
		return false;
	return group != GROUP_STALL || (!round && !threads);
}

int bench_measure(struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	uint64_t turns = (uint64_t)(options->rounds + 1) * options->thread_count * bench->row_count, turn = 0;

	progress_start("measuring", turns);
	for (unsigned int round = 0; round <= options->rounds; round++)
		for (unsigned int t = 0; t < options->thread_count; t++)
			for (size_t r = 0; r < bench->row_count; r++) {
				struct bench_row *row = &bench->rows[r];

				for (unsigned int g = 0; g < GROUPS && row->kind != BENCH_KERNEL; g++)
					if (!row->failed && is_wanted(bench, round, t, g) &&
					    run_once(bench, row, t, g, !round))
						return STATUS_FAILED;
				if (row->kind == BENCH_KERNEL && !row->failed && round == 1 && !t)
					zram_measure(bench, row);
				progress_update(++turn);
			}
	progress_end();
	return 0;
}
