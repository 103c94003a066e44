/* SPDX-License-Identifier: MIT
 *
 * report.c - the tables of zpoolctl bench
 */
#include <config.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "../message.h"
#include "../size.h"
#include "../table.h"
#include "../text.h"
#include "bench.h"
#include "machine.h"

enum { CELLS_MAX = 10, CELL_BYTES = 32 };

/* Prints a row's cell into `text`, or leaves it empty. */
typedef void (*cell_writer)(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			    enum measure measure, char text[CELL_BYTES]);

struct column {
	const char *name;
	enum measure measure;
	cell_writer write;
};

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* ---- Cells ---- */

static void write_number(char text[CELL_BYTES], double number)
{
	snprintf(text, CELL_BYTES, "%.*f", number < 99.95 ? 1 : 0, number);
}

static void write_ratio(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			enum measure measure, char text[CELL_BYTES])
{
	double ratio = bench_ratio(bench, row, threads, measure);
	size_t length = strlen(text);

	if (ratio > 0)
		snprintf(text + length, CELL_BYTES - length, " %5.2f", ratio);
}

/* Nanoseconds for an operation, and the ratio. */
static void write_ns(const struct bench *bench, const struct bench_row *row, unsigned int threads, enum measure measure,
		     char text[CELL_BYTES])
{
	if (!bench_has(row, threads, measure) || row->kind == BENCH_KERNEL)
		return;
	write_number(text, bench_ns(row, threads, measure));
	write_ratio(bench, row, threads, measure, text);
}

static void write_ms(const struct bench *bench, const struct bench_row *row, unsigned int threads, enum measure measure,
		     char text[CELL_BYTES])
{
	(void)bench;
	if (bench_has(row, threads, measure) && row->kind != BENCH_KERNEL)
		write_number(text, bench_median(row, threads, measure, measurement_wall_ms));
}

/* The time of dropping and compacting together. */
static void write_both_ms(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			  enum measure measure, char text[CELL_BYTES])
{
	(void)bench;
	(void)measure;
	if (bench_has(row, threads, MEASURE_DROP) && row->kind != BENCH_KERNEL)
		write_number(text, bench_median(row, threads, MEASURE_DROP, measurement_wall_ms) +
					   bench_median(row, threads, MEASURE_COMPACT, measurement_wall_ms));
}

static void write_footprint(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			    enum measure measure, char text[CELL_BYTES])
{
	(void)bench;
	if (bench_has(row, threads, measure))
		snprintf(text, CELL_BYTES, "%.3f", bench_median(row, threads, measure, measurement_footprint));
}

/* The calls during churn and long churn together. */
static void write_madvise(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			  enum measure measure, char text[CELL_BYTES])
{
	double calls = 0, operations = 0;

	(void)bench;
	(void)measure;
	for (unsigned int m = MEASURE_CHURN; m <= MEASURE_LONG_CHURN; m++) {
		calls += bench_median(row, threads, m, measurement_madvise_calls);
		operations += bench_median(row, threads, m, measurement_operations);
	}
	if (operations > 0 && bench_counts_madvise(row))
		snprintf(text, CELL_BYTES, "%.2f", 1000 * calls / operations);
}

static void write_moved(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			enum measure measure, char text[CELL_BYTES])
{
	(void)bench;
	if (bench_has(row, threads, measure) && row->figures[threads][measure].rounds[0].moves)
		size_format((uint64_t)bench_median(row, threads, measure, measurement_moved_bytes), text);
}

static void write_hits(const struct bench *bench, const struct bench_row *row, unsigned int threads,
		       enum measure measure, char text[CELL_BYTES])
{
	(void)bench;
	if (bench_has(row, threads, measure))
		snprintf(text, CELL_BYTES, "%.1f %%", 100 * bench_median(row, threads, measure, measurement_hits));
}

/* ---- Tables ---- */

