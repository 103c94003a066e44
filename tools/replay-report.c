/* SPDX-License-Identifier: MIT
 *
 * replay-report.c - what zpoolctl replay prints
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "message.h"
#include "replay.h"
#include "size.h"
#include "table.h"
#include "text.h"

const char *const replay_reasons[TRACE_EOTHER + 1] = {
	NULL, "invalid", "no_memory", "too_large", "again", "busy", "unsupported", "other",
};

static double density(const struct replay_result *result)
{
	return result->rss_growth_bytes ? (double)result->live_at_peak / (double)result->rss_growth_bytes : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for people
 */

static void print_trace(const struct replay *replay)
{
	const struct trace_totals *totals = &replay->trace.totals;
	char bytes[SIZE_TEXT], limit[SIZE_TEXT];

	text_print(stdout, replay->path);
	printf(": %" PRIu64 " call%s on ", totals->calls, totals->calls == 1 ? "" : "s");
	text_print(stdout, replay->trace.spec);
	printf(" in %.3f s, threads: %" PRIu64 ", %s written", (double)totals->ns / 1e9, totals->threads,
	       size_format(replay->trace.size, bytes));
	if (replay->trace.limit_bytes)
		printf("; limited to %s", size_format(replay->trace.limit_bytes, limit));
	if (totals->lost)
		printf("; %" PRIu64 " call%s missing", totals->lost, totals->lost == 1 ? " is" : "s are");
	if (replay->trace.cut_off)
		printf("; the file is cut off there");
	printf("\n\n");
}

/* "2 no_memory, 1 busy", or "-" */
static void describe_failures(const uint64_t *failed, char *text, size_t size)
{
	size_t at = 0;

	snprintf(text, size, "-");
	for (int i = 1; i <= TRACE_EOTHER && at < size; i++)
		if (failed[i])
			at += (size_t)snprintf(text + at, size - at, "%s%" PRIu64 " %s", at ? ", " : "", failed[i],
					       replay_reasons[i]);
}

enum column {
	DRIVER,
	OBJECTS,
	LIVE,
	BYTES,
	HELD,
	STORED,
	POOL,
	RSS,
	DENSITY,
	MALLOC,
	FREE,
	MAP,
	EVICTED,
	FAILED,
	RESULT,
	COLUMN_COUNT
};

