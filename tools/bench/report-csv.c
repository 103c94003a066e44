/* SPDX-License-Identifier: MIT
 *
 * report-csv.c - the results of zpoolctl bench as comma-separated values (RFC 4180, but lines end in \n)
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../text.h"
#include "bench.h"

/* Control characters are escaped here too, because the output may reach a terminal. */
static void print_text(const char *text)
{
	char *safe = text_escape(text);

	if (!strpbrk(safe, ",\"")) {
		fputs(safe, stdout);
	} else {
		putchar('"');
		for (const char *c = safe; *c; c++)
			printf(*c == '"' ? "\"\"" : "%c", *c);
		putchar('"');
	}
	free(safe);
}

static void print_times(const struct bench *bench, const struct bench_row *row, unsigned int threads,
			enum measure measure)
{
	const struct figures *figures = &row->figures[threads][measure];
	double ratio;

	if (!figures->count || row->kind == BENCH_KERNEL) {
		fputs(",,,,", stdout);
		return;
	}
	ratio = bench_ratio(bench, row, threads, measure);
	printf(",%.2f,%.2f,%.2f,", bench_ns(row, threads, measure),
	       bench_extreme(row, threads, measure, false, measurement_ns),
	       bench_extreme(row, threads, measure, true, measurement_ns));
	if (ratio > 0)
		printf("%.4f", ratio);
}

static void print_memory(const struct bench_row *row, unsigned int threads, enum measure measure)
{
	if (!row->figures[threads][measure].count) {
		fputs(",,,,,,,,", stdout);
		return;
	}
	printf(",%.0f,%.0f,%.0f,%.0f,", bench_median(row, threads, measure, measurement_operations),
	       bench_median(row, threads, measure, measurement_live_bytes),
	       bench_median(row, threads, measure, measurement_rss_bytes),
	       bench_median(row, threads, measure, measurement_page_table_bytes));
	if (row->kind != BENCH_MALLOC)
		printf("%.0f", bench_median(row, threads, measure, measurement_pool_bytes));
	putchar(',');
	if (bench_counts_madvise(row))
		printf("%.0f", bench_median(row, threads, measure, measurement_madvise_calls));
	putchar(',');
	if (row->figures[threads][measure].rounds[0].moves)
		printf("%.0f", bench_median(row, threads, measure, measurement_moved_bytes));
	putchar(',');
	if (bench_median(row, threads, measure, measurement_footprint) > 0)
		printf("%.4f", bench_median(row, threads, measure, measurement_footprint));
}

static void print_latencies(const struct measurement *watched)
{
	for (unsigned int c = 0; c < CALLS; c++) {
		const struct latency *latency = &watched->latency[c];

		if (!latency->count)
			fputs(",,,,,,", stdout);
		else
			printf(",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, latency->p50_ns,
			       latency->p90_ns, latency->p99_ns, latency->p999_ns, latency->p9999_ns,
			       latency->largest_ns);
	}
}

static void print_head(void)
{
	static const char *const calls[CALLS] = { "store", "drop", "read" };
	static const char *const shares[] = { "p50", "p90", "p99", "p99_9", "p99_99", "longest" };

	fputs("allocator,kind,threads,measure,ns,ns_least,ns_most,ratio,operations,live_bytes,rss_bytes,page_table_bytes,pool_bytes,madvise_calls,moved_bytes,footprint",
	      stdout);
	for (unsigned int c = 0; c < CALLS; c++)
		for (size_t s = 0; s < sizeof(shares) / sizeof(shares[0]); s++)
			printf(",%s_%s_ns", calls[c], shares[s]);
	putchar('\n');
}

void bench_report_csv(const struct bench *bench)
{
	static const char *const kinds[] = { "driver", "malloc", "kernel" };

	print_head();
	for (size_t r = 0; r < bench->row_count; r++)
		for (unsigned int t = 0; t < bench->options.thread_count; t++)
			for (unsigned int m = 0; m < MEASURES; m++) {
				const struct bench_row *row = &bench->rows[r];

				if (!bench_has(row, t, m) && !row->figures[t][m].watched.operations)
					continue;
				print_text(row->label);
				printf(",%s,%u,%s", kinds[row->kind], bench->options.threads[t], measure_name(m));
				print_times(bench, row, t, m);
				print_memory(row, t, m);
				print_latencies(&row->figures[t][m].watched);
				putchar('\n');
			}
}
