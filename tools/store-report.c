/* SPDX-License-Identifier: MIT
 *
 * store-report.c - what zpoolctl store prints
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "size.h"
#include "store.h"
#include "table.h"
#include "text.h"
#include "timed.h"

static uint64_t per(uint64_t sum, uint64_t count)
{
	return count ? (sum + count / 2) / count : 0;
}

static json_t *per_json(uint64_t sum, uint64_t count)
{
	return count ? json_integer((json_int_t)per(sum, count)) : json_null();
}

/* Returns the live bytes divided by the memory that they use, or 0 if the memory did not grow. */
static double density(const struct trial_result *result)
{
	return result->rss_growth_bytes ? (double)result->live_bytes / (double)result->rss_growth_bytes : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for people
 */

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void print_source(const struct store *store)
{
	const struct store_options *options = &store->options;

	if (options->pid)
		printf("Process %d", (int)options->pid);
	else if (options->path_count == 1)
		text_print(stdout, strcmp(options->paths[0], "-") ? options->paths[0] : "Standard input");
	else
		printf("%zu paths", options->path_count);
	if (options->pid)
		printf(": %" PRIu64 " private mapping%s", store->intake.mappings, plural(store->intake.mappings));
	else
		printf(": %" PRIu64 " file%s", store->intake.files, plural(store->intake.files));
	if (store->intake.skipped)
		printf(", %" PRIu64 " skipped", store->intake.skipped);
}

static void print_input(const struct store *store)
{
	const struct units *units = &store->units;
	uint64_t not_filled = units->count - units->same_filled;
	char bytes[SIZE_TEXT], unit[SIZE_TEXT], packed[SIZE_TEXT], limit[SIZE_TEXT];

	print_source(store);
	printf(", %s in %zu unit%s of %s", size_format(units->originals.bytes, bytes), units->count,
	       plural(units->count), size_format(units->unit_bytes, unit));
	if (store->options.limit_bytes)
		printf("; pools limited to %s", size_format(store->options.limit_bytes, limit));
	printf("\n%" PRIu64 " same-filled, %" PRIu64 " compressed with %s, %" PRIu64 " incompressible: %s to store\n\n",
	       units->same_filled, not_filled - units->raw, timed_name(), units->raw,
	       size_format(units->stored_bytes, packed));
}

/*
 * Says how much the word "identical" covers: units that were refused or never reached the driver were not compared in
 * it.
 */
static int identical_text(const struct trial_result *result, char **text)
{
	uint64_t refused = result->refused_too_large + result->refused_no_memory;

	if (*result->message)
		return asprintf(text, "nothing to compare: %s", result->message);
	if (refused)
		return asprintf(text, "identical: %" PRIu64 " of %" PRIu64 " compared, %" PRIu64 " refused",
				result->compared, result->compared + refused, refused);
	return asprintf(text, "identical");
}

char *store_outcome_text(const struct store_row *row)
{
	const struct trial_result *result = &row->result;
	char *text;
	int length;

	switch (row->outcome) {
	case STORE_IDENTICAL:
		length = identical_text(result, &text);
		break;
	case STORE_DIFFERS:
		length = asprintf(&text, "%" PRIu64 " differ%s", result->differing, result->differing == 1 ? "s" : "");
		break;
	case STORE_REFUSED:
		length = asprintf(&text, "refused: %s", result->message);
		break;
	default:
		/* The reason may be long; the full text is on standard error. */
		length = asprintf(&text, "failed: %.64s%s", result->message, strlen(result->message) > 64 ? "..." : "");
		break;
	}
	if (length < 0)
		out_of_memory();
	return text;
}

enum column { DRIVER, UNITS, SAME, REFUSED, EVICTED, STORED, POOL, RSS, DENSITY, STORE, LOAD, RESULT, COLUMN_COUNT };

struct cells {
	char text[COLUMN_COUNT][24];
	const char *at[COLUMN_COUNT];
};

static void set_count(struct cells *cells, enum column column, uint64_t count)
{
	snprintf(cells->text[column], sizeof(cells->text[column]), "%" PRIu64, count);
	cells->at[column] = cells->text[column];
}

static void set_size(struct cells *cells, enum column column, uint64_t bytes)
{
	cells->at[column] = size_format(bytes, cells->text[column]);
}

static void set_time(struct cells *cells, enum column column, uint64_t sum_ns, uint64_t count)
{
	if (count)
		cells->at[column] = size_format_ns((double)sum_ns / (double)count, cells->text[column]);
}

static void fill_cells(const struct store *store, const struct store_row *row, struct cells *cells)
{
	const struct trial_result *result = &row->result;

	set_count(cells, UNITS, store->units.count);
	set_count(cells, SAME, store->units.same_filled);
	set_count(cells, REFUSED, result->refused_too_large + result->refused_no_memory);
	set_count(cells, EVICTED, result->evicted);
	/* The measurements are taken after all units are stored, so a driver that failed earlier has none. */
	if (result->phase <= TRIAL_STORING)
		return;
	set_size(cells, STORED, result->live_bytes);
	set_size(cells, POOL, result->pool_bytes);
	set_size(cells, RSS, result->rss_growth_bytes);
	if (result->rss_growth_bytes) {
		snprintf(cells->text[DENSITY], sizeof(cells->text[DENSITY]), "%.3f", density(result));
		cells->at[DENSITY] = cells->text[DENSITY];
	}
	set_time(cells, STORE, result->store_ns, result->stored);
	set_time(cells, LOAD, result->load_ns, result->loaded);
}

static void print_table(const struct store *store)
{
	static const struct table_column all[COLUMN_COUNT] = {
		[DRIVER] = { .name = "DRIVER" },
		[UNITS] = { .name = "UNITS", .number = true, .dropped = 2 },
		[SAME] = { .name = "SAME", .number = true, .dropped = 1 },
		[REFUSED] = { .name = "REFUSED", .number = true, .dropped = 6 },
		[EVICTED] = { .name = "EVICTED", .number = true, .dropped = 5 },
		[STORED] = { .name = "STORED", .number = true, .dropped = 3 },
		[POOL] = { .name = "POOL", .number = true, .dropped = 4 },
		[RSS] = { .name = "RSS", .number = true, .dropped = 7 },
		[DENSITY] = { .name = "DENSITY", .number = true },
		[STORE] = { .name = "STORE", .number = true },
		[LOAD] = { .name = "LOAD", .number = true },
		[RESULT] = { .name = "RESULT", .wrapped = true },
	};
	bool shown[COLUMN_COUNT];
	struct table_column columns[COLUMN_COUNT];
	struct table *table;
	size_t count = 0;

	for (size_t c = 0; c < COLUMN_COUNT; c++) {
		shown[c] = c != EVICTED || store->options.limit_bytes;
		if (shown[c])
			columns[count++] = all[c];
	}
	table = table_new(columns, count);
	for (size_t r = 0; r < store->row_count; r++) {
		const struct store_row *row = &store->rows[r];
		struct cells cells = { .at = { NULL } };
		const char *at[COLUMN_COUNT];
		char *outcome = store_outcome_text(row);

		if (row->run)
			fill_cells(store, row, &cells);
		cells.at[DRIVER] = row->label;
		cells.at[RESULT] = outcome;
		count = 0;
		for (size_t c = 0; c < COLUMN_COUNT; c++)
			if (shown[c])
				at[count++] = cells.at[c];
		table_add(table, at);
		free(outcome);
	}
	table_print(table);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for programs
 */

static json_t *input_json(const struct store *store)
{
	const struct store_options *options = &store->options;
	const struct units *units = &store->units;
	uint64_t packed = units->count - units->same_filled;
	json_t *paths = json_array();

	for (size_t i = 0; i < options->path_count; i++)
		json_array_append_new(paths, json_text(options->paths[i]));
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "paths", paths,
			 "pid", options->pid ? json_integer(options->pid) : json_null(), "files",
			 (json_int_t)store->intake.files, "skipped", (json_int_t)store->intake.skipped,
			 "vanished_bytes", (json_int_t)store->intake.vanished_bytes, "bytes",
			 (json_int_t)units->originals.bytes, "unit_bytes", (int)units->unit_bytes, "units",
			 (json_int_t)units->count, "same_filled", (json_int_t)units->same_filled, "compressed",
			 (json_int_t)(packed - units->raw), "incompressible", (json_int_t)units->raw, "stored_bytes",
			 (json_int_t)units->stored_bytes, "compressor", timed_name(), "compress_ns",
			 per_json(units->compress_ns, packed));
}

static json_t *row_json(const struct store *store, const struct store_row *row)
{
	static const char *const outcomes[] = { "identical", "differs", "failed", "refused" };
	const struct trial_result *result = &row->result;
	json_t *refused = json_pack("{s:I, s:I}", "too_large", (json_int_t)result->refused_too_large, "no_memory",
				    (json_int_t)result->refused_no_memory);

	return json_pack(
		"{s:o, s:o, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:s, s:o, s:o, s:o}",
		"driver", json_text(row->label), "spec", json_text(row->spec), "units", (json_int_t)store->units.count,
		"same_filled", (json_int_t)store->units.same_filled, "stored", (json_int_t)result->stored, "refused",
		refused, "evicted", (json_int_t)result->evicted, "stored_bytes", (json_int_t)result->live_bytes,
		"pool_bytes", (json_int_t)result->pool_bytes, "rss_growth_bytes", (json_int_t)result->rss_growth_bytes,
		"density", result->rss_growth_bytes ? json_real(density(result)) : json_null(), "store_ns",
		per_json(result->store_ns, result->stored), "load_ns", per_json(result->load_ns, result->loaded),
		"unpack_ns", per_json(result->unpack_ns, result->unpacked), "evict_ns",
		per_json(result->evict_ns, result->evicted), "compared", (json_int_t)result->compared, "differing",
		(json_int_t)result->differing, "result", outcomes[row->outcome], "reason",
		*result->message ? json_text(result->message) : json_null(), "statistics", store_stats_json(row),
		"classes", store_classes_json(row));
}

void store_report(const struct store *store)
{
	json_t *rows;

	if (!store->options.as_json) {
		print_table(store);
		if (store->options.stats)
			store_print_stats(store);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < store->row_count; i++)
		json_array_append_new(rows, row_json(store, &store->rows[i]));
	json_print(json_pack("{s:o, s:o, s:o}", "input", input_json(store), "limit_bytes",
			     store->options.limit_bytes ? json_number(store->options.limit_bytes) : json_null(),
			     "drivers", rows));
}

void store_report_input(const struct store *store)
{
	if (!store->options.as_json)
		print_input(store);
}