static const struct column time_columns[] = {
	{ "FILL", MEASURE_FILL, write_ns },
	{ "CHURN", MEASURE_CHURN, write_ns },
	{ "LONG-CHURN", MEASURE_LONG_CHURN, write_ns },
	{ "READ", MEASURE_READ, write_ns },
	{ "DROP", MEASURE_DROP, write_ns },
	{ "COMPACT", MEASURE_COMPACT, write_ms },
	{ "BOTH", MEASURE_COMPACT, write_both_ms },
};
static const struct column memory_columns[] = {
	{ "FILL", MEASURE_FILL, write_footprint },
	{ "CHURN", MEASURE_CHURN, write_footprint },
	{ "LONG-CHURN", MEASURE_LONG_CHURN, write_footprint },
	{ "DROP", MEASURE_DROP, write_footprint },
	{ "COMPACT", MEASURE_COMPACT, write_footprint },
	{ "MOVED", MEASURE_COMPACT, write_moved },
	{ "MADVISE", MEASURE_CHURN, write_madvise },
};
static const struct column pair_columns[] = {
	{ "EMPTY", MEASURE_PAIR_EMPTY, write_ns },     { "FULL", MEASURE_PAIR_FULL, write_ns },
	{ "HOLES", MEASURE_PAIR_HOLES, write_ns },     { "COMPACTED", MEASURE_PAIR_COMPACTED, write_ns },
	{ "TRIMMED", MEASURE_PAIR_TRIMMED, write_ns }, { "WORN", MEASURE_PAIR_WORN, write_ns },
};
static const struct column other_columns[] = {
	{ "TRANSFER", MEASURE_TRANSFER, write_ns },
	{ "EVICT", MEASURE_EVICT, write_ns },
	{ "HITS", MEASURE_EVICT, write_hits },
};

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

__attribute__((format(printf, 3, 4))) static void print_title(const struct bench *bench, unsigned int threads,
							      const char *format, ...)
{
	char text[256], title[320];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(title, sizeof(title), "%u thread%s: %s", bench->options.threads[threads],
		 plural(bench->options.threads[threads]), text);
	putchar('\n');
	table_print_text(title);
}

static bool has_any(const struct bench *bench, const struct bench_row *row, unsigned int threads,
		    const struct column *columns, size_t count)
{
	bool any = false;

	for (size_t c = 0; c < count; c++) {
		char text[CELL_BYTES] = "";

		columns[c].write(bench, row, threads, columns[c].measure, text);
		any = any || *text;
	}
	return any;
}

static bool is_wanted(const struct bench *bench, const struct column *column)
{
	uint32_t measures = MEASURE_BIT(column->measure);

	if (column->write == write_madvise)
		measures |= MEASURE_BIT(MEASURE_LONG_CHURN);
	return bench->options.measures & measures;
}

/* Prints the columns that were measured, for the rows that have any of them. */
static void print_table(const struct bench *bench, unsigned int threads, const char *title,
			const struct column *columns, size_t count)
{
	struct table_column heads[CELLS_MAX] = { { .name = "ALLOCATOR" } };
	const struct column *shown[CELLS_MAX];
	struct table *table;
	size_t width = 1;

	for (size_t c = 0; c < count; c++) {
		if (!is_wanted(bench, &columns[c]))
			continue;
		shown[width] = &columns[c];
		heads[width++] = (struct table_column){ .name = columns[c].name, .number = true };
	}
	if (width == 1)
		return;
	print_title(bench, threads, "%s", title);
	table = table_new(heads, width);
	for (size_t r = 0; r < bench->row_count; r++) {
		const struct bench_row *row = &bench->rows[r];
		char text[CELLS_MAX][CELL_BYTES] = { "" };
		const char *cells[CELLS_MAX] = { row->label };

		if (!has_any(bench, row, threads, columns, count))
			continue;
		for (size_t c = 1; c < width; c++) {
			shown[c]->write(bench, row, threads, shown[c]->measure, text[c]);
			cells[c] = *text[c] ? text[c] : NULL;
		}
		table_add(table, cells);
	}
	table_print(table);
}

/* ---- Latencies ---- */

static const struct {
	enum measure measure;
	enum call call;
	const char *title;
} latencies[] = {
	{ MEASURE_CHURN, CALL_STORE, "how long a store takes in churn" },
	{ MEASURE_CHURN, CALL_DROP, "how long a drop takes in churn" },
	{ MEASURE_READ, CALL_READ, "how long a read takes" },
	{ MEASURE_STALL, CALL_STORE, "how long a store takes while another thread compacts" },
	{ MEASURE_STALL, CALL_DROP, "how long a drop takes while another thread compacts" },
};

static void add_latency(struct table *table, const struct bench_row *row, const struct latency *latency)
{
	const uint64_t ns[] = { latency->p50_ns,  latency->p90_ns,   latency->p99_ns,
				latency->p999_ns, latency->p9999_ns, latency->largest_ns };
	char text[6][SIZE_TEXT];
	const char *cells[7] = { row->label };

	for (unsigned int i = 0; i < 6; i++)
		cells[i + 1] = size_format_ns((double)ns[i], text[i]);
	table_add(table, cells);
}

