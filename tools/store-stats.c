/* SPDX-License-Identifier: MIT
 *
 * store-stats.c - the drivers' statistics in what zpoolctl store prints
 */
#include <config.h>

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "message.h"
#include "size.h"
#include "store.h"
#include "table.h"
#include "text.h"

#define FULLNESS 11

/* Returns the next counter that this version of the tool knows, or NULL at the end. */
static const struct zpool_stats_member *next_counter(unsigned int *index)
{
	const struct zpool_stats_member *counter;

	while ((counter = zpool_stats_member((*index)++)))
		if (counter->offset + sizeof(uint64_t) <= sizeof(struct zpool_stats))
			break;
	return counter;
}

static uint64_t counter_value(const struct trial_stats *reported, const struct zpool_stats_member *counter)
{
	return *(const uint64_t *)(const void *)((const char *)&reported->stats + counter->offset);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for people
 */

/* Prints one line for each counter and one column for each driver with counters. */
static void print_counters(const struct store *store)
{
	struct table_column *columns = calloc(store->row_count + 1, sizeof(*columns));
	char(*text)[SIZE_TEXT * 2] = calloc(store->row_count + 1, sizeof(*text));
	const char **cells = calloc(store->row_count + 1, sizeof(*cells));
	const struct zpool_stats_member *counter;
	struct table *table;
	unsigned int index = 0;
	size_t count = 1;

	if (!columns || !text || !cells)
		out_of_memory();
	columns[0].name = "STATISTICS";
	for (size_t r = 0; r < store->row_count; r++)
		if (store->rows[r].reported && store->rows[r].reported->counted)
			columns[count++] = (struct table_column){ .name = store->rows[r].label, .number = true };
	if (count > 1) {
		table = table_new(columns, count);
		while ((counter = next_counter(&index))) {
			size_t column = 0;

			cells[column++] = counter->label;
			for (size_t r = 0; r < store->row_count; r++) {
				const struct trial_stats *reported = store->rows[r].reported;

				if (!reported || !reported->counted)
					continue;
				if (counter->unit == ZPOOL_UNIT_BYTES)
					size_format(counter_value(reported, counter), text[column]);
				else
					snprintf(text[column], sizeof(text[column]), "%" PRIu64,
						 counter_value(reported, counter));
				cells[column] = text[column];
				column++;
			}
			table_add(table, cells);
		}
		putchar('\n');
		table_print(table);
	}
	free(columns);
	free(text);
	free(cells);
}

enum column { SIZE, OBJECTS, SLOTS, ZSPAGES, OF_PAGES, PAGES, FREEABLE, FIRST_TENTH, COLUMNS = FIRST_TENTH + FULLNESS };

static void print_classes(const struct store_row *row)
{
	static const struct table_column columns[COLUMNS] = {
		[SIZE] = { .name = "SIZE", .number = true },
		[OBJECTS] = { .name = "OBJECTS", .number = true },
		[SLOTS] = { .name = "SLOTS", .number = true },
		[ZSPAGES] = { .name = "ZSPAGES", .number = true },
		[OF_PAGES] = { .name = "OF PAGES", .number = true },
		[PAGES] = { .name = "PAGES", .number = true },
		[FREEABLE] = { .name = "FREEABLE", .number = true },
		[FIRST_TENTH] = { .name = "<10%", .number = true },
		{ .name = "<20%", .number = true },
		{ .name = "<30%", .number = true },
		{ .name = "<40%", .number = true },
		{ .name = "<50%", .number = true },
		{ .name = "<60%", .number = true },
		{ .name = "<70%", .number = true },
		{ .name = "<80%", .number = true },
		{ .name = "<90%", .number = true },
		{ .name = "<100%", .number = true },
		{ .name = "FULL", .number = true },
	};
	struct table *table = table_new(columns, COLUMNS);

	for (size_t i = 0; i < trial_stats_classes(row->reported); i++) {
		const struct zpool_class_stats *class = &row->reported->classes[i];
		const uint64_t numbers[FIRST_TENTH] = {
			class->object_bytes,     class->objects, class->slots,          class->zspages,
			class->pages_per_zspage, class->pages,   class->freeable_pages,
		};
		char text[COLUMNS][24];
		const char *cells[COLUMNS];

		for (unsigned int c = 0; c < COLUMNS; c++) {
			uint64_t number = c < FIRST_TENTH ? numbers[c] : class->fullness[c - FIRST_TENTH];

			/* Most of the counts are zero. Zeros are left blank, so that the other counts stand out. */
			snprintf(text[c], sizeof(text[c]), "%" PRIu64, number);
			cells[c] = c < FIRST_TENTH || number ? text[c] : "";
		}
		table_add(table, cells);
	}
	putchar('\n');
	text_print(stdout, row->label);
	puts(": size classes, and the number of zspages at each fill level");
	table_print(table);
}

void store_print_stats(const struct store *store)
{
	print_counters(store);
	for (size_t r = 0; r < store->row_count; r++)
		if (store->rows[r].reported && trial_stats_classes(store->rows[r].reported))
			print_classes(&store->rows[r]);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output for programs
 */

json_t *store_stats_json(const struct store_row *row)
{
	const struct zpool_stats_member *counter;
	unsigned int index = 0;
	json_t *object;

	if (!row->reported || !row->reported->counted)
		return json_null();
	object = json_object();
	while ((counter = next_counter(&index)))
		json_object_set_new(object, counter->name, json_number(counter_value(row->reported, counter)));
	return object;
}

static json_t *class_json(const struct zpool_class_stats *class)
{
	json_t *fullness = json_array();

	for (unsigned int i = 0; i < FULLNESS; i++)
		json_array_append_new(fullness, json_number(class->fullness[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "object_bytes", json_number(class->object_bytes),
			 "objects", json_number(class->objects), "slots", json_number(class->slots), "zspages",
			 json_number(class->zspages), "pages_per_zspage", json_number(class->pages_per_zspage), "pages",
			 json_number(class->pages), "freeable_pages", json_number(class->freeable_pages), "fullness",
			 fullness);
}

json_t *store_classes_json(const struct store_row *row)
{
	json_t *classes;

	if (!row->reported || !row->reported->classed)
		return json_null();
	classes = json_array();
	for (size_t i = 0; i < trial_stats_classes(row->reported); i++)
		json_array_append_new(classes, class_json(&row->reported->classes[i]));
	return classes;
}
