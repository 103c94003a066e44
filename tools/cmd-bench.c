/* SPDX-License-Identifier: MIT
 *
 * cmd-bench.c - zpoolctl bench
 */
#include <config.h>

#include "bench/bench.h"
#include "zpoolctl.h"

static int status_of(const struct bench *bench)
{
	for (size_t r = 0; r < bench->row_count; r++) {
		const struct bench_row *row = &bench->rows[r];

		/* A malloc that is not installed counts as a failure only if the user named it. */
		if (row->failed && (row->named || row->kind == BENCH_DRIVER))
			return STATUS_FAILED;
		for (unsigned int m = 0; m < MEASURES; m++)
			if (row->named && row->notes[m] && bench->options.workloads_named)
				return STATUS_FAILED;
	}
	return STATUS_OK;
}

static void report(const struct bench *bench)
{
	switch (bench->options.form) {
	case BENCH_JSON:
		bench_report_json(bench);
		break;
	case BENCH_CSV:
		bench_report_csv(bench);
		break;
	default:
		bench_report(bench);
		break;
	}
}

int cmd_bench(int argc, char **argv)
{
	struct bench bench = { .row_count = 0 };
	int status = bench_parse(argc, argv, &bench.options);

	if (!status && bench.options.plot_path && !bench_can_plot(bench.options.plot_path))
		status = STATUS_FAILED;
	if (!status)
		status = bench_plan(&bench);
	if (!status)
		status = bench_measure(&bench);
	if (!status) {
		report(&bench);
		status = status_of(&bench);
		if (bench.options.plot_path && bench_plot(&bench))
			status = STATUS_FAILED;
	}
	bench_free(&bench);
	return status;
}
