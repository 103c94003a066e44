/* SPDX-License-Identifier: MIT
 *
 * compact.c - how fast a pool with holes is compacted
 *
 * Objects of sizes drawn from a trace are stored, a random three quarters of them freed, and the whole pool compacted.
 * The speed is bytes moved over the time that went by in zpool_compact(), the system calls that give memory back
 * included; beside it stands the share of those, and what memcpy does with objects of the same sizes in the same
 * process.  Every run is in a process of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "options.h"
#include "peer.h"
#include "report.h"
#include "subject.h"

enum { OBJECTS = 200000, ROUNDS = 7, ROUNDS_MAX = 1000 };

enum { MOVED_MIB, GIVEN_MIB, WALL_MS, SPEED, CPU_SPEED, OF_MEMCPY, MADVISE, FIGURES };
static const struct report_column columns[FIGURES] = {
	[MOVED_MIB] = { "moved_mib", "moved MiB", 1 },
	[GIVEN_MIB] = { "given_back_mib", "given MiB", 1 },
	[WALL_MS] = { "wall_ms", "ms", 1 },
	[SPEED] = { "gb_per_s", "GB/s", 2 },
	[CPU_SPEED] = { "gb_per_cpu_s", "by CPU", 2 },
	[OF_MEMCPY] = { "of_memcpy", "/memcpy", 2 },
	[MADVISE] = { "madvise_share", "madvise", 2 },
};

static const double aim_gb_per_s = 1;

struct answer {
	double of[FIGURES];
	bool moves; /* false: the driver does not move objects */
};

static double madvise_ns;

/* Plugins find this one before the C library's. */
__attribute__((visibility("default"))) int madvise(void *address, size_t bytes, int advice)
{
	double start = bench_now_ns();
	int ret = (int)syscall(SYS_madvise, address, bytes, advice);

	madvise_ns += bench_now_ns() - start;
	return ret;
}

/* Objects lie where random frees left them, and go to where there is room in order. */
static double memcpy_gb_per_s(struct draw_rng *rng, const struct draw_trace *trace, double bytes)
{
	const size_t room = (size_t)128 << 20;
	char *from = draw_array(room, 1), *to = draw_array(room, 1);
	double start, done = 0;
	size_t at = 0;

	memset(from, 1, room);
	start = bench_now_ns();
	while (done < bytes) {
		size_t size = draw_size(rng, trace);

		if (at + size > room)
			at = 0;
		memcpy(to + at, from + (draw_below(rng, room - DRAW_BYTES_MAX) & ~UINT32_C(15)), size);
		at += size;
		done += (double)size;
	}
	return done / (bench_now_ns() - start);
}

static void measure(const struct options *options, struct answer *answer)
{
	const struct draw_trace *trace = &options->traces[0];
	struct draw_rng rng = { options->seed };
	unsigned long *objects = draw_array(options->objects, sizeof(*objects));
	uint32_t *order = draw_array(options->objects, sizeof(*order));
	struct zpool_stats before, after;
	struct subject subject;
	uint64_t held, released = 0;
	double wall, cpu, moved;

	subject_open(&subject, options->as);
	for (size_t i = 0; i < options->objects; i++)
		objects[i] = subject_store(&subject, draw_size(&rng, trace), draw_bytes(i));
	draw_shuffle(&rng, order, options->objects);
	for (size_t i = 0; i < options->objects * 3 / 4; i++)
		subject_free(&subject, objects[order[i]]);

	zpool_get_stats(subject.pool, &before, sizeof(before));
	held = zpool_get_total_size(subject.pool);
	madvise_ns = 0;
	wall = bench_now_ns();
	cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	answer->moves = zpool_compact(subject.pool, 0, 0, &released) == 0;
	cpu = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
	wall = bench_now_ns() - wall;
	zpool_get_stats(subject.pool, &after, sizeof(after));
	moved = (double)(after.compact_moved_bytes - before.compact_moved_bytes);

	answer->of[MOVED_MIB] = moved / (1 << 20);
	answer->of[GIVEN_MIB] = (double)(held - zpool_get_total_size(subject.pool)) / (1 << 20);
	answer->of[WALL_MS] = wall / 1e6;
	answer->of[SPEED] = moved / wall;
	answer->of[CPU_SPEED] = moved / cpu;
	answer->of[MADVISE] = madvise_ns / wall;
	answer->of[OF_MEMCPY] = answer->of[SPEED] / memcpy_gb_per_s(&rng, trace, moved);
	subject_close(&subject);
}

static int serve(const struct options *options)
{
	struct answer answer = { .moves = false };
	char nothing;

	if (!peer_next(&nothing, sizeof(nothing)))
		return 0;
	measure(options, &answer);
	peer_answer(&answer, sizeof(answer));
	return 0;
}

/* ---- in the parent ---- */

static bool run_once(const struct options *options, const char *spec, struct answer *answer)
{
	struct peer peer;
	bool done;

	peer_start(&peer, options->argv, spec);
	done = peer_ask(&peer, "", 1, answer, sizeof(*answer));
	return peer_stop(&peer) && done;
}

static bool measure_spec(struct report_table *table, const struct options *options, const char *spec)
{
	static double values[FIGURES][ROUNDS_MAX];
	struct report_row *row = report_row(table, spec);
	struct answer answer;

	for (unsigned int round = 0; round < options->rounds; round++) {
		if (!run_once(options, spec, &answer)) {
			snprintf(row->note, sizeof(row->note), "failed");
			return false;
		}
		if (!answer.moves) {
			snprintf(row->note, sizeof(row->note), "does not move objects");
			return true;
		}
		for (int f = 0; f < FIGURES; f++)
			values[f][round] = answer.of[f];
	}
	for (size_t f = 0; f < FIGURES; f++)
		report_set(row, f, bench_median(values[f], options->rounds));
	if (!strcmp(spec, "zsmalloc:compact=no"))
		report_aim(row, SPEED, REPORT_AT_LEAST, aim_gb_per_s);
	return true;
}

int main(int argc, char **argv)
{
	static const struct options defaults = {
		.objects = OBJECTS, .rounds = ROUNDS, .default_traces = 1, .seed = 1, .uncompacted = true
	};
	static struct report_table table;
	static struct options options;
	bool done = true;

	options_parse(
		&options, &defaults, argc, argv,
		"Measure how fast pools with holes are compacted; only the first trace is used, and no malloc.\n");
	if (options.as)
		return serve(&options);
	report_table_init(&table, columns, FIGURES,
			  "%s: %zu objects, of which 75 %% were freed at random, seed %" PRIu64 ", medians of %u runs",
			  options.traces[0].name, options.objects, options.seed, options.rounds);
	for (size_t i = 0; i < options.subject_count; i++)
		if (!options_is_malloc(options.subjects[i]))
			done &= measure_spec(&table, &options, options.subjects[i]);
	report_print("compact", &table, 1, options.as_json);
	return done ? 0 : 1;
}
