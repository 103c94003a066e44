/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <libsmartcols.h>

#include "message.h"
#include "table.h"
#include "text.h"

/* A folded column stays at least this wide, if its contents need that much. */
#define FOLDED_MIN 16
#define FOLDED_LEAST 8
#define GAP 1

struct column {
	struct table_column want;
	size_t width; /* the width of its widest cell or its head; after fitting, the width that it may use */
	bool shown;
};

struct table {
	struct column *columns;
	size_t column_count;
	char **cells; /* one row after the other */
	size_t row_count;
	size_t folded_min;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = malloc(sizeof(*table));

	if (!table)
		out_of_memory();
	*table = (struct table){ .columns = calloc(count, sizeof(*table->columns)),
				 .column_count = count,
				 .folded_min = FOLDED_MIN };
	if (!table->columns)
		out_of_memory();
	for (size_t c = 0; c < count; c++) {
		struct column *column = &table->columns[c];

		*column = (struct column){ .want = columns[c], .width = columns[c].columns_min, .shown = true };
		if (columns[c].name) {
			char *name = text_escape(columns[c].name);
			size_t width = text_columns(name);

			column->want.name = name;
			if (width > column->width)
				column->width = width;
		}
	}
	return table;
}

void table_add(struct table *table, const char *const *cells)
{
	size_t first = table->row_count++ * table->column_count;

	table->cells = reallocarray(table->cells, first + table->column_count, sizeof(*table->cells));
	if (!table->cells)
		out_of_memory();
	for (size_t c = 0; c < table->column_count; c++) {
		char *cell = text_escape(cells[c] ? cells[c] : "-");
		size_t width = text_columns(cell);

		table->cells[first + c] = cell;
		if (width > table->columns[c].width)
			table->columns[c].width = width;
	}
}