struct cells {
	char text[COLUMN_COUNT][160];
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

static void set_failures(struct cells *cells, const uint64_t *failed)
{
	describe_failures(failed, cells->text[FAILED], sizeof(cells->text[FAILED]));
	cells->at[FAILED] = cells->text[FAILED];
}

static void fill_recorded(const struct trace_file *trace, struct cells *cells)
{
	const struct trace_totals *totals = &trace->totals;

	cells->at[DRIVER] = "(recorded)";
	set_count(cells, OBJECTS, totals->objects);
	set_count(cells, LIVE, totals->objects_peak);
	set_size(cells, BYTES, totals->bytes_peak);
	if (!trace->cut_off)
		set_size(cells, HELD, totals->held_peak);
	set_failures(cells, totals->failed);
}

static void fill_row(const struct replay_result *result, struct cells *cells)
{
	set_count(cells, OBJECTS, result->objects);
	set_count(cells, LIVE, result->objects_peak);
	set_size(cells, BYTES, result->bytes_peak);
	set_size(cells, HELD, result->held_peak);
	set_count(cells, EVICTED, result->evicted);
	set_time(cells, MALLOC, result->malloc_ns, result->mallocs);
	set_time(cells, FREE, result->free_ns, result->frees);
	set_time(cells, MAP, result->map_ns, result->maps);
	set_failures(cells, result->failed);
	if (!result->measured)
		return;
	set_size(cells, STORED, result->live_at_peak);
	set_size(cells, POOL, result->held_at_peak);
	set_size(cells, RSS, result->rss_growth_bytes);
	if (result->rss_growth_bytes) {
		snprintf(cells->text[DENSITY], sizeof(cells->text[DENSITY]), "%.3f", density(result));
		cells->at[DENSITY] = cells->text[DENSITY];
	}
}

/* Returns the last column of the table. The caller frees it. */
static char *outcome_text(const struct store_row *row, const struct replay_result *result)
{
	char *text;

	if (row->outcome != STORE_IDENTICAL)
		return store_outcome_text(row);
	if (asprintf(&text,
		     !result->objects_compared                    ? "nothing to compare"
		     : result->objects_compared < result->objects ? "identical: %" PRIu64 " of %" PRIu64 " compared"
								  : "identical",
		     result->objects_compared, result->objects) < 0)
		out_of_memory();
	return text;
}

static const char *was_or_were(uint64_t count)
{
	return count == 1 ? "was" : "were";
}

/* Explains why objects were not compared. */
static void print_uncompared(const struct store_row *row, const struct replay_result *result)
{
	if (!result || row->outcome != STORE_IDENTICAL || result->objects_compared == result->objects)
		return;
	text_print(stdout, row->label);
	printf(": %" PRIu64 " of %" PRIu64 " object%s %s compared", result->objects_compared, result->objects,
	       result->objects == 1 ? "" : "s", was_or_were(result->objects));
	if (result->objects_unwritten)
		printf("; %" PRIu64 " %s never written", result->objects_unwritten,
		       was_or_were(result->objects_unwritten));
	if (result->objects_unread)
		printf("; %" PRIu64 " %s not read before being freed", result->objects_unread,
		       was_or_were(result->objects_unread));
	putchar('\n');
}

static void print_table(const struct replay *replay)
{
	static const struct table_column columns[COLUMN_COUNT] = {
		[DRIVER] = { .name = "DRIVER" },
		[OBJECTS] = { .name = "OBJECTS", .number = true },
		[LIVE] = { .name = "AT ONCE", .number = true },
		[BYTES] = { .name = "BYTES", .number = true },
		[HELD] = { .name = "PEAK", .number = true },
		[STORED] = { .name = "STORED", .number = true },
		[POOL] = { .name = "POOL", .number = true },
		[RSS] = { .name = "RSS", .number = true },
		[DENSITY] = { .name = "DENSITY", .number = true },
		[MALLOC] = { .name = "MALLOC", .number = true },
		[FREE] = { .name = "FREE", .number = true },
		[MAP] = { .name = "MAP", .number = true },
		[EVICTED] = { .name = "EVICTED", .number = true },
		[FAILED] = { .name = "FAILED" },
		[RESULT] = { .name = "RESULT" },
	};
	struct table *table = table_new(columns, COLUMN_COUNT);
	struct cells recorded = { .at = { NULL } };

	fill_recorded(&replay->trace, &recorded);
	table_add(table, recorded.at);
	for (size_t r = 0; r < replay->store.row_count; r++) {
		const struct store_row *row = &replay->store.rows[r];
		struct cells cells = { .at = { NULL } };
		char *outcome = outcome_text(row, replay->results[r]);

		if (replay->results[r])
			fill_row(replay->results[r], &cells);
		cells.at[DRIVER] = row->label;
		cells.at[RESULT] = outcome;
		table_add(table, cells.at);
		free(outcome);
	}
	table_print(table);
	for (size_t r = 0; r < replay->store.row_count; r++)
		print_uncompared(&replay->store.rows[r], replay->results[r]);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for programs
 */

static json_t *failures_json(const uint64_t *failed)
{
	json_t *object = json_object();

	for (int i = 1; i <= TRACE_EOTHER; i++)
		json_object_set_new(object, replay_reasons[i], json_number(failed[i]));
	return object;
}

static json_t *recorded_json(const struct replay *replay)
{
	const struct trace_totals *totals = &replay->trace.totals;

	const bool whole = !replay->trace.cut_off;

	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "file", json_text(replay->path), "cut_off", !whole, "file_bytes",
			 json_number(replay->trace.size), "spec", json_text(replay->trace.spec), "limit_bytes",
			 replay->trace.limit_bytes ? json_number(replay->trace.limit_bytes) : json_null(), "calls",
			 json_number(totals->calls), "missing_calls", whole ? json_number(totals->lost) : json_null(),
			 "threads", json_number(totals->threads), "ns", json_number(totals->ns), "objects",
			 json_number(totals->objects), "objects_live", json_number(totals->objects_live),
			 "objects_peak", json_number(totals->objects_peak), "bytes", json_number(totals->bytes),
			 "bytes_live", json_number(totals->bytes_live), "bytes_peak", json_number(totals->bytes_peak),
			 "pool_bytes_peak", whole ? json_number(totals->held_peak) : json_null(), "pool_bytes",
			 whole ? json_number(totals->held_live) : json_null(), "failed", failures_json(totals->failed));
}

static json_t *mean(uint64_t sum_ns, uint64_t count)
{
	return count ? json_number((sum_ns + count / 2) / count) : json_null();
}

static json_t *result_json(const struct replay_result *result)
{
	return json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"calls", json_number(result->calls), "objects", json_number(result->objects), "objects_live",
		json_number(result->objects_live), "objects_peak", json_number(result->objects_peak), "bytes",
		json_number(result->bytes), "bytes_live", json_number(result->bytes_live), "bytes_peak",
		json_number(result->bytes_peak), "pool_bytes_peak", json_number(result->held_peak), "pool_bytes",
		json_number(result->held_live), "stored_bytes", json_number(result->live_at_peak), "stored_pool_bytes",
		json_number(result->held_at_peak), "rss_growth_bytes", json_number(result->rss_growth_bytes), "density",
		result->rss_growth_bytes ? json_real(density(result)) : json_null(), "malloc_ns",
		mean(result->malloc_ns, result->mallocs), "free_ns", mean(result->free_ns, result->frees), "map_ns",
		mean(result->map_ns, result->maps), "evicted", json_number(result->evicted), "surplus",
		json_number(result->surplus), "skipped", json_number(result->skipped), "compared",
		json_number(result->compared), "differing", json_number(result->differing));
}

