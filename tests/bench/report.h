/* SPDX-License-Identifier: MIT
 *
 * report.h - figures with their targets beside them, as tables for people or as JSON
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REPORT_COLUMNS = 10, REPORT_ROWS = 64, REPORT_TEXT = 200 };

enum report_aim { REPORT_NO_AIM, REPORT_AT_MOST, REPORT_AT_LEAST };

struct report_column {
	const char *key;  /* in JSON */
	const char *head; /* in a table */
	int digits;       /* behind the point */
};

struct report_cell {
	bool known;
	double value;
	enum report_aim aim;
	double target;
};

struct report_row {
	char label[64];
	char note[REPORT_TEXT]; /* why there are no figures, or what to know of them */
	struct report_cell cells[REPORT_COLUMNS];
};

struct report_table {
	char title[REPORT_TEXT];
	const struct report_column *columns;
	size_t column_count;
	struct report_row rows[REPORT_ROWS];
	size_t row_count;
};

void report_table_init(struct report_table *table, const struct report_column *columns, size_t count, const char *title,
		       ...) __attribute__((format(printf, 4, 5)));

/* The table has room for REPORT_ROWS. */
struct report_row *report_row(struct report_table *table, const char *label);

static inline void report_set(struct report_row *row, size_t column, double value)
{
	row->cells[column].known = true;
	row->cells[column].value = value;
}

static inline void report_aim(struct report_row *row, size_t column, enum report_aim aim, double target)
{
	row->cells[column].aim = aim;
	row->cells[column].target = target;
}

/* Print tables, or one JSON document of them all. */
void report_print(const char *bench, const struct report_table *tables, size_t count, bool as_json);

/* Is JSON in this build?  It needs jansson, as the tools do. */
bool report_has_json(void);

#endif