/* SIZE_MAX if lines may have any length */
static size_t output_columns(void)
{
	const char *set = getenv("COLUMNS");
	struct winsize size;

	if (set && *set >= '1' && *set <= '9') {
		char *end;
		unsigned long columns = strtoul(set, &end, 10);

		if (!*end)
			return columns;
	}
	if (!isatty(STDOUT_FILENO))
		return SIZE_MAX;
	return !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : 80;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Fitting
 */

static size_t least_width(const struct table *table, const struct column *column)
{
	size_t least = column->want.name ? text_columns(column->want.name) : 0;

	if (!column->want.wrapped)
		return column->width;
	if (least < table->folded_min)
		least = table->folded_min;
	return column->width < least ? column->width : least;
}

/* The total width of all shown columns, with folded columns at their minimum. */
static size_t least_sum(const struct table *table)
{
	size_t sum = 0;

	for (size_t c = 0; c < table->column_count; c++)
		if (table->columns[c].shown)
			sum += least_width(table, &table->columns[c]) + (sum ? GAP : 0);
	return sum;
}

static struct column *next_to_drop(const struct table *table)
{
	struct column *found = NULL;

	for (size_t c = 0; c < table->column_count; c++) {
		struct column *column = &table->columns[c];

		if (column->shown && column->want.dropped && (!found || column->want.dropped < found->want.dropped))
			found = column;
	}
	return found;
}

static void warn_dropped(const struct table *table)
{
	char *names = NULL;
	size_t size, count = 0;
	FILE *stream = open_memstream(&names, &size);

	if (!stream)
		out_of_memory();
	for (size_t c = 0; c < table->column_count; c++)
		if (!table->columns[c].shown)
			fprintf(stream, "%s%s", count++ ? ", " : "", table->columns[c].want.name);
	text_end(stream, &names);
	if (count)
		warn("the terminal is too narrow for %s: %s; use a wider terminal or --json to see everything",
		     count == 1 ? "this column" : "these columns", names);
	free(names);
}

/* Leaves out columns until the rest fits, and distributes the remaining width among the folded columns. */
static void fit(struct table *table, size_t columns)
{
	struct column *dropped;
	size_t spare;

	while (least_sum(table) > columns && (dropped = next_to_drop(table)))
		dropped->shown = false;
	if (least_sum(table) > columns)
		table->folded_min = FOLDED_LEAST;
	spare = least_sum(table) < columns ? columns - least_sum(table) : 0;
	for (size_t c = 0; c < table->column_count; c++) {
		struct column *column = &table->columns[c];
		size_t least = least_width(table, column);
		size_t more = column->width - least < spare ? column->width - least : spare;

		if (!column->shown)
			continue;
		column->width = least + more;
		spare -= more;
	}
}

/* Breaks a text into lines of at most `width` columns, between words, or inside a word that is longer than a line. */
static char *fold(const char *text, size_t width)
{
	char *folded = malloc(2 * strlen(text) + 1), *to = folded, *blank = NULL;
	size_t column = 0, since_blank = 0;

	if (!folded)
		out_of_memory();
	while (*text) {
		size_t columns, bytes = text_next(text, &columns);

		if (*text != ' ' && column + columns > width && blank) {
			*blank = '\n';
			blank = NULL;
			column = since_blank;
		}
		if (*text != ' ' && column + columns > width) {
			*to++ = '\n';
			column = 0;
		}
		if (*text == ' ')
			blank = to;
		since_blank = *text == ' ' ? 0 : since_blank + columns;
		column += columns;
		memcpy(to, text, bytes);
		to += bytes;
		text += bytes;
	}
	*to = '\0';
	return folded;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Printing
 */

static struct libscols_table *new_scols(const struct table *table)
{
	struct libscols_table *scols = scols_new_table();

	if (!scols)
		out_of_memory();
	/* The cells are already escaped and fitted. */
	scols_table_enable_noencoding(scols, 1);
	scols_table_enable_noheadings(scols, !table->columns[0].want.name);
	scols_table_set_termforce(scols, SCOLS_TERMFORCE_ALWAYS);
	scols_table_set_termwidth(scols, 1 << 20);
	return scols;
}

static void add_column(struct libscols_table *scols, const struct column *column)
{
	int flags = (column->want.number ? SCOLS_FL_RIGHT : 0) | (column->want.wrapped ? SCOLS_FL_WRAP : 0);
	struct libscols_column *new = scols_table_new_column(scols, column->want.name ? column->want.name : "",
							     (double)column->want.columns_min, flags);

	if (!new)
		out_of_memory();
	if (column->want.wrapped &&
	    scols_column_set_wrapfunc(new, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL))
		out_of_memory();
}

static void add_cell(struct libscols_line *line, size_t at, const struct column *column, const char *cell)
{
	char *folded = column->want.wrapped && text_columns(cell) > column->width ? fold(cell, column->width) : NULL;

	if (scols_line_set_data(line, at, folded ? folded : cell))
		out_of_memory();
	free(folded);
}

/* Prints the first column and the shown columns from `from` up to but excluding `to`. */
static void print_part(const struct table *table, size_t from, size_t to)
{
	struct libscols_table *scols = new_scols(table);

	for (size_t c = 0; c < to; c++)
		if (table->columns[c].shown && (c == 0 || c >= from))
			add_column(scols, &table->columns[c]);
	for (size_t r = 0; r < table->row_count; r++) {
		struct libscols_line *line = scols_table_new_line(scols, NULL);
		size_t at = 0;

		if (!line)
			out_of_memory();
		for (size_t c = 0; c < to; c++)
			if (table->columns[c].shown && (c == 0 || c >= from))
				add_cell(line, at++, &table->columns[c], table->cells[r * table->column_count + c]);
	}
	if (scols_print_table(scols) == -ENOMEM)
		out_of_memory();
	scols_unref_table(scols);
}

/* Prints as many columns at a time as fit beside the first one. */
static void print_parts(const struct table *table, size_t columns)
{
	size_t from = 1;

	do {
		size_t sum = table->columns[0].width, to = from;

		while (to < table->column_count) {
			size_t width = table->columns[to].shown ? table->columns[to].width + GAP : 0;

			if (to > from && sum + width > columns)
				break;
			sum += width;
			to++;
		}
		if (from > 1)
			putchar('\n');
		print_part(table, from, to);
		from = to;
	} while (from < table->column_count);
}

static void table_free(struct table *table)
{
	for (size_t i = 0; i < table->row_count * table->column_count; i++)
		free(table->cells[i]);
	free(table->cells);
	for (size_t c = 0; c < table->column_count; c++)
		free((char *)table->columns[c].want.name);
	free(table->columns);
	free(table);
}

void table_print(struct table *table)
{
	size_t columns = output_columns();

	fit(table, columns);
	print_parts(table, columns);
	warn_dropped(table);
	table_free(table);
}

void table_print_text(const char *text)
{
	struct table *table = table_new(&(struct table_column){ .wrapped = true }, 1);

	table_add(table, &text);
	table_print(table);
}
