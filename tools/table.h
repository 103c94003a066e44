/* SPDX-License-Identifier: MIT
 *
 * table.h - a table on standard output
 *
 * The table fits the width of the terminal, or of $COLUMNS if that is set: long texts are folded between words, less
 * important columns are left out with a message, and a table that is still too wide is printed as several tables, each
 * of which begins with the first column. In a pipe or a file, without $COLUMNS, every row is one whole line.
 */
#ifndef TABLE_H
#define TABLE_H 1

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
	const char *name;     /* NULL in every column: a table without a head */
	bool number;          /* aligned to the right */
	bool wrapped;         /* folded if the terminal is too narrow */
	unsigned int dropped; /* left out if the terminal is still too narrow, 1 before 2 and so on; 0: never */
	size_t columns_min;   /* at least as wide as this */
};

struct table *table_new(const struct table_column *columns, size_t count);

/* Adds a row with one cell for each column. Texts are escaped and copied; NULL is printed as "-". */
void table_add(struct table *table, const char *const *cells);

/* Prints and frees the table. */
void table_print(struct table *table);

/* Prints a line of text, escaped, and folded like the cells of a table. */
void table_print_text(const char *text);

#endif /* TABLE_H */
