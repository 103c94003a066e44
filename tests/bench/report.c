/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCH_JSON
#include <jansson.h>
#endif

enum { CELL_TEXT = 48 };

void report_table_init(struct report_table *table, const struct report_column *columns, size_t count, const char *title,
		       ...)
{
	va_list args;

	*table = (struct report_table){ .columns = columns, .column_count = count };
	va_start(args, title);
	vsnprintf(table->title, sizeof(table->title), title, args);
	va_end(args);
}

struct report_row *report_row(struct report_table *table, const char *label)
{
	struct report_row *row;

	if (table->row_count == REPORT_ROWS) {
		fprintf(stderr, "too many rows in one table\n");
		exit(1);
	}
	row = &table->rows[table->row_count++];
	snprintf(row->label, sizeof(row->label), "%s", label);
	return row;
}

static bool is_met(const struct report_cell *cell)
{
	return cell->aim == REPORT_AT_MOST ? cell->value <= cell->target : cell->value >= cell->target;
}

static bool has_aims(const struct report_table *table, size_t column)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (table->rows[i].cells[column].known && table->rows[i].cells[column].aim != REPORT_NO_AIM)
			return true;
	return false;
}

/* The targets of a column stand in line behind its figures. */
static void print_cell(const struct report_column *column, const struct report_cell *cell, bool aims)
{
	char value[CELL_TEXT] = "-", target[CELL_TEXT] = "";

	if (cell->known)
		snprintf(value, sizeof(value), "%.*f", column->digits, cell->value);
	if (cell->known && cell->aim != REPORT_NO_AIM)
		snprintf(target, sizeof(target), "%s%.*f%s", cell->aim == REPORT_AT_MOST ? "<=" : ">=", column->digits,
			 cell->target, is_met(cell) ? "" : " !");
	printf(" %9s", value);
	if (aims)
		printf(" %-9s", target);
}

static void print_table(const struct report_table *table)
{
	bool aims[REPORT_COLUMNS];
	int width = 10;

	for (size_t i = 0; i < table->row_count; i++)
		if ((int)strlen(table->rows[i].label) > width)
			width = (int)strlen(table->rows[i].label);
	printf("\n%s\n%-*s", table->title, width, "");
	for (size_t c = 0; c < table->column_count; c++) {
		aims[c] = has_aims(table, c);
		printf(" %9s%*s", table->columns[c].head, aims[c] ? 10 : 0, "");
	}
	putchar('\n');
	for (size_t i = 0; i < table->row_count; i++) {
		const struct report_row *row = &table->rows[i];
		bool any = false;

		printf("%-*s", width, row->label);
		for (size_t c = 0; c < table->column_count; c++)
			any |= row->cells[c].known;
		for (size_t c = 0; c < table->column_count && any; c++)
			print_cell(&table->columns[c], &row->cells[c], aims[c]);
		if (*row->note)
			printf("  %s", row->note);
		putchar('\n');
	}
}

#ifdef BENCH_JSON
static json_t *json_of_cell(const struct report_cell *cell)
{
	if (cell->aim == REPORT_NO_AIM)
		return json_pack("{s:f}", "value", cell->value);
	return json_pack("{s:f,s:s,s:f,s:b}", "value", cell->value, "aim",
			 cell->aim == REPORT_AT_MOST ? "at most" : "at least", "target", cell->target, "met",
			 is_met(cell));
}

static json_t *json_of_table(const struct report_table *table)
{
	json_t *rows = json_array();

	for (size_t i = 0; i < table->row_count; i++) {
		const struct report_row *row = &table->rows[i];
		json_t *object = json_pack("{s:s}", "subject", row->label);

		if (*row->note)
			json_object_set_new(object, "note", json_string(row->note));
		for (size_t c = 0; c < table->column_count; c++)
			if (row->cells[c].known)
				json_object_set_new(object, table->columns[c].key, json_of_cell(&row->cells[c]));
		json_array_append_new(rows, object);
	}
	return json_pack("{s:s,s:o}", "title", table->title, "rows", rows);
}

static void print_json(const char *bench, const struct report_table *tables, size_t count)
{
	json_t *array = json_array(), *document;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, json_of_table(&tables[i]));
	document = json_pack("{s:s,s:o}", "bench", bench, "tables", array);
	if (!document || json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) != 0) {
		fprintf(stderr, "%s: JSON could not be written\n", bench);
		exit(1);
	}
	putchar('\n');
	json_decref(document);
}
#endif

bool report_has_json(void)
{
#ifdef BENCH_JSON
	return true;
#else
	return false;
#endif
}

void report_print(const char *bench, const struct report_table *tables, size_t count, bool as_json)
{
#ifdef BENCH_JSON
	if (as_json) {
		print_json(bench, tables, count);
		return;
	}
#endif
	(void)as_json;
	printf("%s: behind a figure stands its target, and ! where it is missed\n", bench);
	for (size_t i = 0; i < count; i++)
		print_table(&tables[i]);
	putchar('\n');
}