static json_t *row_json(const struct replay *replay, size_t r)
{
	static const char *const outcomes[] = { "identical", "differs", "failed", "refused" };
	const struct store_row *row = &replay->store.rows[r];
	const struct replay_result *result = replay->results[r];
	json_t *object = result ? result_json(result) : json_object();

	if (result) {
		json_object_set_new(object, "failed", failures_json(result->failed));
		json_object_set_new(object, "objects_compared", json_number(result->objects_compared));
		json_object_set_new(object, "objects_unread", json_number(result->objects_unread));
		json_object_set_new(object, "objects_unwritten", json_number(result->objects_unwritten));
	}
	json_object_set_new(object, "driver", json_text(row->label));
	json_object_set_new(object, "spec", json_text(row->spec));
	json_object_set_new(object, "result",
			    json_string(row->outcome == STORE_IDENTICAL && result && !result->objects_compared
						? "nothing_to_compare"
						: outcomes[row->outcome]));
	json_object_set_new(object, "reason", *row->result.message ? json_text(row->result.message) : json_null());
	json_object_set_new(object, "statistics", store_stats_json(row));
	json_object_set_new(object, "classes", store_classes_json(row));
	return object;
}

void replay_report(const struct replay *replay)
{
	json_t *rows;

	if (!replay->store.options.as_json) {
		print_trace(replay);
		print_table(replay);
		if (replay->store.options.stats)
			store_print_stats(&replay->store);
		return;
	}
	rows = json_array();
	for (size_t r = 0; r < replay->store.row_count; r++)
		json_array_append_new(rows, row_json(replay, r));
	json_print(json_pack("{s:o, s:o}", "recorded", recorded_json(replay), "drivers", rows));
}