static void print_latencies(const struct bench *bench, unsigned int threads)
{
	static const struct table_column heads[] = {
		{ .name = "ALLOCATOR" },
		{ .name = "P50", .number = true },
		{ .name = "P90", .number = true },
		{ .name = "P99", .number = true },
		{ .name = "P99.9", .number = true },
		{ .name = "P99.99", .number = true },
		{ .name = "LONGEST", .number = true },
	};

	for (size_t l = 0; l < sizeof(latencies) / sizeof(latencies[0]); l++) {
		struct table *table;

		if (!(bench->options.measures & MEASURE_BIT(latencies[l].measure)) ||
		    (latencies[l].measure == MEASURE_STALL && threads))
			continue;
		print_title(bench, threads, "%s", latencies[l].title);
		table = table_new(heads, sizeof(heads) / sizeof(heads[0]));
		for (size_t r = 0; r < bench->row_count; r++) {
			const struct measurement *watched =
				&bench->rows[r].figures[threads][latencies[l].measure].watched;

			if (watched->latency[latencies[l].call].count)
				add_latency(table, &bench->rows[r], &watched->latency[latencies[l].call]);
		}
		table_print(table);
	}
}

/* ---- Header and notes ---- */

static void print_versions(const struct bench *bench)
{
	char *line = NULL;
	size_t size;
	FILE *stream = open_memstream(&line, &size);

	if (!stream)
		out_of_memory();
	fprintf(stream, "libzpool %s", zpool_version());
	for (size_t r = 0; r < bench->row_count; r++)
		if (*bench->rows[r].version)
			fprintf(stream, ", %s %s", bench->rows[r].label, bench->rows[r].version);
	text_end(stream, &line);
	table_print_text(line);
	free(line);
}

static void print_head(const struct bench *bench)
{
	struct machine machine;
	char text[320];

	machine_describe(&machine);
	snprintf(text, sizeof(text), "%s: %zu objects of %.0f bytes in the mean; medians of %u round%s, seed %" PRIu64,
		 bench->sizes.text, bench->sizes.count, (double)bench->sizes.sum / (double)bench->sizes.count,
		 bench->options.rounds, plural(bench->options.rounds), bench->options.seed);
	table_print_text(text);
	snprintf(text, sizeof(text), "%s, %u processor%s, %s", machine.processor, machine.processors,
		 plural(machine.processors), machine.kernel);
	table_print_text(text);
	print_versions(bench);
}

static void print_note(const struct bench_row *row, const char *what, const char *note)
{
	char *line;

	if (asprintf(&line, "%s: %s: %s", row->label, what, note) < 0)
		out_of_memory();
	table_print_text(line);
	free(line);
}

/* Explains missing figures, with one line for all measures that have the same reason. */
static void print_notes(const struct bench_row *row)
{
	uint32_t done = 0;

	if (row->note)
		print_note(row, row->kind == BENCH_DRIVER ? "failed" : "not measured", row->note);
	for (unsigned int m = 0; m < MEASURES; m++) {
		char what[256] = "";

		if (!row->notes[m] || done & MEASURE_BIT(m))
			continue;
		for (unsigned int other = m; other < MEASURES; other++) {
			size_t length = strlen(what);

			if (!row->notes[other] || strcmp(row->notes[m], row->notes[other]))
				continue;
			done |= MEASURE_BIT(other);
			snprintf(what + length, sizeof(what) - length, "%s%s", length ? ", " : "", measure_name(other));
		}
		print_note(row, what, row->notes[m]);
	}
}

void bench_report(const struct bench *bench)
{
	print_head(bench);
	for (unsigned int t = 0; t < bench->options.thread_count; t++) {
		print_table(bench, t, "ns per operation, and ratio to the fastest malloc; COMPACT, BOTH: ms",
			    COLUMNS(time_columns));
		print_table(bench, t, "memory divided by live bytes; MADVISE: calls per 1000 replacements",
			    COLUMNS(memory_columns));
		print_table(bench, t, "ns for a hot malloc and free of 1000 bytes, by the state of the pool",
			    COLUMNS(pair_columns));
		print_table(bench, t, "ns for a transfer, ns for an access to a cache, and the share of hits",
			    COLUMNS(other_columns));
		print_latencies(bench, t);
	}
	putchar('\n');
	for (size_t r = 0; r < bench->row_count; r++)
		print_notes(&bench->rows[r]);
}
