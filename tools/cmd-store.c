/* SPDX-License-Identifier: MIT
 *
 * cmd-store.c - zpoolctl store
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intake.h"
#include "message.h"
#include "output.h"
#include "size.h"
#include "stats-report.h"
#include "store.h"
#include "trial.h"
#include "zpoolctl.h"

/* Reads and compresses the input. Returns 0, or STATUS_FAILED after a message. */
static int take_in(struct store *store)
{
	const struct store_options *options = &store->options;
	struct units *units = &store->units;
	char bytes[SIZE_TEXT];
	int error = units_init(units, options->unit_bytes);

	if (!error)
		error = options->pid ? intake_process(units, options->pid, &store->intake)
				     : intake_files(units, options->paths, &store->intake);
	if (!error)
		error = units_finish(units);
	if (error)
		return STATUS_FAILED;
	if (store->intake.vanished_bytes)
		warn("the process released %s of its memory while it was read",
		     size_format(store->intake.vanished_bytes, bytes));
	if (!units->count) {
		if (options->pid)
			warn("nothing to store: process %d has no private memory that it has written to",
			     (int)options->pid);
		else
			warn("nothing to store: the given paths contain no data");
		return STATUS_FAILED;
	}
	return 0;
}

/*
 * Writes the stored size of each unit to a file, for other programs to draw sizes from. Returns 0, or STATUS_FAILED
 * after a message.
 */
static int write_sizes(const struct units *units, const char *path)
{
	struct output output;

	if (!output_begin(&output, path))
		return STATUS_FAILED;
	for (size_t i = 0; i < units->count; i++)
		if (!unit_is_same_filled(&units->at[i]))
			fprintf(output.stream, "%" PRIu32 "\n", units->at[i].stored_bytes);
	return output_end(&output) ? 0 : STATUS_FAILED;
}

static enum store_outcome judge(struct trial_result *result)
{
	if (result->error)
		return STORE_FAILED;
	if (result->differing)
		return STORE_DIFFERS;
	if (result->stored)
		return STORE_IDENTICAL;
	/* Same-filled units are compared too, although they never reach the driver. */
	if (!result->refused_too_large && !result->refused_no_memory) {
		snprintf(result->message, sizeof(result->message), "no unit had to be stored");
		return STORE_IDENTICAL;
	}
	snprintf(result->message, sizeof(result->message), "the driver accepted no unit");
	return STORE_REFUSED;
}

/* Returns 0, or STATUS_FAILED after a message. */
static int try_drivers(struct store *store)
{
	for (size_t i = 0; i < store->row_count; i++) {
		struct store_row *row = &store->rows[i];
		struct trial trial = {
			.spec = row->spec,
			.units = &store->units,
			.evicting = store->options.limit_bytes != 0,
			.timeout_seconds = store->options.timeout_seconds,
		};

		if (row->run) {
			trial.reported = row->reported = trial_stats_new();
			if (!row->reported)
				out_of_memory();
			if (trial_run(&trial, &row->result))
				return STATUS_FAILED;
			row->outcome = judge(&row->result);
		}
		if (*row->result.message && row->outcome != STORE_REFUSED && row->outcome != STORE_IDENTICAL)
			warn("%s: %s", row->label, row->result.message);
	}
	return 0;
}

/* A driver that the user did not name is not a failure if it cannot do what was asked; the report only shows it. */
static int status_of(const struct store *store)
{
	if (store->intake.skipped)
		return STATUS_FAILED;
	for (size_t i = 0; i < store->row_count; i++) {
		const struct store_row *row = &store->rows[i];

		if (row->outcome != STORE_IDENTICAL && (row->named || row->outcome != STORE_REFUSED))
			return STATUS_FAILED;
	}
	return STATUS_OK;
}

static void store_free(struct store *store)
{
	for (size_t i = 0; i < store->row_count; i++) {
		free(store->rows[i].label);
		free(store->rows[i].spec);
		trial_stats_free(store->rows[i].reported);
	}
	free(store->rows);
	units_fini(&store->units);
	store_options_free(&store->options);
}

int cmd_store(int argc, char **argv)
{
	struct store store = { .row_count = 0 };
	int status = store_parse(argc, argv, &store.options);

	if (!status && store.options.sizes_path && !output_check(store.options.sizes_path))
		status = STATUS_FAILED;
	if (!status && !stats_report_start())
		status = STATUS_FAILED;
	if (!status)
		status = store_plan(&store);
	if (!status)
		status = take_in(&store);
	if (!status && store.options.sizes_path)
		status = write_sizes(&store.units, store.options.sizes_path);
	if (!status) {
		store_report_input(&store);
		status = try_drivers(&store);
	}
	if (!status) {
		store_report(&store);
		status = stats_report_failed() ? STATUS_FAILED : status_of(&store);
	}
	store_free(&store);
	return status;
}
