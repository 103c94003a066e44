/* SPDX-License-Identifier: MIT
 *
 * figures.c - medians of the measurements, and ratios
 */
#include <config.h>

#include <stdlib.h>

#include "allocator.h"
#include "bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

bool bench_has(const struct bench_row *row, unsigned int threads, enum measure measure)
{
	return row->figures[threads][measure].count;
}

double bench_median(const struct bench_row *row, unsigned int threads, enum measure measure,
		    double (*number)(const struct measurement *measurement))
{
	const struct figures *figures = &row->figures[threads][measure];
	double values[BENCH_ROUNDS_MAX];
	unsigned int half = figures->count / 2;

	if (!figures->count)
		return 0;
	for (unsigned int i = 0; i < figures->count; i++)
		values[i] = number(&figures->rounds[i]);
	qsort(values, figures->count, sizeof(*values), compare);
	return figures->count % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double bench_extreme(const struct bench_row *row, unsigned int threads, enum measure measure, bool largest,
		     double (*number)(const struct measurement *measurement))
{
	const struct figures *figures = &row->figures[threads][measure];
	double found = 0;

	for (unsigned int i = 0; i < figures->count; i++) {
		double value = number(&figures->rounds[i]);

		if (!i || (largest ? value > found : value < found))
			found = value;
	}
	return found;
}

double measurement_ns(const struct measurement *measurement)
{
	double ns = (double)measurement->wall_ns / (double)(measurement->operations ? measurement->operations : 1);

	/* The threads of a pair do not share the work: each one does the same. */
	return measure_group(measurement->measure) == GROUP_PAIR ? ns * (double)measurement->threads : ns;
}

double measurement_wall_ms(const struct measurement *measurement)
{
	return (double)measurement->wall_ns / 1e6;
}

double measurement_footprint(const struct measurement *measurement)
{
	if (!measurement->live_bytes)
		return 0;
	return (double)(measurement->rss_bytes + measurement->page_table_bytes) / (double)measurement->live_bytes;
}

double measurement_hits(const struct measurement *measurement)
{
	return (double)measurement->hits / (double)(measurement->operations ? measurement->operations : 1);
}

double measurement_operations(const struct measurement *measurement)
{
	return (double)measurement->operations;
}

double measurement_live_bytes(const struct measurement *measurement)
{
	return (double)measurement->live_bytes;
}

double measurement_rss_bytes(const struct measurement *measurement)
{
	return (double)measurement->rss_bytes;
}

double measurement_page_table_bytes(const struct measurement *measurement)
{
	return (double)measurement->page_table_bytes;
}

double measurement_pool_bytes(const struct measurement *measurement)
{
	return (double)measurement->pool_bytes;
}

double measurement_madvise_calls(const struct measurement *measurement)
{
	return (double)measurement->madvise_calls;
}

double measurement_moved_bytes(const struct measurement *measurement)
{
	return (double)measurement->moved_bytes;
}

double bench_ns(const struct bench_row *row, unsigned int threads, enum measure measure)
{
	return bench_median(row, threads, measure, measurement_ns);
}

double bench_ratio(const struct bench *bench, const struct bench_row *row, unsigned int threads, enum measure measure)
{
	double fastest = 0;

	for (size_t r = 0; r < bench->row_count; r++) {
		double ns = bench_ns(&bench->rows[r], threads, measure);

		if (bench->rows[r].kind == BENCH_MALLOC && ns > 0 && (fastest == 0 || ns < fastest))
			fastest = ns;
	}
	return fastest > 0 ? bench_ns(row, threads, measure) / fastest : 0;
}

bool bench_counts_madvise(const struct bench_row *row)
{
	if (row->kind == BENCH_MALLOC)
		return malloc_kinds[row->malloc_number].counts_madvise;
	return row->kind == BENCH_DRIVER;
}
