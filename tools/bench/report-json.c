/* SPDX-License-Identifier: MIT
 *
 * report-json.c - the results of zpoolctl bench as JSON
 */
#include <config.h>

#include <zpool.h>

#include "../json.h"
#include "../message.h"
#include "bench.h"
#include "machine.h"

static const char *const kind_names[] = {
	[BENCH_DRIVER] = "driver", [BENCH_MALLOC] = "malloc", [BENCH_KERNEL] = "kernel"
};
static const char *const call_names[CALLS] = { [CALL_STORE] = "store", [CALL_DROP] = "drop", [CALL_READ] = "read" };

static json_t *latency_json(const struct measurement *watched)
{
	json_t *calls = json_object();

	for (unsigned int c = 0; c < CALLS; c++) {
		const struct latency *latency = &watched->latency[c];

		if (latency->count)
			json_object_set_new(
				calls, call_names[c],
				json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "calls", (json_int_t)latency->count,
					  "p50_ns", (json_int_t)latency->p50_ns, "p90_ns", (json_int_t)latency->p90_ns,
					  "p99_ns", (json_int_t)latency->p99_ns, "p99_9_ns",
					  (json_int_t)latency->p999_ns, "p99_99_ns", (json_int_t)latency->p9999_ns,
					  "longest_ns", (json_int_t)latency->largest_ns));
	}
	return calls;
}

/* Lists the rounds in the order in which they were made. */
static json_t *rounds_json(const struct bench_row *row, const struct figures *figures)
{
	json_t *rounds = json_array();

	for (unsigned int i = 0; i < figures->count; i++) {
		const struct measurement *one = &figures->rounds[i];
		bool pooled = row->kind != BENCH_MALLOC;

		json_array_append_new(
			rounds,
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:I}", "operations",
				  (json_int_t)one->operations, "wall_ns", (json_int_t)one->wall_ns, "live_bytes",
				  (json_int_t)one->live_bytes, "rss_bytes", (json_int_t)one->rss_bytes,
				  "page_table_bytes", (json_int_t)one->page_table_bytes, "pool_bytes",
				  pooled ? json_number(one->pool_bytes) : json_null(), "madvise_calls",
				  bench_counts_madvise(row) ? json_number(one->madvise_calls) : json_null(),
				  "moved_bytes", one->moves ? json_number(one->moved_bytes) : json_null(), "hits",
				  (json_int_t)one->hits));
	}
	return rounds;
}

static json_t *real_or_null(double number)
{
	return number > 0 ? json_real(number) : json_null();
}

static json_t *figures_json(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			    enum measure measure)
{
	const struct figures *figures = &row->figures[threads][measure];
	bool timed = row->kind != BENCH_KERNEL;

	return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "measure", measure_name(measure), "threads",
			 (int)bench->options.threads[threads], "ns",
			 real_or_null(timed ? bench_ns(row, threads, measure) : 0), "ratio",
			 real_or_null(timed ? bench_ratio(bench, row, threads, measure) : 0), "footprint",
			 real_or_null(bench_median(row, threads, measure, measurement_footprint)), "rounds",
			 rounds_json(row, figures), "latency", latency_json(&figures->watched));
}

static json_t *timeline_json(const struct bench_row *row)
{
	json_t *samples = json_array();

	for (size_t i = 0; i < row->timeline.count; i++) {
		const struct sample *sample = &row->timeline.at[i];

		json_array_append_new(
			samples, json_pack("{s:s, s:I, s:I, s:I, s:o}", "measure", measure_name(sample->measure), "ns",
					   (json_int_t)sample->ns, "rss_bytes", (json_int_t)sample->rss_bytes,
					   "page_table_bytes", (json_int_t)sample->page_table_bytes, "pool_bytes",
					   row->kind == BENCH_DRIVER ? json_number(sample->pool_bytes) : json_null()));
	}
	return samples;
}

static json_t *row_json(const struct bench *bench, const struct bench_row *row)
{
	json_t *figures = json_array(), *skipped = json_object();

	for (unsigned int t = 0; t < bench->options.thread_count; t++)
		for (unsigned int m = 0; m < MEASURES; m++)
			if (bench_has(row, t, m) || row->figures[t][m].watched.operations)
				json_array_append_new(figures, figures_json(bench, row, t, m));
	for (unsigned int m = 0; m < MEASURES; m++)
		if (row->notes[m])
			json_object_set_new(skipped, measure_name(m), json_text(row->notes[m]));
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "allocator", json_text(row->label), "kind",
			 kind_names[row->kind], "version", *row->version ? json_text(row->version) : json_null(),
			 "not_measured", row->note ? json_text(row->note) : json_null(), "skipped", skipped, "figures",
			 figures, "timeline", timeline_json(row));
}

void bench_report_json(const struct bench *bench)
{
	const struct bench_options *options = &bench->options;
	json_t *rows = json_array(), *sizes;
	struct machine machine;

	machine_describe(&machine);
	for (size_t r = 0; r < bench->row_count; r++)
		json_array_append_new(rows, row_json(bench, &bench->rows[r]));
	sizes = json_pack("{s:o, s:I, s:I, s:I}", "source", json_text(bench->sizes.text), "objects",
			  (json_int_t)bench->sizes.count, "bytes", (json_int_t)bench->sizes.sum, "largest",
			  (json_int_t)bench->sizes.most);
	json_print(json_pack("{s:o, s:i, s:o, s:{s:o, s:i, s:o}, s:s, s:o}", "sizes", sizes, "rounds",
			     (int)options->rounds, "seed", json_number(options->seed), "machine", "processor",
			     json_text(machine.processor), "processors", (int)machine.processors, "kernel",
			     json_text(machine.kernel), "libzpool", zpool_version(), "allocators", rows));
}
